"""The benchmark of recorded traces in small: over a bad network nothing is lost and nothing is told otherwise."""

from __future__ import annotations

import random

from benchmarks.gps import both_runs
from geo.distance import destination
from geo.point import Point
from onward.replay import Row
from tests.support.server import Onward


def a_round(seed: int) -> list[Row]:
    """Somebody rides off, stands for a minute, and rides on; a fix every five seconds."""
    chance = random.Random(seed)
    at, heading, rows = Point(60.17 + 0.01 * seed, 24.94), chance.uniform(0, 360), []
    for number in range(150):
        if not 60 <= number < 72:
            at = destination(at, heading + chance.uniform(-20, 20), 40)
        rows.append(Row(f"vehicle {seed}", 1_000_000 + 5.0 * number, at.lat, at.lng))
    return rows


async def test_traces_with_faults_lose_nothing_and_end_with_the_same_report(onward: Onward) -> None:
    """Duplicates, disorder, teleports, a tunnel in one batch, and a clock an hour off."""
    files = {"made": {f"vehicle {seed}": a_round(seed) for seed in range(6)}}
    found = await both_runs(onward.installation, onward.url, files, 3, lambda _: None)
    (row,) = found["files"]
    assert (row["lost"], row["fences_twice"], row["fences_differ"], row["teleports_shown"]) == (0, 0, 0, 0)
    assert row["fences"] == {"driver.approached": 6, "driver.arrived": 6, "driver.left": 6}
    assert row["clean"] == {"live": 900}
    assert row["injected"]["teleports"] == row["verdicts"]["jump"] > 0
    assert row["rejected"]["duplicate"] > 100
    assert row["injected"]["clocks_off"] == 1
