"""What a position costs on its way out, beside a bare relay of prepared frames and Socket.IO, where Node has it.

Half of the drivers are watched. They and the others speak in turns of a second: the difference, over the messages that
viewers received, is what delivering one costs, whatever else the server does meanwhile. And the servers take turns of a
few seconds: a machine shared with others is slower at one time than at another, which is nobody's merit. Ours stores,
acknowledges and keeps every fix of both; the relay and Socket.IO do nothing of the kind. So there is a second
Socket.IO, with its Redis adapter, that keeps the newest positions as we do: with it whole servers are compared,
everything they spend over what they deliver.
"""

from __future__ import annotations

import contextlib
import operator
import shutil
import statistics
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.stand import Stand, connected, load, onward_stand, peer_stand

CASES: Final = ((1, 400, 4.0), (10, 100, 4.0), (100, 20, 4.0))
"""Viewers of each driver, drivers who are watched, and frames a second of each."""
TURN_S: Final = 1.0
PAIRS: Final = 2
"""Turns of who is not watched and of who is, in each round."""
IDLE_VIEWERS: Final = 2_000
WARM_UP_S: Final = 12.0
SCRIPT: Final = Path(__file__).parent / "socketio.mjs"


def measure(seconds: float, socketio: Path | None, *, measured: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Let those who are watched speak for so many seconds in every case; in `socketio` is `node_modules/socket.io`."""
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
            plan = {
                "seconds": TURN_S * (2 * PAIRS + 1.5),  # the first warms up, and the last is cut off: both are nobody's
                "turns_s": TURN_S,
                "frames_per_s": frames_per_s,
                "drivers": people.driver_tokens[: 2 * drivers],
            }
            tokens = [token for token in people.tracking_tokens[:drivers] for _ in range(viewers)]
            numbers = [str(n) for n in range(drivers) for _ in range(viewers)]
            loads = {
                "ours": (stand, {**plan, "viewers": tokens}),
                "floor": (bare, {**plan, "viewers": numbers, "protocol": "relay"}),
            }
            for name, other in (("theirs", peer), ("kept", keeping_peer)):
                if other is not None:
                    loads[name] = (other, {**plan, "viewers": numbers, "protocol": "socketio"})
            found = await _in_turns(loads, rounds=max(1, round(seconds / PAIRS)))
            messages_per_s = frames_per_s * len(tokens)
            costs = {name: _costs(rounds, messages_per_s) for name, rounds in found.items()}
            cases.append(_case(viewers, drivers, messages_per_s, **costs))
            measured()
    return {"cases": cases, "idle_viewer_kb": idle_kb}


async def _in_turns(loads: dict[str, tuple[Stand, dict[str, Any]]], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Put each load on its server in turn, so many times; who is watched and who is not speak in turns likewise."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in loads}
    async with contextlib.AsyncExitStack() as stack:
        streams = {
            name: await stack.enter_async_context(connected(stand, plan)) for name, (stand, plan) in loads.items()
        }
        for _ in range(rounds):
            for name, stream in streams.items():
                found[name].append(await stream())
    return found


def _costs(rounds: list[dict[str, Any]], messages_per_s: float) -> dict[str, float]:
    """Return medians over all that was measured of one server."""
    messages = messages_per_s * TURN_S
    watched = [watched for one in rounds for watched in one["turns_s"][2 : 2 * PAIRS + 1 : 2]]
    alone = [alone for one in rounds for alone in one["turns_s"][1 : 2 * PAIRS : 2]]
    heard = sum(one["heard"].get("frames", 0) for one in rounds)
    return {
        "fanout_us": 1e6 * statistics.median(map(operator.sub, watched, alone)) / messages,
        "whole_us": 1e6 * statistics.median(watched) / messages,
        "received_share": heard / (messages * (PAIRS + 1) * len(rounds)),
        "p50_ms": statistics.median(one["p50_ms"] for one in rounds),
        "p99_ms": statistics.median(one["p99_ms"] for one in rounds),
    }


def _case(
    viewers: int,
    drivers: int,
    messages_per_s: float,
    *,
    ours: dict[str, float],
    floor: dict[str, float],
    theirs: dict[str, float] | None = None,
    kept: dict[str, float] | None = None,
) -> dict[str, Any]:
    return {
        "viewers": viewers,
        "drivers": drivers,
        "messages_per_s": round(messages_per_s),
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
