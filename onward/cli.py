"""The command line: one word for each thing an operator does."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
import uvloop
from rich.markup import escape
from typer.core import TyperGroup

from kernel.errors import Problem
from onward.beginning import adding, begun, init
from onward.bench import app as bench
from onward.config import Settings
from onward.errors import Refused, Stopped
from onward.terminal import AsJson, DataDir, console, log_as, settings_from, show

RUN_UNTIL_CTRL_C: Final = ("serve", "demo")


class InWords(TyperGroup):
    """The commands; what an operator can mend is told in words, and Ctrl-C is the way to end what runs until then."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except Refused as refused:
            console.print(f"[red]{escape(str(refused))}[/]")
            raise typer.Exit(1) from None
        except Problem as problem:
            console.print(f"[red]{escape(problem.detail or problem.title)}[/]")
            raise typer.Exit(1) from None
        except (Stopped, KeyboardInterrupt):
            if ctx.invoked_subcommand not in RUN_UNTIL_CTRL_C:
                raise
            console.print("Stopped.")
            raise typer.Exit(0) from None


app = typer.Typer(
    cls=InWords,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
maps = typer.Typer(no_args_is_help=True, help="City maps from OpenStreetMap extracts.")
app.add_typer(maps, name="map")
app.command()(init)
app.add_typer(adding, name="add")
app.add_typer(bench, name="bench")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"onward {version('onward')}")
        raise typer.Exit


@app.callback()
def onward(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which one this is.")
    ] = False,
) -> None:
    """The open delivery platform."""


Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one (ONWARD_PORT).")]


@app.command()
def serve(
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (ONWARD_HOST).")] = None,
    port: Port = None,
    map_name: Annotated[str | None, typer.Option("--map", help="Which imported map to serve.")] = None,
    processes: Annotated[
        int | None, typer.Option(help="How many server processes share the port (ONWARD_PROCESSES).")
    ] = None,
) -> None:
    """Run the server until Ctrl-C."""
    from onward.maps.store import list_maps, map_name_of, map_of, no_map
    from onward.parent import serve_several
    from onward.processes import serve as serve_alone
    from onward.servers import with_servers

    settings = settings_from(data_dir=data_dir, host=host, port=port, map_name=map_name, processes=processes)
    log_as(settings)
    if map_of(settings) is None and (settings.map_name or list_maps(settings.data_dir)):
        raise Refused(no_map(settings))
    # whatever is imported meanwhile, each process that is started serves the same
    settings = settings.model_copy(update={"map_name": map_name_of(settings)})

    def ready(url: str, hints: tuple[str, ...]) -> None:
        console.print(f"[bold]onward[/] is open at {url}")
        for hint in hints:
            console.print(f"[yellow]{hint}[/]")

    with with_servers(settings) as filled:
        run = serve_several if filled.processes > 1 else serve_alone
        uvloop.run(run(filled, ready=ready))


@app.command()
def demo(
    for_s: Annotated[
        float | None, typer.Option("--for", min=5, help="Seconds to run; without it until Ctrl-C.")
    ] = None,
    drivers: Annotated[int, typer.Option(min=1, max=2000, help="How many couriers.")] = 40,
    businesses: Annotated[int, typer.Option(min=1, max=5, help="How many businesses.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same demand and behaviour.")] = 1,
    map_file: Annotated[Path | None, typer.Option("--map", help="An OpenStreetMap extract (.osm.pbf).")] = None,
    faults: Annotated[bool, typer.Option(help="Let phones lose signal and sockets.")] = True,
    data_dir: Annotated[Path, typer.Option(help="Where the demo's data lives; emptied at each start.")] = Path(
        ".onward/demo"
    ),
    port: Port = None,
    as_json: AsJson = False,
) -> None:
    """Let a city deliver: servers, map, couriers, kitchens and customers with one command."""
    from onward.demo import run_demo

    settings = settings_from(data_dir=data_dir, port=0 if port is None and for_s else port)
    log_as(settings, quiet=True)
    outcome = run_demo(
        settings, for_s=for_s, drivers=drivers, businesses=businesses, seed=seed, pbf=map_file, faults=faults
    )
    show(outcome, as_json=as_json)
    bad = outcome.fixes_lost + outcome.double_assigned + outcome.cross_tenant_leaks + outcome.errors
    raise typer.Exit(1 if bad else 0)


@app.command()
def replay(
    file: Annotated[Path | None, typer.Argument(help="A file of GPS traces (.gz is fine).")] = None,
    format_: Annotated[
        str, typer.Option("--format", help="porto, capmetro, or csv: vehicle, t (Unix seconds), lat, lng.")
    ] = "csv",
    speed: Annotated[float, typer.Option(min=0.1, help="How many times faster than it was.")] = 60.0,
    vehicles: Annotated[int, typer.Option(min=1, max=5000, help="How many at once, at most.")] = 300,
    day: Annotated[str | None, typer.Option("--date", help="A past day instead: yesterday, today, 2026-05-04.")] = None,
    drivers: Annotated[int, typer.Option(help="With --date: so many drivers more, or fewer (-2).")] = 0,
    policy: Annotated[Path | None, typer.Option(help="With --date: another policy (.toml or .json).")] = None,
    business: Annotated[str | None, typer.Option(help="With --date: one business, by its name in links.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where data lives; of traces .onward/replay, emptied at each start.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay recorded traces through real sockets; or, with --date, a day's dispatch as it could have been."""
    if (file is None) == (day is None):
        raise Refused("Give a file of traces, or a day with --date.")
    if file is not None:
        from onward.replay import run_replay

        settings = settings_from(data_dir=data_dir or Path(".onward/replay"), port=0)
        log_as(settings, quiet=True)
        outcome = run_replay(settings, file, format_=format_, speed=speed, vehicles=vehicles)
        show(outcome, as_json=as_json)
        raise typer.Exit(1 if outcome.fixes_lost else 0)
    assert day is not None
    from onward import whatif

    whatif.a_day(day, datetime.now(UTC).date())  # what is mistyped is told before anything is started
    with begun(data_dir) as filled:
        found = whatif.run_whatif(filled, day=day, drivers=drivers, policy=policy, business=business)
    whatif.tell(found)
    if as_json:
        print(whatif.as_json(found))


@app.command("eta-report")
def eta_report(
    days: Annotated[int, typer.Option(min=1, max=60, help="How many days back.")] = 7,
    operator: Annotated[str | None, typer.Option(help="The operator's name, where there are several.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Tell how good the arrival times were that people saw: errors, bias, and how often the range was kept."""
    from onward import eta_report as run

    with begun(data_dir) as filled:
        found = run.run_report(filled, days, operator)
    run.tell(found)
    if as_json:
        print(msgspec.json.encode(found).decode())


@app.command()
def migrate() -> None:
    """Bring the database up to date."""
    from onward.migrate import migrate as run
    from onward.servers import with_servers

    with with_servers(settings_from(), join=True) as settings:
        count = asyncio.run(run(settings.database_url, applied=lambda name: console.print(f"applied {name}")))
    console.print(f"{count} applied." if count else "The database is up to date.")


@app.command()
def doctor() -> None:
    """Look at everything this installation needs and say what is wrong."""
    from onward.doctor import examine
    from onward.servers import with_servers

    async def look(settings: Settings) -> bool:
        well = True
        async for finding in examine(settings):
            well &= finding.ok
            console.print(f"{'[green]ok  [/]' if finding.ok else '[red]fix [/]'} {finding.what:<11} {finding.detail}")
        return well

    with with_servers(settings_from(), join=True) as settings:
        well = asyncio.run(look(settings))
    raise typer.Exit(0 if well else 1)


@maps.command("import")
def map_import(
    file: Annotated[Path, typer.Argument(help="An OpenStreetMap extract (.osm.pbf).")],
    name: Annotated[str | None, typer.Option(help="The map's name; by default the file's.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Turn an extract into a street graph and vector tiles."""
    from rich.progress import BarColumn, Progress, TextColumn

    from onward.maps.importer import import_map
    from onward.maps.osm import MapError
    from onward.maps.store import map_of, maps_folder

    settings = settings_from(data_dir=data_dir)
    known_as = (name or file.name.split(".")[0]).lower()
    folder = maps_folder(settings.data_dir) / known_as
    with Progress(TextColumn("{task.description}"), BarColumn(), console=console, transient=True) as bar:
        task = bar.add_task("map", total=1.0)
        try:
            info = import_map(
                file,
                folder,
                name=known_as,
                progress=lambda what, share: bar.update(task, description=what, completed=share),
            )
        except MapError as error:
            bar.stop()
            console.print(f"[red]{error}[/]")
            raise typer.Exit(1) from None
    console.print(f"[bold]{known_as}[/]: {info.junctions} junctions, {info.places} places. {info.attribution}")
    if map_of(settings) == folder.resolve():
        console.print("`onward serve` serves it.")
    else:
        console.print(f"Serve it with `onward serve --map {known_as}` or ONWARD_MAP_NAME={known_as}.")
        if not settings.map_name:
            console.print("[yellow]There are several maps now: the server asks which one, the next time it starts.[/]")


@maps.command("list")
def map_list(data_dir: DataDir = None) -> None:
    """List the imported maps."""
    from onward.maps.store import list_maps

    found = list_maps(settings_from(data_dir=data_dir).data_dir)
    for info in found:
        print(f"{info.name:<20} {info.junctions:>8} junctions  {info.places:>6} places  from {info.source}")
    if not found:
        console.print("No map yet: `onward map import FILE.osm.pbf`.")


@app.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    from kernel.http import Endpoint
    from onward.openapi import document
    from onward.routes import ROUTES

    endpoints = [Endpoint.of(route) for route in ROUTES]
    sys.stdout.buffer.write(
        msgspec.json.format(msgspec.json.encode(document(endpoints, version=version("onward")))) + b"\n"
    )


if __name__ == "__main__":
    app()
