"""The door: who may enter, as whom, and what they may do."""
