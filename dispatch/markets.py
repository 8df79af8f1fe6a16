"""Markets: drivers and deliveries that can't reach each other are planned apart, and at the same time.

One operator may work in a hundred cities, and a plan costs more than its parts.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace
from scipy.cluster.hierarchy import DisjointSet

from dispatch.engine.problem import REACH_MAX_S
from dispatch.worker import LiveDriver, OpenJob, Question
from geo.cells import cell_of, disk, rings_over
from geo.travel import TOP_SPEED_MPS

RESOLUTION: Final = 5
"""Cells of some 250 km²: few enough to compare, small enough to keep cities apart."""


def split(question: Question) -> list[Question]:
    """Return one question for each market that has work, with jobs and drivers in the order they had.

    A driver reaches the stores within an hour of where he is free; whom a dispatcher pinned goes anywhere.
    """
    stores = {job.id: cell_of(job.pickup, RESOLUTION) for job in question.jobs}
    cells = set(stores.values())
    if len(cells) < 2:
        return [question]
    markets: Any = DisjointSet(cells)
    reached: dict[UUID, set[str]] = {}
    pinned = _pinned(question, stores)
    for driver in question.drivers:
        here = cell_of(driver.route[-1].at if driver.route else driver.at, RESOLUTION)
        rings = rings_over(REACH_MAX_S * TOP_SPEED_MPS[driver.vehicle], RESOLUTION)
        mine = (disk(here, rings) & cells) | pinned[driver.id] | {stores[job] for job in driver.keeps}
        for cell in mine:
            markets.merge(cell, min(mine))
        reached[driver.id] = mine
    drivers: dict[str, list[LiveDriver]] = defaultdict(list)
    jobs: dict[str, list[OpenJob]] = defaultdict(list)
    for driver in question.drivers:
        if reached[driver.id]:
            drivers[markets[min(reached[driver.id])]].append(driver)
    for job in question.jobs:
        jobs[markets[stores[job.id]]].append(job)
    return [replace(question, drivers=tuple(drivers[root]), jobs=tuple(mine)) for root, mine in jobs.items()]


def _pinned(question: Question, stores: dict[UUID, str]) -> dict[UUID, set[str]]:
    """Return where drivers were sent by hand."""
    found: dict[UUID, set[str]] = defaultdict(set)
    for job in question.jobs:
        if job.pinned_to is not None:
            found[job.pinned_to].add(stores[job.id])
    return found
