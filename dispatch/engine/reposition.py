"""Where idle drivers should wait: near the stores that work comes from and that nobody else stands near.

A move is advised when it shortens the expected way to the coming pickups by more than it takes, and only a short way:
a driver under way to a waiting place is lost to everybody else for as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import numpy as np

from dispatch.engine.plan import Move
from dispatch.engine.problem import NOWHERE, Ints, Problem

MOVE_MAX_S: Final = 480
WAY_MAX_S: Final = 1_800
SOON_S: Final = 1_500
COMING_JOBS: Final = 10.0
GAIN_MIN: Final = 0.5
LEFT_MIN_S: Final = 600

Place = TypeVar("Place")


def expected(orders: Mapping[Place, int]) -> dict[Place, float]:
    """Return each store's expected share of the coming orders, by how many it had; all that are known, also with none.

    Each counts as if it had had one more: a store's orders of a day are few, and those of its last hour mostly chance.
    """
    total = sum(orders.values()) + len(orders)
    return {store: (count + 1) / total for store, count in orders.items()}


def advise(problem: Problem, busy: set[int]) -> tuple[Move, ...]:
    """Return advice to the drivers who are free now and have nothing planned."""
    around = [
        number
        for number, driver in enumerate(problem.drivers)
        if number not in busy and driver.free_s <= SOON_S and driver.off_s > LEFT_MIN_S and driver.heading_to == NOWHERE
    ]
    idle = [position for position, number in enumerate(around) if problem.drivers[number].free_s <= 0]
    if not idle or not problem.demand:
        return ()
    places = np.array([place for place, _ in problem.demand], np.int64)
    share = np.array([weight for _, weight in problem.demand]) * COMING_JOBS
    here = np.array([problem.drivers[number].place for number in around], np.int64)
    vehicle = np.array([problem.drivers[number].vehicle for number in around], np.int64)
    free_s = np.array([max(0, problem.drivers[number].free_s) for number in around], np.int64)
    way = np.minimum(
        problem.legs.seconds(here[:, None], places[None, :], vehicle[:, None]) + free_s[:, None], WAY_MAX_S
    )
    between = problem.legs.seconds(places[:, None], places[None, :], problem.usual_vehicle())
    nearest, first_s, second_s = _two_nearest(way)
    moves: list[Move] = []
    for position in idle:
        others = np.where(nearest == position, second_s, first_s)
        near = np.flatnonzero((way[position] <= MOVE_MAX_S) & (way[position] > 0))
        if not len(near):
            continue
        now = float((share * np.minimum(others, way[position])).sum())
        then = (np.minimum(others, between[near]) * share).sum(axis=1)
        best = int(then.argmin())
        saves = now - float(then[best])
        if saves > GAIN_MIN * (int(way[position, near[best]]) + 60):
            target = int(near[best])
            moves.append(Move(around[position], int(places[target]), round(saves)))
            way[position] = np.minimum(between[target], WAY_MAX_S)
            nearest, first_s, second_s = _two_nearest(way)
    return tuple(moves)


def _two_nearest(way: Ints) -> tuple[Ints, Ints, Ints]:
    """Return who is nearest to each place, and how far he and the next one are; `way` (drivers, places) in seconds."""
    nearest, places = way.argmin(axis=0), np.arange(way.shape[1])
    rest = way.copy()
    rest[nearest, places] = WAY_MAX_S
    return nearest, way[nearest, places], rest.min(axis=0)
