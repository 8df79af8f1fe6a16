"""The commercial side: what was ordered, and how the kitchen takes it on."""
