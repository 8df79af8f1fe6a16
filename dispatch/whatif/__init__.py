"""A day played again: the same orders and the same hands through the same engine, as it is and as it could be. Pure."""
