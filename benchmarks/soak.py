"""A city's worth of sockets for minutes: is anything lost, how late is it, does memory stay, what is full first?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks.stand import Stand, load, onward_stand
from kernel.db import Reason

SAMPLE_S: Final = 5.0
P99_MAX_MS: Final = 250.0
STEPS: Final = (4.0, 2.5, 2.0, 1.6, 1.3, 1.1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""Seconds between two fixes of a driver, ever less."""
KEPT_DEADLINE_S: Final = 60.0
_KEPT: Final = "SELECT count(*) FROM driver_locations"


def measure(
    drivers: int, viewers: int, fix_every_s: float, seconds: float, *, seen: Callable[[float], None] = lambda _: None
) -> dict[str, Any]:
    """Run it; `seen` is told how far it came, from 0 to 1."""
    import uvloop

    return uvloop.run(_measure(drivers, viewers, fix_every_s, seconds, seen))


def search(
    drivers: int, viewers: int, seconds: float, *, seen: Callable[[float], None] = lambda _: None
) -> dict[str, Any]:
    """Speak ever more often until viewers wait too long or acks are missing; name the highest rate that went well, and
    what was full when it did no more.
    """
    import uvloop

    return uvloop.run(_search(drivers, viewers, seconds, seen))


async def _search(drivers: int, viewers: int, seconds: float, seen: Callable[[float], None]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    async with onward_stand(drivers=drivers, deliveries=viewers, pinned=False) as (stand, people):
        for number, fix_every_s in enumerate(STEPS):
            plan = {
                "seconds": seconds,
                "frames_per_s": 1 / fix_every_s,
                "drivers": people.driver_tokens,
                "viewers": people.tracking_tokens,
            }
            found = await load(stand, plan, pinned=False)
            steps.append(_step(found))
            seen((number + 1) / len(STEPS))
            if not steps[-1]["well"]:
                break
    well = [step for step in steps if step["well"]]
    busy = steps[-1]["percent_of_a_core"]
    return {
        "drivers": drivers,
        "viewers": viewers,
        "p99_max_ms": P99_MAX_MS,
        "steps": steps,
        "highest_fixes_per_s": max((step["fixes_per_s"] for step in well), default=0),
        "full_first": max(busy, key=lambda name: busy[name]),
    }


def _step(found: dict[str, Any]) -> dict[str, Any]:
    busy = {**found["cpu_s"], "generator": found["generator_cpu_s"]}
    return {
        "fixes_per_s": round(found["fixes"] / found["seconds"]),
        "p50_ms": round(found["p50_ms"], 1),
        "p99_ms": round(found["p99_ms"], 1),
        "unacked_frames": found["unacked_frames"],
        "well": found["p99_ms"] <= P99_MAX_MS and not (found["unacked_frames"] or found["nacks"] or found["closed"]),
        "percent_of_a_core": {name: round(100 * cpu_s / found["seconds"]) for name, cpu_s in busy.items()},
    }


async def _measure(
    drivers: int, viewers: int, fix_every_s: float, seconds: float, seen: Callable[[float], None]
) -> dict[str, Any]:
    async with onward_stand(drivers=drivers, deliveries=viewers, pinned=False) as (stand, people):
        plan = {
            "seconds": seconds,
            "frames_per_s": 1 / fix_every_s,
            "drivers": people.driver_tokens,
            "viewers": people.tracking_tokens,
        }
        running = asyncio.create_task(load(stand, plan, pinned=False))
        began, memory_mb = time.monotonic(), []
        while not running.done():
            await asyncio.wait({running}, timeout=SAMPLE_S)
            memory_mb.append(stand.rss_kb() / 1024)
            seen(min(1.0, (time.monotonic() - began) / (seconds + drivers / 400)))
        found = await running
        said = found["fixes"] + drivers  # everybody spoke once before the clock ran
        kept = await _kept(stand, said)
    busy = {name: round(100 * cpu_s / found["seconds"], 1) for name, cpu_s in found["cpu_s"].items()}
    last_minute = max(1, round(60 / SAMPLE_S))
    return {
        "drivers": drivers,
        "viewers": viewers,
        "seconds": round(found["seconds"]),
        "fixes": said,
        "lost": said - kept,
        "unacked_frames": found["unacked_frames"],
        "closed": found["closed"],
        "nacks": found["nacks"],
        "p50_ms": round(found["p50_ms"], 1),
        "p99_ms": round(found["p99_ms"], 1),
        "max_ms": round(found["max_ms"], 1),
        "percent_of_a_core": busy,
        "connected_mb": round(found["connected_kb"] / 1024),
        "end_mb": round(memory_mb[-1]),
        "grown_in_the_last_minute_mb": round(memory_mb[-1] - memory_mb[-min(last_minute, len(memory_mb))], 1),
    }


async def _kept(stand: Stand, said: int) -> int:
    """Return how many fixes history has, once the writer has come to the end."""
    assert stand.db is not None
    deadline = time.monotonic() + KEPT_DEADLINE_S
    while True:
        async with stand.db.platform_tx(Reason.ADMIN, readonly=True) as con:
            kept: int = await con.fetchval(_KEPT)
        if kept >= said or time.monotonic() > deadline:
            return kept
        await asyncio.sleep(0.5)
