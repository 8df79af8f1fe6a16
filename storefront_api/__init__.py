"""What a white-label shop sells and serves, one folder per feature."""
