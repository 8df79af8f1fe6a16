"""What an operator can mend himself is told in words, never as a traceback."""

from __future__ import annotations


class Refused(Exception):
    """A command can't go on; the message says why and what to do."""


class Stopped(Exception):
    """Somebody said stop before there was anything to stop."""
