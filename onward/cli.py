"""The command line: one word for each thing an operator does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
import uvloop
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from kernel.errors import Problem
from onward.bench import app as bench
from onward.config import Settings
from onward.errors import Refused, Stopped

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
    help="onward: the open delivery platform.",
)
maps = typer.Typer(no_args_is_help=True, help="City maps from OpenStreetMap extracts.")
app.add_typer(maps, name="map")
adding = typer.Typer(no_args_is_help=True, help="Add a business, a store or a driver; asks for what is not given.")
app.add_typer(adding, name="add")
app.add_typer(bench, name="bench")
console = Console(stderr=True, soft_wrap=True)

DataDir = Annotated[Path | None, typer.Option(help="Where data lives (ONWARD_DATA_DIR).")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one (ONWARD_PORT).")]
Password = Annotated[str | None, typer.Option(help="A password; without it one is made and told.")]
Subdomain = Annotated[str | None, typer.Option(help="The business' name in links; by default made from its name.")]
StoreName = Annotated[str | None, typer.Option(help="The store's name.")]
Address = Annotated[str | None, typer.Option(help="The store's address.")]
At = Annotated[str | None, typer.Option(help="Where the store is: latitude,longitude.", metavar="LAT,LNG")]
OwnerEmail = Annotated[str | None, typer.Option(help="The owner's e-mail address.")]
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


@app.command()
def serve(
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (ONWARD_HOST).")] = None,
    port: Port = None,
    map_name: Annotated[str | None, typer.Option("--map", help="Which imported map to serve.")] = None,
) -> None:
    """Run the server until Ctrl-C."""
    from onward.maps.store import map_dir, no_map
    from onward.processes import serve as run
    from onward.servers import with_servers

    settings = settings_from(data_dir=data_dir, host=host, port=port, map_name=map_name)
    log_as(settings)
    if "map_name" in settings.model_fields_set and map_dir(settings.data_dir, settings.map_name) is None:
        raise Refused(no_map(settings))

    def ready(url: str, hints: tuple[str, ...]) -> None:
        console.print(f"[bold]onward[/] is open at {url}")
        for hint in hints:
            console.print(f"[yellow]{hint}[/]")

    with with_servers(settings) as filled:
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
    format_: Annotated[str, typer.Option("--format", help="porto, capmetro or csv.")] = "csv",
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

    with added_to(data_dir) as filled:
        found = whatif.run_whatif(filled, day=day, drivers=drivers, policy=policy, business=business)
    whatif.tell(found)
    if as_json:
        print(whatif.as_json(found))


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


@app.command()
def init(
    name: Annotated[str | None, typer.Option(help="What your delivery service is called.")] = None,
    currency: Annotated[str | None, typer.Option(help="Three letters: EUR.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Europe/Helsinki, for example.")] = None,
    email: Annotated[str | None, typer.Option(help="Your e-mail address: you are the admin.")] = None,
    password: Password = None,
    business: Annotated[str | None, typer.Option(help="The first business' name.")] = None,
    subdomain: Subdomain = None,
    store: StoreName = None,
    address: Address = None,
    at: At = None,
    owner_email: OwnerEmail = None,
    owner_password: Password = None,
    data_dir: DataDir = None,
) -> None:
    """Begin: your operator, its admin, and a first business with a store and an owner. Asks for what is not given."""
    from onward import accounts, asking
    from onward.servers import with_servers

    settings = settings_from(data_dir=data_dir)
    log_as(settings, quiet=True)
    with with_servers(settings, join=True) as filled:
        asyncio.run(accounts.prepare_init(filled.database_url))
        operator = asking.ask(name, "--name", "Your delivery service's name", asking.a_name)
        money = asking.ask(currency, "--currency", "Currency", asking.a_currency, "EUR")
        zone = asking.ask(time_zone, "--time-zone", "Time zone", asking.a_time_zone, "UTC")
        admin = asking.a_login(email, "--email", "Your e-mail address", password, "--password")
        first = asking.a_business(
            asking.ask(business, "--business", "The first business' name", asking.a_name),
            subdomain=subdomain,
            store=store,
            address=address,
            at=at,
            owner_email=owner_email,
            owner_password=owner_password,
        )
        made = asyncio.run(
            accounts.init(
                filled.database_url, operator=operator, currency=money, time_zone=zone, admin=admin, business=first
            )
        )
    tell_once(
        settings,
        ("Admin", f"{admin.email}  password {admin.password}"),
        ("Owner", f"{first.owner.email}  password {first.owner.password}"),
        ("Store", made.store_id),
        ("API key", made.api_key),
        ("Shop", f"{settings.base_url()}/shop/?s={first.subdomain}"),
    )


@adding.command("business")
def add_business(
    name: Annotated[str | None, typer.Option(help="The business' name.")] = None,
    subdomain: Subdomain = None,
    store: StoreName = None,
    address: Address = None,
    at: At = None,
    owner_email: OwnerEmail = None,
    owner_password: Password = None,
    data_dir: DataDir = None,
) -> None:
    """Add a business with a store and an owner."""
    from onward import accounts, asking

    with added_to(data_dir) as settings:
        new = asking.a_business(
            asking.ask(name, "--name", "The business' name", asking.a_name),
            subdomain=subdomain,
            store=store,
            address=address,
            at=at,
            owner_email=owner_email,
            owner_password=owner_password,
        )
        made = asyncio.run(accounts.add_business(settings.database_url, new))
    tell_once(
        settings,
        ("Owner", f"{new.owner.email}  password {new.owner.password}"),
        ("Store", made.store_id),
        ("API key", made.api_key),
        ("Shop", f"{settings.base_url()}/shop/?s={new.subdomain}"),
    )


@adding.command("store")
def add_store(
    business: Annotated[str | None, typer.Option(help="The business' name in links.")] = None,
    name: StoreName = None,
    address: Address = None,
    at: At = None,
    data_dir: DataDir = None,
) -> None:
    """Add a store to a business."""
    from onward import accounts, asking

    with added_to(data_dir) as settings:
        subdomain = asking.ask(business, "--business", "The business' name in links", asking.a_subdomain)
        new = asking.a_store(name, "--name", address, at)
        print(f"Store  {asyncio.run(accounts.add_store(settings.database_url, subdomain, new))}")


@adding.command("driver")
def add_driver(
    name: Annotated[str | None, typer.Option(help="The driver's name.")] = None,
    email: Annotated[str | None, typer.Option(help="The driver's e-mail address.")] = None,
    password: Password = None,
    vehicle: Annotated[str | None, typer.Option(help="bicycle, scooter, car or foot.")] = None,
    business: Annotated[
        str | None, typer.Option(help="The business, by its name in links, that has the driver for itself.")
    ] = None,
    skill: Annotated[
        list[str] | None, typer.Option(help="What deliveries may need, as age_check; may be given several times.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Add a driver: to the shared pool, or with --business to one business."""
    from onward import accounts, asking
    from tenancy.skills import a_skill

    with added_to(data_dir) as settings:
        called = asking.ask(name, "--name", "The driver's name", asking.a_name)
        login = asking.a_login(email, "--email", "The driver's e-mail address", password, "--password")
        can = [a_skill(text) for text in skill or []]
        moves = asking.ask(vehicle, "--vehicle", "Vehicle", asking.a_vehicle, "bicycle")
        asyncio.run(
            accounts.add_driver(
                settings.database_url, name=called, vehicle=moves, login=login, subdomain=business, skills=can
            )
        )
    tell_once(settings, ("Driver", f"{login.email}  password {login.password}"))


@contextlib.contextmanager
def added_to(data_dir: Path | None) -> Iterator[Settings]:
    """Yield settings with the URLs of servers on which there is an operator."""
    from onward import accounts
    from onward.servers import with_servers

    settings = settings_from(data_dir=data_dir)
    log_as(settings, quiet=True)
    with with_servers(settings, join=True) as filled:
        asyncio.run(accounts.prepare_add(filled.database_url))
        yield filled


def tell_once(settings: Settings, *lines: tuple[str, str]) -> None:
    """Print what was made on standard output."""
    for what, told in lines:
        print(f"{what:<8} {told}")
    console.print(f"Passwords and keys are told only now. Sign in at {settings.base_url()}/ while `onward serve` runs.")


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
    from onward.maps.store import maps_folder

    settings = settings_from(data_dir=data_dir)
    known_as = (name or file.name.split(".")[0]).lower()
    with Progress(TextColumn("{task.description}"), BarColumn(), console=console, transient=True) as bar:
        task = bar.add_task("map", total=1.0)
        try:
            info = import_map(
                file,
                maps_folder(settings.data_dir) / known_as,
                name=known_as,
                progress=lambda what, share: bar.update(task, description=what, completed=share),
            )
        except MapError as error:
            bar.stop()
            console.print(f"[red]{error}[/]")
            raise typer.Exit(1) from None
    console.print(f"[bold]{known_as}[/]: {info.junctions} junctions, {info.places} places. {info.attribution}")
    console.print(f"Serve it with `onward serve --map {known_as}` or ONWARD_MAP_NAME={known_as}.")


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
    from importlib.metadata import version

    from kernel.http import Endpoint
    from onward.openapi import document
    from onward.routes import ROUTES

    endpoints = [Endpoint.of(route) for route in ROUTES]
    sys.stdout.buffer.write(
        msgspec.json.format(msgspec.json.encode(document(endpoints, version=version("onward")))) + b"\n"
    )


if __name__ == "__main__":
    app()
