"""Decisions about deliveries: who carries what, when, and why."""
