"""The command line: one word for each thing an operator does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from onward.config import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="onward: the open delivery platform.",
)
console = Console(stderr=True)


def settings_from(**given: object) -> Settings:
    """Return the settings with what was given on the command line on top."""
    return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


@app.command()
def serve(
    data_dir: Annotated[Path | None, typer.Option(help="Where data lives.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    map_name: Annotated[str | None, typer.Option("--map", help="Which imported map to serve.")] = None,
) -> None:
    """Run the server until Ctrl-C."""
    from kernel.log import configure
    from onward.processes import serve as run
    from onward.processes import with_servers

    settings = settings_from(data_dir=data_dir, host=host, port=port, map_name=map_name)
    configure(level=settings.log_level, json=settings.log_json)
    with with_servers(settings) as filled:
        uvloop.run(run(filled, ready=lambda url: console.print(f"[bold green]onward[/] is open at [link]{url}[/link]")))


@app.command()
def migrate() -> None:
    """Bring the database up to date."""
    from onward.migrate import migrate as run
    from onward.processes import with_servers

    with with_servers(Settings()) as settings:
        count = asyncio.run(run(settings.database_url, applied=lambda name: console.print(f"applied {name}")))
    console.print(f"{count} applied" if count else "The database is up to date.")


@app.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    from importlib.metadata import version

    import msgspec

    from kernel.http import Endpoint
    from onward.openapi import document
    from onward.routes import ROUTES

    endpoints = [Endpoint.of(route) for route in ROUTES]
    print(msgspec.json.format(msgspec.json.encode(document(endpoints, version=version("onward")))).decode())


if __name__ == "__main__":
    app()
