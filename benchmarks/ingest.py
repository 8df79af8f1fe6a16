"""What a fix costs on its way in: the whole server path, beside a bare echo of the same frames and raw GEOADDs.

What the server spends while all drivers are connected and silent (it dispatches, looks after alerts, and so on) is
measured first, told as `idle_cpu_ms_per_s`, and taken off.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks.stand import Stand, load, onward_stand, peer_stand
from kernel.redis import connect

DRIVERS: Final = 400
"""In each case others: what was saved up follows on what was sent, as on a phone that had no network."""
CASES: Final = ((1, 8.0), (1, 25.0), (5, 8.0), (50, 0.5), (50, 2.0))
"""Fixes a frame, and frames a second of each driver: with little to do, and with a core well used, where it counts."""
GEOADD_BATCH: Final = 20


def measure(seconds: float, *, measured: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Run every case for so many seconds; return one row a case."""
    import uvloop

    return uvloop.run(_measure(seconds, measured))


async def _measure(seconds: float, measured: Callable[[], None]) -> dict[str, Any]:
    cases: list[dict[str, Any]] = []
    async with (
        onward_stand(drivers=DRIVERS * len(CASES)) as (stand, people),
        peer_stand("-m", "benchmarks.floors") as bare,
    ):
        silent = await load(stand, {"seconds": seconds, "frames_per_s": 0.0, "drivers": people.driver_tokens[:DRIVERS]})
        idle = {name: cpu_s / silent["seconds"] for name, cpu_s in silent["cpu_s"].items()}
        for number, (fixes_per_frame, frames_per_s) in enumerate(CASES):
            plan = {
                "seconds": seconds,
                "frames_per_s": frames_per_s,
                "fixes_per_frame": fixes_per_frame,
                "drivers": people.driver_tokens[number * DRIVERS : (number + 1) * DRIVERS],
            }
            ours = await load(stand, plan)
            echo = await load(bare, {**plan, "protocol": "echo"})
            measured()
            cases.append(_case(fixes_per_frame, ours, echo, idle))
        geoadd = await _raw_geoadd(stand)
        measured()
    return {"drivers": DRIVERS, "cases": cases, "idle_cpu_ms_per_s": round(1000 * idle["server"], 1), **geoadd}


def _case(fixes_per_frame: int, ours: dict[str, Any], echo: dict[str, Any], idle: dict[str, float]) -> dict[str, Any]:
    spent_us = {name: 1e6 * (cpu_s - idle[name] * ours["seconds"]) for name, cpu_s in ours["cpu_s"].items()}
    per_frame = spent_us["server"] / ours["frames"]
    echo_per_frame = 1e6 * echo["cpu_s"]["server"] / echo["frames"]
    return {
        "fixes_per_frame": fixes_per_frame,
        "frames_per_s": round(ours["frames"] / ours["seconds"]),
        "fixes_per_s": round(ours["fixes"] / ours["seconds"]),
        "percent_of_a_core": round(100 * ours["cpu_s"]["server"] / ours["seconds"]),
        "cpu_us_per_fix": round(per_frame / fixes_per_frame, 2),
        "valkey_us_per_fix": round(spent_us["valkey"] / ours["fixes"], 2),
        "postgres_us_per_fix": round(spent_us["postgres"] / ours["fixes"], 2),
        "cpu_us_per_frame": round(per_frame, 1),
        "echo_us_per_frame": round(echo_per_frame, 1),
        "ratio_to_echo": round(per_frame / echo_per_frame, 2),
        "unacked_frames": ours["unacked_frames"],
        "rejected": {k.removeprefix("rejected_"): n for k, n in ours["heard"].items() if k.startswith("rejected_")},
    }


async def _raw_geoadd(stand: Stand) -> dict[str, Any]:
    """Return what redis-py and Valkey spend on a position when nothing else is done: pipelines of single GEOADDs."""
    redis = connect(stand.redis_url)
    rounds, chance = 200, random.Random(1)
    before, began = stand.cpu_s()["valkey"], time.process_time()
    for _ in range(rounds):
        pipe = redis.pipeline(transaction=False)
        for n in range(GEOADD_BATCH):
            pipe.geoadd("bench:geo", (24.9 + chance.random(), 60.1 + chance.random(), f"d{n}"))
        await pipe.execute()
    count = rounds * GEOADD_BATCH
    client_us = 1e6 * (time.process_time() - began) / count
    await redis.delete("bench:geo")
    await redis.aclose()
    return {
        "geoadd_client_us": round(client_us, 2),
        "geoadd_valkey_us": round(1e6 * (stand.cpu_s()["valkey"] - before) / count, 2),
    }
