"""Vendors, each behind a port of ours."""
