"""What the commands share: options, the settings made of them, and how an outcome is told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from onward.config import Settings

console = Console(stderr=True, soft_wrap=True)

DataDir = Annotated[Path | None, typer.Option(help="Where data lives (ONWARD_DATA_DIR).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON on standard output.")]


def settings_from(**given: Any) -> Settings:
    """Return the settings with what was given on the command line on top; ends with words when they are wrong."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        for wrong in error.errors():
            name = str(wrong["loc"][0])
            variable = f"ONWARD_{name.upper()}"
            option = f"--{name.replace('_', '-')}" if given.get(name) is not None else None
            source = option or (variable if variable in os.environ else f"{name} in onward.toml")
            console.print(f"[red]{source}[/]: {wrong['msg']}")
        raise typer.Exit(2) from None


def log_as(settings: Settings, *, quiet: bool = False) -> None:
    """Set up logging."""
    from kernel.log import configure

    configure(level="warning" if quiet and settings.log_level == "info" else settings.log_level, json=settings.log_json)


def show(outcome: msgspec.Struct, *, as_json: bool) -> None:
    """Print what happened: one line of JSON, or a table for people that leaves out what is empty."""
    if as_json:
        print(msgspec.json.encode(outcome).decode())
        return
    table = Table(show_header=False, box=None, padding=(0, 2))
    for name, value in msgspec.structs.asdict(outcome).items():
        match value:
            case dict():
                text = "  ".join(f"{what} {number}" for what, number in value.items())
            case list():
                text = "\n".join(value)
            case _:
                text = str(value)
        if text:
            table.add_row(f"[bold]{name.replace('_', ' ')}[/]", escape(text))
    console.print(table)
