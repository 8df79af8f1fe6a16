"""The hot path: drivers' fixes in, live positions, streams out."""
