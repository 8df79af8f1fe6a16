"""The public face of a shop."""
