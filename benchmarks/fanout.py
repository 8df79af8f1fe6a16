"""What a position costs on its way out, beside a bare relay of prepared frames and Socket.IO, where Node has it.

Half of the drivers are watched. They and the others speak in turns of a second: the difference, over the messages that
viewers received, is what delivering one costs, whatever else the machine does meanwhile. Ours stores, acknowledges and
keeps every fix of both; the relay and Socket.IO do nothing of the kind. So there is a second Socket.IO, with its Redis
adapter, that keeps the newest positions as we do: with it whole servers are compared, everything they spend over what
they deliver.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.stand import Stand, load, onward_stand, peer_stand

CASES: Final = ((1, 400, 4.0), (10, 100, 4.0), (100, 20, 4.0))
"""Viewers of each driver, drivers who are watched, and frames a second of each."""
TURN_S: Final = 1.0
IDLE_VIEWERS: Final = 2_000
WARM_UP_S: Final = 12.0
SCRIPT: Final = Path(__file__).parent / "socketio.mjs"


def measure(seconds: float, socketio: Path | None, *, measured: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Run every case for so many seconds; `socketio` is a folder with `node_modules/socket.io` in it."""
    import uvloop

    return uvloop.run(_measure(seconds, socketio, measured))


async def _measure(seconds: float, socketio: Path | None, measured: Callable[[], None]) -> dict[str, Any]:
    most = max(drivers for _, drivers, _ in CASES)
    async with (
        onward_stand(drivers=2 * most, deliveries=2 * most) as (stand, people),
        peer_stand("-m", "benchmarks.floors") as bare,
        _socketio(socketio) as peer,
        _socketio(socketio, stand.redis_url) as keeping_peer,
    ):
        idle_kb = await _idle_viewer_kb(stand, people.tracking_tokens)
        first = {"seconds": WARM_UP_S, "frames_per_s": CASES[0][2], "drivers": people.driver_tokens}
        await load(stand, first)  # arrival times are reckoned and told for the first time: that is nobody's message
        cases = []
        for viewers, drivers, frames_per_s in CASES:
            plan = {"seconds": seconds, "frames_per_s": frames_per_s, "drivers": people.driver_tokens[: 2 * drivers]}
            tokens = [token for token in people.tracking_tokens[:drivers] for _ in range(viewers)]
            numbers = [str(n) for n in range(drivers) for _ in range(viewers)]
            ours = await _in_turns(stand, plan, tokens)
            floor = await _in_turns(bare, {**plan, "protocol": "relay"}, numbers)
            theirs = await _in_turns(peer, {**plan, "protocol": "socketio"}, numbers) if peer else None
            kept = await _in_turns(keeping_peer, {**plan, "protocol": "socketio"}, numbers) if keeping_peer else None
            measured()
            cases.append(_case(viewers, drivers, ours, floor, theirs, kept))
    return {"cases": cases, "idle_viewer_kb": idle_kb}


async def _in_turns(stand: Stand, plan: dict[str, Any], viewers: list[str]) -> dict[str, Any]:
    """Let who is watched and who is not speak in turns: an even number of each, and one that nobody measures."""
    turns = 2 * max(1, round(plan["seconds"]))
    seen = await load(stand, {**plan, "seconds": TURN_S * (turns + 0.5), "turns_s": TURN_S, "viewers": viewers})
    watched, alone = seen["turns_s"][:turns:2], seen["turns_s"][1:turns:2]
    messages = plan["frames_per_s"] * TURN_S * len(viewers)
    return {
        **seen,
        "messages_per_s": messages / TURN_S,
        "received_share": seen["heard"].get("frames", 0) / (messages * (turns / 2 + 0.5)),
        "fanout_us": 1e6 * (statistics.median(watched) - statistics.median(alone)) / messages,
        "whole_us": 1e6 * statistics.median(watched) / messages,
    }


def _case(
    viewers: int,
    drivers: int,
    ours: dict[str, Any],
    floor: dict[str, Any],
    theirs: dict[str, Any] | None,
    kept: dict[str, Any] | None,
) -> dict[str, Any]:
    return {
        "viewers": viewers,
        "drivers": drivers,
        "messages_per_s": round(ours["messages_per_s"]),
        "cpu_us_per_message": round(ours["fanout_us"], 2),
        "write_floor_us": round(floor["fanout_us"], 2),
        "socketio_us": theirs and round(theirs["fanout_us"], 2),
        "ratio_to_floor": round(ours["fanout_us"] / floor["fanout_us"], 2),
        "better_than_socketio": theirs and round(theirs["fanout_us"] / ours["fanout_us"], 2),
        "whole_server_us": round(ours["whole_us"], 2),
        "whole_socketio_us": theirs and round(theirs["whole_us"], 2),
        "whole_keeping_socketio_us": kept and round(kept["whole_us"], 2),
        "better_than_keeping_socketio": kept and round(kept["whole_us"] / ours["whole_us"], 2),
        "received_share": round(ours["received_share"], 3),
        "p50_ms": round(ours["p50_ms"], 1),
        "p99_ms": round(ours["p99_ms"], 1),
    }


async def _idle_viewer_kb(stand: Stand, tokens: list[str]) -> float:
    """Return what a viewer takes of the server's memory while nothing happens."""
    watching = {"seconds": 0.1, "frames_per_s": 0.0}
    await load(stand, {**watching, "viewers": tokens[:10]})  # what the first ever needs is not the viewers'
    before = stand.rss_kb()
    seen = await load(stand, {**watching, "viewers": [tokens[n % len(tokens)] for n in range(IDLE_VIEWERS)]})
    return round((float(seen["connected_kb"]) - before) / IDLE_VIEWERS, 1)


@contextlib.asynccontextmanager
async def _socketio(folder: Path | None, redis_url: str = "") -> AsyncIterator[Stand | None]:
    """Run Socket.IO, with a `redis_url` behind its adapter and keeping positions; None where its packages are not."""
    node, needed = shutil.which("node"), ["socket.io", *(["@socket.io/redis-adapter", "redis"] if redis_url else [])]
    if folder is None or node is None or not all((folder / "node_modules" / name).is_dir() for name in needed):
        yield None
        return
    script = folder / SCRIPT.name  # Node looks for packages beside the script
    shutil.copyfile(SCRIPT, script)
    environment = {"NODE_ENV": "production", **({"REDIS_URL": redis_url} if redis_url else {})}
    async with peer_stand(str(script), executable=node, environment=environment) as stand:
        yield stand
