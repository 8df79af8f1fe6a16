"""The safe: a double-entry ledger and every rule about money."""
