"""What many boards cost the server: thousands of moving drivers, each board with a screen of its own."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.stand import LAT, LNG, SPAN_DEG, load, onward_stand

FIX_EVERY_S: Final = 5.0
CITY: Final = (LAT - 0.1, LNG - 0.1, LAT + SPAN_DEG + 0.1, LNG + SPAN_DEG + 0.1)
DISTRICT_DEG: Final = 0.04
CITY_STEP_M, DISTRICT_STEP_M = 75.0, 8.0
"""Two pixels: a whole city on a screen, and a district of four kilometres."""


def measure(drivers: int, boards: int, seconds: float) -> dict[str, Any]:
    """Measure boards that show a district, boards that show the whole city, and boards that do not say."""
    import uvloop

    return uvloop.run(_measure(drivers, boards, seconds))


async def _measure(drivers: int, boards: int, seconds: float) -> dict[str, Any]:
    async with onward_stand(drivers=drivers) as (stand, people):
        plan = {"seconds": seconds, "frames_per_s": 1 / FIX_EVERY_S, "drivers": people.driver_tokens}
        alone = await load(stand, plan)
        watched = {**plan, "viewers": [people.admin_token] * boards}
        cases = []
        for name, boxes, step_m in (
            ("district", _districts(), DISTRICT_STEP_M),
            ("city", [CITY], CITY_STEP_M),
            ("everything", [], 0.0),
        ):
            seen = await load(stand, {**watched, "boxes": boxes, "step_m": step_m})
            cpu_s = seen["cpu_s"]["server"] / seen["seconds"] - alone["cpu_s"]["server"] / alone["seconds"]
            cases.append(
                {
                    "screen": name,
                    "bytes_per_s": round(seen["viewer_bytes"] / seen["seconds"] / boards),
                    "frames_per_s": round(seen["heard"].get("frames", 0) / seen["seconds"] / boards, 1),
                    "positions_per_s": round(seen["heard"].get("positions", 0) / seen["seconds"] / boards),
                    "cpu_ms_per_s": round(1000 * cpu_s / boards, 2),
                    "p50_ms": round(seen["p50_ms"], 1),
                    "p99_ms": round(seen["p99_ms"], 1),
                }
            )
    return {
        "drivers": drivers,
        "boards": boards,
        "cases": cases,
        "cpu_ms_per_s_without_boards": round(1000 * alone["cpu_s"]["server"] / alone["seconds"]),
    }


def _districts() -> list[tuple[float, float, float, float]]:
    """Return the districts of the city, row by row."""
    count = round(SPAN_DEG / DISTRICT_DEG)
    corners = [
        (LAT + row * DISTRICT_DEG, LNG + column * DISTRICT_DEG) for row in range(count) for column in range(count)
    ]
    return [(south, west, south + DISTRICT_DEG, west + DISTRICT_DEG) for south, west in corners]
