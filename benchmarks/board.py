"""What 5,000 moving drivers cost the board: the page's own work, in a real browser on the real server.

`python -m benchmarks.board [--drivers N] [--seconds S]` makes a throw-away installation, writes fixes through the real
ingest at one a driver and second, first with the map at rest, then while it is panned, and prints one line of JSON:
`main_thread_ms_per_s` and `script_ms_per_s` (of 1,000), `frames_per_s` and `position_frames_per_s`.
Frames per second depend on what draws them; without a graphics card that is the processor.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
from playwright.async_api import CDPSession, Page, async_playwright

from kernel.clock import SystemClock
from kernel.db import Reason
from kernel.ids import new_id
from onward.compose import Installation
from onward.config import Settings
from onward.demo import bundled_helsinki
from onward.embedded import embedded
from onward.maps.importer import import_map
from onward.maps.store import maps_folder
from onward.processes import running
from tenancy import service
from tracking.ingest import Ingest
from tracking.wire import WireFix

ROUNDS_PER_S: Final = 20
SOUTH, WEST, NORTH_SOUTH, WEST_EAST = 60.155, 24.90, 0.035, 0.09
FLAGS: Final = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic"]
COUNT_FRAMES: Final = """() => {
  window.frames_drawn = 0;
  const one = () => { window.frames_drawn += 1; requestAnimationFrame(one); };
  requestAnimationFrame(one);
}"""


async def main(drivers: int, seconds: float) -> dict[str, Any]:
    """Run it; return the figures."""
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder) / "data", for_tests=True) as servers:
        import_map(bundled_helsinki(), maps_folder(Path(folder)) / "helsinki", name="helsinki")
        settings = Settings(
            database_url=servers.database_url, redis_url=servers.redis_url, data_dir=Path(folder), port=0
        )
        async with running(settings) as (installation, url), async_playwright() as playwright:
            operator_id, ids, token = await _people(installation, drivers)
            browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            page = await browser.new_page(viewport={"width": 1440, "height": 900})
            traffic = asyncio.create_task(_drive(installation, operator_id, ids))
            try:
                await page.goto(f"{url}/board/#{token}")
                await page.get_by_text("Live", exact=True).wait_for()
                await asyncio.sleep(8)
                return {
                    "drivers": drivers,
                    "rest": await _measure(page, seconds, pan=False),
                    "panned": await _measure(page, seconds, pan=True),
                }
            finally:
                traffic.cancel()
                await asyncio.gather(traffic, return_exceptions=True)
                await browser.close()


async def _people(installation: Installation, drivers: int) -> tuple[UUID, list[UUID], str]:
    """Make an operator, somebody to look, and the drivers, all on shift."""
    ids = [new_id() for _ in range(drivers)]
    async with installation.db.platform_tx(Reason.SEED) as con:
        operator_id = await service.create_operator(con, name="Many", currency="EUR")
        admin = await service.create_user(
            con, operator_id=operator_id, email="a@example.com", password_hash="", name="A", role="platform_admin"
        )
        await con.executemany(
            "INSERT INTO users (id, email, password_hash, name) VALUES ($1, $2, '', $3)",
            [(one, f"d{n}@example.com", f"Driver {n:04d}") for n, one in enumerate(ids)],
        )
        await con.execute(
            """INSERT INTO driver_profiles (id, operator_id, user_id, name, vehicle, pool, state)
               SELECT id, $2, id, name, 'bicycle', 'shared_pool', 'available' FROM users WHERE id = ANY($1)""",
            ids,
            operator_id,
        )
        token = await service.open_session(con, user_id=admin, now=SystemClock().now())
    return operator_id, ids, token


async def _drive(installation: Installation, operator_id: UUID, ids: list[UUID]) -> None:
    """Send each driver's fix once a second, spread over the second, until cancelled."""
    ingest, share, turn = installation.parts[Ingest], len(ids) // ROUNDS_PER_S, 0
    sources = [await ingest.meet(operator_id, driver_id, "phone") for driver_id in ids]
    while True:
        began = time.monotonic()
        for n in range((turn % ROUNDS_PER_S) * share, (turn % ROUNDS_PER_S + 1) * share):
            lat = SOUTH + NORTH_SOUTH * ((n * 7919 % len(ids)) / len(ids)) + turn * 1e-6
            lng = WEST + WEST_EAST * (n / len(ids))
            ingest.add(sources[n], 0, [WireFix(int(time.time() * 1000), lat, lng, 5.0, 3.0)], _durable)
        turn += 1
        await asyncio.sleep(max(0.0, 1 / ROUNDS_PER_S - (time.monotonic() - began)))


def _durable(_seq: int, _rejected: Mapping[str, int]) -> None:
    """Nobody waits for the ack."""


async def _measure(page: Page, seconds: float, *, pan: bool) -> dict[str, float]:
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    heard = Counter[str]()
    await session.send("Network.enable")
    session.on("Network.webSocketFrameReceived", lambda event: heard.update([event["response"]["payloadData"][9:18]]))
    await page.evaluate(COUNT_FRAMES)
    before, began = await _spent(session), time.monotonic()
    while time.monotonic() - began < seconds:
        if pan:
            await _stroke(page)
        else:
            await asyncio.sleep(0.2)
    lasted, after = time.monotonic() - began, await _spent(session)
    frames = await page.evaluate("window.frames_drawn")
    await session.detach()
    return {
        "main_thread_ms_per_s": round(1000 * (after["TaskDuration"] - before["TaskDuration"]) / lasted),
        "script_ms_per_s": round(1000 * (after["ScriptDuration"] - before["ScriptDuration"]) / lasted),
        "frames_per_s": round(frames / lasted, 1),
        "position_frames_per_s": round(heard["positions"] / lasted, 1),
    }


async def _stroke(page: Page) -> None:
    """Drag the map to the left and back."""
    for start, end in ((1100, 700), (700, 1100)):
        await page.mouse.move(start, 500)
        await page.mouse.down()
        await page.mouse.move(end, 500, steps=12)
        await page.mouse.up()


async def _spent(session: CDPSession) -> dict[str, float]:
    answer = await session.send("Performance.getMetrics")
    return {metric["name"]: metric["value"] for metric in answer["metrics"]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--drivers", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=15.0)
    args = parser.parse_args()
    print(msgspec.json.encode(asyncio.run(main(args.drivers, args.seconds))).decode())
