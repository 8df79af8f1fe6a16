"""`onward bench`: each command runs one benchmark, shows a table, and prints one line of JSON last."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from onward.errors import Refused

app = typer.Typer(no_args_is_help=True)
console = Console(stderr=True, width=None if sys.stderr.isatty() else 200)


@app.callback()
def ends_well() -> None:
    """Measure: a table, and JSON as the last line."""
    # as Ctrl-C, which asyncio hears wherever it is: the servers that were started end too
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts with & hear nothing of it
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


OnlyJson = Annotated[bool, typer.Option("--json", help="No table, only the line of JSON.")]


@app.command()
def mdrp(
    folder: Annotated[Path, typer.Argument(help="A folder of instances of grubhub/mdrplib, at any depth.")],
    out: Annotated[
        Path | None, typer.Option(help="Write each solution below this folder, for mdrplib's checker.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="How many processes; 0 for one a core.")] = 0,
    only_json: OnlyJson = False,
) -> None:
    """Play whole days of the Meal Delivery Routing Problem through the dispatch engine."""
    from benchmarks import mdrp as bench

    folders = bench.instances(folder)
    if not folders:
        raise Refused(f"There is no instance below {folder}: get them from https://github.com/grubhub/mdrplib.")
    with Progress(console=console) as progress:
        task = progress.add_task("playing", total=len(folders))
        results = bench.play_all(folders, out, jobs or os.cpu_count() or 1, lambda _: progress.advance(task))
    means = bench.summary(results)
    if not only_json:
        table = Table("instance", "orders", *bench.FIGURES, "epoch_cpu_ms_max")
        rows: list[dict[str, Any]] = [*results, {"instance": f"mean of {len(results)}", "orders": "", **means}]
        for row in rows:
            table.add_row(*(_cell(row.get(str(column.header), "")) for column in table.columns))
        console.print(table)
    _print({"bench": "mdrp", **means})


@app.command()
def tick(
    open_jobs: Annotated[int, typer.Option("--open", help="Deliveries without a driver.")] = 100,
    drivers: Annotated[int, typer.Option(help="Drivers.")] = 70,
    seeds: Annotated[int, typer.Option(help="How many random cities; figures are medians and means over them.")] = 5,
    several_stores: Annotated[bool, typer.Option(help="A driver may call at several stores before a door.")] = True,
    only_json: OnlyJson = False,
) -> None:
    """Measure one dispatch tick: CPU of each phase, and quality beside greedy, Hungarian rounds and routing solvers."""
    from benchmarks import dispatch_tick as bench

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("ticking", total=seeds)
        found = bench.measure(
            open_jobs, drivers, seeds, several_stores=several_stores, played=lambda: progress.advance(task)
        )
    if not only_json:
        table = Table("method", "objective (1 = greedy)", "CPU ms", "late minutes")
        for name, row in found["methods"].items():
            table.add_row(name, f"{row['objective_to_greedy']:.4f}", _cell(row["cpu_ms"]), _cell(row["delay_min"]))
        for name in found["absent"]:
            table.add_row(name, "not installed")
        console.print(table)
        phases = Table("phase of the engine", "CPU ms")
        for name, spent_ms in found["phases_cpu_ms"].items():
            phases.add_row(name, _cell(spent_ms))
        console.print(phases)
    _print({"bench": "tick", **found})


@app.command()
def eta(
    trips: Annotated[Path, typer.Argument(help="Taxi trips of the ECML/PKDD 2015 set (.csv or .csv.gz).")],
    map_name: Annotated[str | None, typer.Option("--map", help="An imported map of that city; else lines.")] = None,
    only_json: OnlyJson = False,
) -> None:
    """Estimate real trips as they start, learn from them as they end: errors as shipped, and as learned."""
    from benchmarks import eta as bench
    from onward.config import Settings
    from onward.maps.store import map_dir
    from onward.travel import TravelFactory

    folder = None if map_name is None else map_dir(Settings().data_dir, map_name)
    if map_name is not None and folder is None:
        raise Refused(f"There is no map {map_name}: see `onward map list`.")
    try:
        found, left_out = bench.read_trips(trips)
    except (OSError, KeyError, ValueError) as error:
        raise Refused(f"{trips} can't be read as trips: {error}.") from None
    if not found:
        raise Refused(f"{trips} has no trip to estimate.")
    figures = bench.run(found, TravelFactory(folder)())
    if not only_json:
        kinds = [name for name, value in figures.items() if isinstance(value, dict)]
        table = Table("figure", *(name.replace("_", " ") for name in kinds))
        for name in figures[kinds[0]]:
            table.add_row(name, *(_cell(figures[kind][name]) for kind in kinds))
        console.print(table)
    _print({"bench": "eta", **figures, "left_out": left_out})


@app.command()
def city(
    map_name: Annotated[str | None, typer.Option("--map", help="An imported map; without it central Helsinki.")] = None,
    minutes: Annotated[float, typer.Option(min=1, max=1440, help="For how long people order.")] = 60,
    drivers: Annotated[int, typer.Option(min=1, max=2000, help="How many couriers.")] = 20,
    orders_per_hour: Annotated[float, typer.Option(min=1, help="How many of them, about.")] = 120,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same demand.")] = 1,
    speed: Annotated[float, typer.Option(min=1, max=50, help="How many times faster than life, at most.")] = 10,
    moves: Annotated[bool, typer.Option("--moves", help="Tell idle couriers where orders come from.")] = False,
    data_dir: Annotated[Path, typer.Option(help="Where the servers' data lives; emptied at each start.")] = Path(
        ".onward/bench-city"
    ),
    only_json: OnlyJson = False,
) -> None:
    """Let a city live through a peak on the real server, hurried: what customers and couriers get."""
    from benchmarks import city as bench
    from onward.terminal import log_as, settings_from

    settings = settings_from(data_dir=data_dir)
    log_as(settings, quiet=True)
    peak = bench.Peak(minutes, drivers, orders_per_hour, seed, speed, moves=moves)
    with Progress(*Progress.get_default_columns(), console=console, transient=True) as progress:
        task = progress.add_task("a city lives", total=1.0)
        found = bench.run_city(
            settings,
            map_name,
            peak,
            seen=lambda share, words: progress.update(task, completed=share, description=words),
        )
    if not only_json:
        table = Table("figure", "value")
        for name, value in found.items():
            words = "\n".join(map(_cell, value)) if isinstance(value, list) else _cell(value)
            table.add_row(name.replace("_", " "), words)
        console.print(table)
    _print({"bench": "city", **found})


@app.command()
def api(
    seconds: Annotated[float, typer.Option(min=1, max=120, help="For how long.")] = 20,
    rate_per_s: Annotated[float, typer.Option("--rate", min=1, help="Requests a second, all kinds together.")] = 200,
    only_json: OnlyJson = False,
) -> None:
    """Measure the API at a steady rate: reads of boards, deliveries, tracking pages and menus, and guest checkouts."""
    from benchmarks import api as bench

    found = bench.measure(seconds, rate_per_s)
    if not only_json:
        _show_cases(found["cases"])
    _print({"bench": "api", **found})


@app.command()
def ingest(
    seconds: Annotated[
        float, typer.Option(min=1, max=6, help="For how long each case runs: longer is more than a driver may send.")
    ] = 6,
    only_json: OnlyJson = False,
) -> None:
    """Measure what a fix costs on its way in, beside a bare echo and raw GEOADDs."""
    from benchmarks import ingest as bench

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("streaming", total=len(bench.CASES) + 1)
        found = bench.measure(seconds, measured=lambda: progress.advance(task))
    if not only_json:
        _show_cases(found["cases"])
    _print({"bench": "ingest", **found})


@app.command()
def fanout(
    seconds: Annotated[
        float, typer.Option(min=1, help="How long those who are watched speak in each case, as long as the others.")
    ] = 8,
    socketio: Annotated[
        Path | None,
        typer.Option(
            help="A folder where `npm install socket.io @socket.io/redis-adapter redis` was said: measure it too."
        ),
    ] = None,
    only_json: OnlyJson = False,
) -> None:
    """Measure what a position costs on its way out, beside a bare relay and Socket.IO."""
    from benchmarks import fanout as bench

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("streaming", total=len(bench.CASES))
        found = bench.measure(seconds, socketio, measured=lambda: progress.advance(task))
    if not only_json:
        _show_cases(found["cases"])
    _print({"bench": "fanout", **found})


@app.command()
def board(
    drivers: Annotated[int, typer.Option(min=1, max=5000, help="How many drivers move.")] = 5000,
    boards: Annotated[int, typer.Option(min=1, help="How many boards look on.")] = 50,
    seconds: Annotated[float, typer.Option(min=1, help="For how long each case runs.")] = 15,
    only_json: OnlyJson = False,
) -> None:
    """Measure bytes and CPU of boards, each with a screen of its own."""
    from benchmarks import boards as bench

    found = bench.measure(drivers, boards, seconds)
    if not only_json:
        _show_cases(found["cases"])
    _print({"bench": "board", **found})


@app.command()
def page(
    drivers: Annotated[int, typer.Option(min=1, max=5000, help="How many drivers move.")] = 5000,
    seconds: Annotated[float, typer.Option(min=2, help="For how long each case runs.")] = 10,
    only_json: OnlyJson = False,
) -> None:
    """Measure the board's page in Chromium: main-thread time a frame, and tasks that are too long."""
    try:
        from benchmarks import page as bench
    except ModuleNotFoundError as error:
        raise Refused(f"The package {error.name} is missing: `make install` in a checkout brings it.") from None
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("looking on", total=2 * len(bench.VIEWS))
        found = bench.measure(drivers, seconds, measured=lambda: progress.advance(task))
    if not only_json:
        _show_cases(found["cases"])
    _print({"bench": "page", **found})


@app.command()
def soak(
    drivers: Annotated[int, typer.Option(min=1, help="How many drivers are connected.")] = 10_000,
    viewers: Annotated[int, typer.Option(min=1, help="How many customers look on, a driver each.")] = 1_000,
    fix_every_s: Annotated[float, typer.Option(min=0.2, help="Seconds between two fixes of a driver.")] = 4.0,
    seconds: Annotated[float, typer.Option(min=5, help="For how long.")] = 300,
    only_json: OnlyJson = False,
) -> None:
    """Hold a city's worth of sockets for minutes: nothing lost, how late, how much memory, what is full first."""
    from benchmarks import soak as bench

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("a city drives", total=1.0)
        found = bench.measure(
            drivers, viewers, fix_every_s, seconds, seen=lambda share: progress.update(task, completed=share)
        )
    if not only_json:
        _show_cases([{"figure": name, "value": value} for name, value in found.items()])
    _print({"bench": "soak", **found})


@app.command()
def limit(
    drivers: Annotated[int, typer.Option(min=1, help="How many drivers are connected.")] = 10_000,
    viewers: Annotated[int, typer.Option(min=1, help="How many customers look on, a driver each.")] = 1_000,
    seconds: Annotated[float, typer.Option(min=5, help="For how long each rate is held.")] = 20,
    only_json: OnlyJson = False,
) -> None:
    """Find the highest rate of fixes at which viewers still see them within 250 ms, and what is full beyond it."""
    from benchmarks import soak as bench

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("ever faster", total=1.0)
        found = bench.search(drivers, viewers, seconds, seen=lambda share: progress.update(task, completed=share))
    if not only_json:
        _show_cases(found["steps"])
    _print({"bench": "limit", **found})


def _show_cases(cases: list[dict[str, Any]]) -> None:
    table = Table(*cases[0])
    for case in cases:
        table.add_row(*map(_cell, case.values()))
    console.print(table)


@app.command()
def gps(
    folder: Annotated[Path, typer.Argument(help="A folder of recorded traces, as their publishers name them.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same faults.")] = 1,
    data_dir: Annotated[Path, typer.Option(help="Where the servers' data lives; emptied at each start.")] = Path(
        ".onward/bench-gps"
    ),
    only_json: OnlyJson = False,
) -> None:
    """Send recorded traces through the real server, clean and over a bad network: is anything lost or different?"""
    from benchmarks import gps as bench
    from onward.terminal import log_as, settings_from

    settings = settings_from(data_dir=data_dir)
    log_as(settings, quiet=True)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("driving", total=None)
        found = bench.run_gps(
            settings,
            folder,
            seed,
            started=lambda total: progress.update(task, total=total),
            sent=lambda count: progress.advance(task, count),
        )
    if not only_json:
        names = ("file", "vehicles", "sent", "injected", "verdicts", "rejected", "lost", "teleports_shown")
        table = Table(*names, "fences", "fences_differ", show_lines=True)
        for row in found["files"]:
            table.add_row(*(_lines(row[str(column.header)]) for column in table.columns))
        console.print(table)
    _print({"bench": "gps", **found})


def _lines(value: object) -> str:
    return "\n".join(f"{name} {count}" for name, count in value.items()) if isinstance(value, dict) else _cell(value)


def _cell(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _print(result: dict[str, Any]) -> None:
    typer.echo(msgspec.json.encode(result))
