"""What is measured: `onward bench NAME` runs one, and prints JSON as its last line."""
