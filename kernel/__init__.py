"""The floor: ids, money, errors, state machines, keys and events, and the plumbing every room stands on."""
