"""The same day twice through the engine, as it is and as it could be, beside what really happened.

The day played as it is should come near the real one: how near it does is told, so that people know how far to trust
the difference between the two played days.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal
from uuid import UUID

import msgspec

from dispatch.whatif.change import Change, changed
from dispatch.whatif.outcome import Outcome, Service, Work, as_it_was, service, work
from dispatch.whatif.past import PastDay
from dispatch.whatif.played import play
from dispatch.whatif.roads import legs_of
from geo.cells import cell_of, outline
from geo.travel import TravelTimes
from kernel.errors import Problem
from kernel.ids import Kind, show, show_or_none

HOUR_S: Final = 3_600
NEAR: Final = 0.1
"""A played day whose times and ways are so near the real one's (as a share of them) is one to build on."""
CELL_RESOLUTIONS: Final = (9, 8, 7)
PER_CELL_MIN: Final = 3.0
"""Cells of about 350 m, 900 m or 2.4 km across: the smallest that hold so many deliveries on average."""

Phase = Literal["baseline", "alternative"]
Told = Callable[[Phase, float], None]


class Slice(msgspec.Struct, frozen=True):
    """An hour of the day (by when the order was placed, from 0 at the local midnight) or a business, in three days."""

    real: Service
    baseline: Service
    alternative: Service
    hour: int | None = None
    business_id: str | None = None
    name: str | None = None


class Cell(msgspec.Struct, frozen=True):
    """A piece of the town, its corners as (lat, lng), and how the doors in it were served in three days."""

    corners: list[tuple[float, float]]
    real: Service
    baseline: Service
    alternative: Service


class Check(msgspec.Struct, frozen=True):
    """How near the day played as it is comes to the real one, of what was delivered in both: played less real.

    `door_off_s` is by how much a single door is off, on average; `same_driver` the share that the same driver brought;
    `near` says whether times to the door and metres are within a tenth.
    """

    deliveries: int
    click_to_door_s: int | None
    click_to_door_share: float | None
    door_off_s: int | None
    late: int
    distance_m: int
    distance_share: float | None
    same_driver: float | None
    near: bool


class Variant(msgspec.Struct, frozen=True):
    """One of the three days in figures."""

    service: Service
    work: Work


class Path(msgspec.Struct, frozen=True):
    """One driver's day: [lat, lng, second of the day] of where he set off from and arrived, in both played days."""

    driver_id: str
    name: str | None
    pool: str
    baseline: list[tuple[float, float, int]]
    alternative: list[tuple[float, float, int]]


class Door(msgspec.Struct, frozen=True):
    """One delivery's door and how many seconds past the promise it was served; None where it was not."""

    lat: float
    lng: float
    real_late_s: int | None
    baseline_late_s: int | None
    alternative_late_s: int | None


class Comparison(msgspec.Struct, frozen=True):
    """The answer: what really happened, the played day as it is, and the alternative."""

    date: str
    time_zone: str
    business_id: str | None
    currency: str
    change: Change
    travel: str
    left_out: dict[str, int]
    real: Variant
    baseline: Variant
    alternative: Variant
    check: Check
    hours: list[Slice]
    businesses: list[Slice]
    cells: list[Cell]
    paths: list[Path]
    doors: list[Door]


def compare(
    day: PastDay, change: Change, travel: TravelTimes, told: Told = lambda phase, share: None, *, of: UUID | None = None
) -> Comparison:
    """Play a day as it is and as it could be; `of` is the business whose day it is. Raises `Problem`s with words."""
    check(day)
    other = changed(day, change)
    legs, source, places = legs_of(day, travel)
    baseline = play(day, legs, places, lambda share: told("baseline", share))
    alternative = play(other, legs, places, lambda share: told("alternative", share))
    real = as_it_was(day)
    days = (real, baseline, alternative)

    def cut(numbers: list[int]) -> tuple[Service, Service, Service]:
        first, second, third = (service(day.deliveries, outcome, numbers) for outcome in days)
        return first, second, third

    everything = list(range(len(day.deliveries)))
    by_hour: dict[int, list[int]] = {}
    by_business: dict[UUID, list[int]] = {}
    for number, one in enumerate(day.deliveries):
        by_hour.setdefault(one.placed_s // HOUR_S, []).append(number)
        by_business.setdefault(one.business_id, []).append(number)
    whole = cut(everything)
    took = (work(day, real), work(day, baseline), work(other, alternative))
    return Comparison(
        date=day.date,
        time_zone=day.time_zone,
        business_id=show_or_none(Kind.BUSINESS, of),
        currency=day.currency,
        change=change,
        travel=source,
        left_out=day.left_out,
        real=Variant(whole[0], took[0]),
        baseline=Variant(whole[1], took[1]),
        alternative=Variant(whole[2], took[2]),
        check=_check(day, real, baseline),
        hours=[Slice(*cut(numbers), hour=hour) for hour, numbers in sorted(by_hour.items())],
        businesses=[
            Slice(*cut(numbers), business_id=show(Kind.BUSINESS, business_id), name=day.businesses[business_id])
            for business_id, numbers in sorted(by_business.items(), key=lambda item: (-len(item[1]), item[0]))
        ],
        cells=[Cell(outline(cell), *cut(numbers)) for cell, numbers in sorted(_by_cell(day).items())],
        paths=_paths(other, day, baseline, alternative),
        doors=[
            Door(one.dropoff.lat, one.dropoff.lng, *(_late(outcome, number, one.promised_s) for outcome in days))
            for number, one in enumerate(day.deliveries)
        ],
    )


def check(day: PastDay) -> None:
    """Raise `no_day` when there is nothing to play."""
    if not day.deliveries:
        raise Problem(
            "no_day", f"There are no deliveries on {day.date}. Choose another day, or make one with `onward demo`."
        )
    if not day.shifts:
        raise Problem("no_day", f"Nobody worked on {day.date}, so there is nobody to play the day with.")


def _check(day: PastDay, real: Outcome, played: Outcome) -> Check:
    both = [number for number in real.door_s if number in played.door_s]
    first, second = service(day.deliveries, real, both), service(day.deliveries, played, both)
    ways = work(day, real).distance_m, work(day, played).distance_m
    gap_s = share = off_s = None
    if first.click_to_door_mean_s is not None and second.click_to_door_mean_s is not None:
        gap_s = second.click_to_door_mean_s - first.click_to_door_mean_s
        share = round(gap_s / max(1, first.click_to_door_mean_s), 4)
        off_s = round(sum(abs(played.door_s[number] - real.door_s[number]) for number in both) / len(both))
    ways_share = round((ways[1] - ways[0]) / ways[0], 4) if ways[0] else None
    same = sum(real.driver[number] == played.driver[number] for number in both)
    return Check(
        deliveries=len(both),
        click_to_door_s=gap_s,
        click_to_door_share=share,
        door_off_s=off_s,
        late=second.late - first.late,
        distance_m=ways[1] - ways[0],
        distance_share=ways_share,
        same_driver=round(same / len(both), 3) if both else None,
        near=share is not None and ways_share is not None and max(abs(share), abs(ways_share)) <= NEAR,
    )


def _by_cell(day: PastDay) -> dict[str, list[int]]:
    """Return the deliveries by the cell of their door, in cells that hold some each."""
    found: dict[str, list[int]] = {}
    for resolution in CELL_RESOLUTIONS:
        found = {}
        for number, one in enumerate(day.deliveries):
            found.setdefault(cell_of(one.dropoff, resolution), []).append(number)
        if len(day.deliveries) >= PER_CELL_MIN * len(found):
            break
    return found


def _late(outcome: Outcome, number: int, promised_s: int) -> int | None:
    return max(0, outcome.door_s[number] - promised_s) if number in outcome.door_s else None


def _paths(other: PastDay, day: PastDay, baseline: Outcome, alternative: Outcome) -> list[Path]:
    known = {shift.driver_id: shift for shift in (*other.shifts, *day.shifts)}
    lines: list[dict[UUID, list[tuple[float, float, int]]]] = []
    for outcome in (baseline, alternative):
        mine: dict[UUID, list[tuple[float, float, int]]] = {}
        for move in sorted(outcome.moves, key=lambda move: move.at_s):
            line = mine.setdefault(move.driver_id, [(move.start.lat, move.start.lng, move.at_s)])
            line.append((move.end.lat, move.end.lng, move.at_s))
        lines.append(mine)
    return [
        Path(
            show(Kind.DRIVER, driver_id),
            shift.name,
            shift.pool,
            lines[0].get(driver_id, []),
            lines[1].get(driver_id, []),
        )
        for driver_id, shift in sorted(known.items(), key=lambda item: (item[1].name or "~", item[0]))
    ]
