"""Arrival times against real trips, learned as they go: a trip is estimated when it starts and teaches when it ends.

Half way each is estimated once more, from there. The estimates are the server's own (`dispatch/learning`, `geo/eta`).
Trips as in the ECML/PKDD 2015 taxi set: a polyline with a fix every 15 s. Left out are trips with gaps or jumps,
detours, and very short or long ones.
"""

from __future__ import annotations

import csv
import gzip
import heapq
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from dispatch.accuracy import Outcome, accuracy
from dispatch.learning import Arrival, Learned, Ride, hour_of_week, learn
from geo.distance import meters_between
from geo.eta import SETTLE_S, Eta, Leg, eta_chain
from geo.point import Point, as_array
from geo.travel import TravelTimes, Vehicle

PERIOD_S: Final = 15
TRIP_MIN_S: Final = 120
TRIP_MAX_S: Final = 5_400
CROW_MIN_M: Final = 400
JUMP_MPS: Final = 60
DETOUR_MAX: Final = 2.5


class Trip(msgspec.Struct, frozen=True):
    """One trip: when, from where, to where, in how many seconds; and where it was half way, with how many to go."""

    started_at: datetime
    start: Point
    end: Point
    actual_s: int
    middle: Point
    left_s: int


def read_trips(file: Path) -> tuple[list[Trip], dict[str, int]]:
    """Return the trips by their start, and how many were left out for what."""
    trips, left_out = [], Counter[str]()
    with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8", newline="") as text:
        for line in csv.DictReader(text):
            path = [Point(lat, lng) for lng, lat in json.loads(line["POLYLINE"])]
            why = "gaps" if line["MISSING_DATA"] == "True" else _unfit(path)
            if why is not None:
                left_out[why] += 1
                continue
            at = datetime.fromtimestamp(int(line["TIMESTAMP"]), UTC)
            fixes, half = len(path) - 1, len(path) // 2
            trips.append(Trip(at, path[0], path[-1], PERIOD_S * fixes, path[half], PERIOD_S * (fixes - half)))
    return sorted(trips, key=lambda trip: trip.started_at), dict(left_out)


def _unfit(path: Sequence[Point]) -> str | None:
    if not TRIP_MIN_S <= PERIOD_S * (len(path) - 1) <= TRIP_MAX_S:
        return "duration"
    steps_m = [meters_between(a, b) for a, b in pairwise(path)]
    if max(steps_m) > JUMP_MPS * PERIOD_S:
        return "jumps"
    crow_m = meters_between(path[0], path[-1])
    if crow_m < CROW_MIN_M:
        return "short"
    return "detour" if sum(steps_m) > DETOUR_MAX * crow_m else None


def run(trips: list[Trip], travel: TravelTimes) -> dict[str, Any]:
    """Play the trips in their order; return the figures as shipped and as learned, the latter also of the last half."""
    shipped, shipped_half_way = _play(trips, travel, learning=False)
    learned, learned_half_way = _play(trips, travel, learning=True)
    half = len(trips) // 2
    return {
        "trips": len(trips),
        "source": travel.source,
        "static": _figures(shipped),
        "learned": _figures(learned),
        "static_last_half": _figures(shipped[half:]),
        "learned_last_half": _figures(learned[half:]),
        "static_half_way": _figures(shipped_half_way),
        "learned_half_way": _figures(learned_half_way),
    }


Told = tuple[Outcome, int]
"""What was told of a trip and what became of it, with the second that one in ten arrivals should be before."""


def _play(trips: list[Trip], travel: TravelTimes, *, learning: bool) -> tuple[list[Told], list[Told]]:
    """Return what was told of each trip at its start, and half way."""
    known = Learned()
    under_way: list[tuple[float, int, Ride, Arrival]] = []
    outcomes: list[Told] = []
    half_way: list[Told] = []
    for number, trip in enumerate(trips):
        while under_way and under_way[0][0] <= trip.started_at.timestamp():
            known = learn(known, heapq.heappop(under_way)[2:])
        found = travel.seconds(as_array([trip.start, trip.middle]), as_array([trip.end]), Vehicle.CAR)
        provider_s, rest_s = int(found[0, 0]), int(found[1, 0])
        estimate = eta_chain([Leg(known.ride_s(travel.source, Vehicle.CAR, trip.started_at, provider_s))])[0]
        told = known.spread.corrected(estimate) if learning else estimate
        outcomes.append((Outcome(told.p50_s, told.p90_s, trip.actual_s, travel.source), _p10_s(known, estimate)))
        rest = eta_chain([Leg(known.left_s(travel.source, Vehicle.CAR, trip.started_at, rest_s))])[0]
        half_way.append((Outcome(rest.p50_s, rest.p90_s, trip.left_s, travel.source), _p10_s(known, rest)))
        if learning:
            hour = hour_of_week(trip.started_at)
            ride = Ride(travel.source, Vehicle.CAR, hour, provider_s, trip.actual_s)
            ended_s = trip.started_at.timestamp() + trip.actual_s
            heapq.heappush(under_way, (ended_s, number, ride, Arrival(estimate.p50_s, trip.actual_s)))
    return outcomes, half_way


def _p10_s(known: Learned, estimate: Eta) -> int:
    """Return the tenth percentile; before anything is known it mirrors the ninetieth."""
    prior_s = (estimate.p50_s + SETTLE_S) ** 2 / (estimate.p90_s + SETTLE_S) - SETTLE_S
    return known.spread.quantile_s(estimate.p50_s, round(prior_s), 0.1)


def _figures(outcomes: list[Told]) -> dict[str, Any]:
    found = accuracy([one for one, _ in outcomes])
    assert found is not None
    inside = [p10_s <= one.actual_s <= one.p90_s for one, p10_s in outcomes]
    return {**msgspec.structs.asdict(found), "p10_p90_cover": round(float(np.mean(inside)), 4)}
