"""`python -m onward`: the command line."""

from onward.cli import app

app()
