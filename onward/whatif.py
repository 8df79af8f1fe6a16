"""`onward replay --date`: a past day as it was, played as it is, and played as it could be, side by side."""

from __future__ import annotations

import asyncio
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from dispatch.policy import Policies, Policy, PolicyChange
from dispatch.whatif.change import Change, under
from dispatch.whatif.compare import Check, Comparison, Phase, Slice, Variant, compare
from dispatch.whatif.past import PastDay
from dispatch.whatif_store import read_day
from kernel.clock import SystemClock
from kernel.db import Database, Reason
from kernel.errors import Problem
from onward.config import Settings
from onward.errors import Refused
from onward.maps.store import map_of
from onward.travel import TravelFactory

DELIVERIES_MAX: Final = 20_000
HIDDEN: Final = frozenset({"paths", "doors", "cells"})
"""What only a map can show is left out of the line of JSON."""

console = Console(stderr=True, width=None if sys.stderr.isatty() else 200)


def read_policy(file: Path) -> PolicyChange:
    """Return the policy in a TOML or JSON file; raises `Refused` with what is wrong with it."""
    try:
        text = file.read_text()
        raw = tomllib.loads(text) if file.suffix == ".toml" else msgspec.json.decode(text)
        policy = msgspec.convert(raw, PolicyChange)
        under(Policies(Policy()), policy)
    except OSError as error:
        raise Refused(f"{file} can't be read: {error.strerror or error}.") from None
    except Problem as problem:
        raise Refused(f"{file}: {problem.detail}") from None
    except (ValueError, msgspec.DecodeError) as error:
        raise Refused(f"{file} is not a policy: {error}.") from None
    return policy


def run_whatif(settings: Settings, *, day: str, drivers: int, policy: Path | None, business: str | None) -> Comparison:
    """Play a day; return the answer. `day` is yesterday, today or YYYY-MM-DD. Raises `Refused` or `Problem`."""
    try:
        change = msgspec.convert({"drivers": drivers}, Change)
    except msgspec.ValidationError as error:
        raise Refused(f"--drivers: {error}.") from None
    if policy is not None:
        change = msgspec.structs.replace(change, policy=read_policy(policy))
    past, business_id = asyncio.run(_read(settings, day, business))
    with Progress(console=console, transient=True) as bar:
        tasks = {phase: bar.add_task(phase, total=1.0) for phase in ("baseline", "alternative")}

        def told(phase: Phase, share: float) -> None:
            bar.update(tasks[phase], completed=share)

        travel = TravelFactory(map_of(settings))()
        return compare(past, change, travel, told, of=business_id)


async def _read(settings: Settings, day: str, business: str | None) -> tuple[PastDay, UUID | None]:
    db = await Database.connect(settings.database_url, size_max=2)
    try:
        async with db.platform_tx(Reason.WHAT_IF, readonly=True) as con:
            rows = await con.fetch(
                """SELECT o.id, o.time_zone, b.id AS business_id FROM operators o
                   LEFT JOIN businesses b ON b.operator_id = o.id AND b.subdomain = $1
                   WHERE $1::text IS NULL OR b.id IS NOT NULL ORDER BY o.id""",
                business,
            )
        if not rows:
            raise Refused(
                "There is no operator here yet: run `onward init`, or `onward demo`."
                if business is None
                else f"There is no business {business}: use its name in links."
            )
        if len(rows) > 1:
            raise Refused("There are several operators here: choose a business with --business.")
        zone, now = ZoneInfo(rows[0]["time_zone"]), SystemClock().now()
        business_id = rows[0]["business_id"]
        past = await read_day(
            db, rows[0]["id"], business_id, a_day(day, now.astimezone(zone).date()), now, deliveries_max=DELIVERIES_MAX
        )
        return past, business_id
    finally:
        await db.close()


def a_day(text: str, today: date) -> date:
    """Return the day that a person means."""
    match text:
        case "today":
            return today
        case "yesterday":
            return today - timedelta(days=1)
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise Refused("--date: use yesterday, today, or a day like 2026-05-04.") from None


def tell(found: Comparison) -> None:
    """Show the answer to a person."""
    of = "" if found.business_id is None else f", {found.businesses[0].name}"
    what = f"{found.change.drivers:+d} drivers" if found.change.drivers else "the same drivers"
    console.print(f"\n[bold]{found.date}[/]{of}: as it is, against {what}{_policy(found.change.policy)}")
    table = Table("", "really", "as it is", "alternative", "difference", box=None, padding=(0, 2))
    for column in table.columns[1:]:
        column.justify = "right"
    for name, value, text in MEASURES:
        cells = [value(variant) for variant in (found.real, found.baseline, found.alternative)]
        gap = "" if cells[1] is None or cells[2] is None else text(cells[2] - cells[1])
        sign = "+" if gap and not gap.startswith("-") and any(digit in gap for digit in "123456789") else ""
        table.add_row(name, *("–" if cell is None else text(cell) for cell in cells), sign + gap)
    console.print(table)
    for title, slices in (("hour", found.hours), ("business", found.businesses)):
        console.print(_slices(title, slices))
    console.print(_trust(found.check))
    if found.left_out:
        console.print(
            "Left out: " + ", ".join(f"{n} {why.replace('_', ' ')}" for why, n in found.left_out.items()) + "."
        )


def as_json(found: Comparison) -> str:
    """Return the answer as one line for programs."""
    whole = msgspec.to_builtins(found)
    return msgspec.json.encode({name: value for name, value in whole.items() if name not in HIDDEN}).decode()


def _trust(check: Check) -> str:
    """Return in words how near the played day comes to the real one."""
    if check.click_to_door_s is None or check.door_off_s is None or check.same_driver is None:
        return "Nothing was delivered both really and as played: there is nothing to check the replay by."
    share, ways = check.click_to_door_share or 0.0, check.distance_share or 0.0
    return (
        f"The check: played as it is, a delivery takes {check.click_to_door_s / 60:+.1f} min ({100 * share:+.0f} %) to "
        f"what it really took, the ways {100 * ways:+.0f} %, late {check.late:+d}; a single door is "
        f"{_minutes(check.door_off_s)} min off, {100 * check.same_driver:.0f} % with the same driver. "
        + ("Near enough to build on." if check.near else "Not near: compare the two played days with care.")
    )


def _policy(policy: PolicyChange) -> str:
    fields = msgspec.to_builtins(policy)
    words = [f"{name} {value}" for name, value in (fields | fields.pop("weights", {})).items()]
    return ", " + ", ".join(words) if words else ""


def _slices(title: str, slices: list[Slice]) -> Table:
    table = Table(title, "deliveries", "to the door, min", "", "", "late", "", "", box=None, padding=(0, 2))
    table.add_row("", "", "really", "as it is", "alternative", "really", "as it is", "alternative", style="dim")
    for column in table.columns[1:]:
        column.justify = "right"
    for one in slices:
        days = (one.real, one.baseline, one.alternative)
        waits = ["–" if s.click_to_door_mean_s is None else _minutes(s.click_to_door_mean_s) for s in days]
        label = one.name or f"{(one.hour or 0) % 24:02d}:00"
        table.add_row(label, str(one.real.deliveries), *waits, *(str(s.late) for s in days))
    return table


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f}"


def _money(minor: float) -> str:
    return f"{minor / 100:.2f}"


def _kilometers(meters: float) -> str:
    return f"{meters / 1000:.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


MEASURES: Final[tuple[tuple[str, Callable[[Variant], Any], Callable[[Any], str]], ...]] = (
    ("deliveries", lambda v: v.service.deliveries, str),
    ("undelivered", lambda v: v.service.undelivered, str),
    ("click to door, mean min", lambda v: v.service.click_to_door_mean_s, _minutes),
    ("click to door, median min", lambda v: v.service.click_to_door_p50_s, _minutes),
    ("click to door, 90 % within min", lambda v: v.service.click_to_door_p90_s, _minutes),
    ("late", lambda v: v.service.late, str),
    ("late, min past the promise", lambda v: v.service.late_s, _minutes),
    ("drivers", lambda v: v.work.drivers, str),
    ("drivers' pay", lambda v: v.work.pay_minor, _money),
    ("drivers' pay per hour", lambda v: v.work.pay_per_hour_minor, _money),
    ("distance, km", lambda v: v.work.distance_m, _kilometers),
    ("of that empty, km", lambda v: v.work.empty_m, _kilometers),
    ("drivers busy, %", lambda v: v.work.utilisation, _percent),
    ("deliveries per trip", lambda v: v.work.deliveries_per_trip, lambda n: f"{n:.2f}"),
)
