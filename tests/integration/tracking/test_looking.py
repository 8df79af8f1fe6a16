"""What a board's screen shows decides what it hears of."""

from __future__ import annotations

import asyncio
import json

from tests.support.people import DEADLINE_S, courier, until, watcher
from tests.support.server import Onward

CENTRE = (60.15, 24.90, 60.18, 24.98)
NORTH = (60.20, 24.90, 60.25, 24.98)


async def test_a_board_hears_of_those_on_its_screen_and_at_once_when_it_looks_elsewhere(onward: Onward) -> None:
    """Dora drives in the centre, Pia in the north: who looks at the centre hears of Dora alone."""
    async with (
        courier(onward, onward.world.pool[0]) as dora,
        courier(onward, onward.world.pool[1]) as pia,
    ):
        await dora.goes_online(60.16, 24.94)
        await pia.goes_online(60.21, 24.94)
        async with watcher(onward, onward.world.admin_token) as board:
            await board.sees(lambda o: sum(bool(d["position"]) for d in o["drivers"]) == 2, "both on the board")
            board.client.look(*CENTRE)
            await until(lambda: 60.16 in {p[1] for p in board.positions()}, "who is on the screen", board.changed)
            for step in range(1, 4):  # the first is told to everybody: now and then a board hears of all
                await pia.is_at(60.21 + step * 0.001, 24.94)
            await dora.is_at(60.161, 24.94)
            await until(lambda: 60.161 in {p[1] for p in board.positions()}, "a movement on the screen", board.changed)
            assert 60.213 not in {p[1] for p in board.positions()}
            board.client.look(*NORTH)
            await until(lambda: 60.213 in {p[1] for p in board.positions()}, "who is there", board.changed)


async def test_a_board_looks_where_it_looked_after_a_cut(onward: Onward) -> None:
    """The client says it again; who never left the screen is shown again."""
    async with courier(onward, onward.world.pool[0]) as dora, watcher(onward, onward.world.admin_token) as board:
        await dora.goes_online(60.16, 24.94)
        await board.sees(lambda o: any(d["position"] for d in o["drivers"]), "Dora on the board")
        board.client.look(*CENTRE, step_m=20.0)
        await until(board.positions, "on the screen", board.changed)
        await board.client.cut()
        await until(lambda: board.client.connections == 2, "the board is back", board.changed)
        before = len(board.positions())
        await dora.is_at(60.161, 24.94)
        await until(lambda: 60.161 in {p[1] for p in board.positions()[before:]}, "a movement", board.changed)


async def test_an_event_stream_looks_as_its_query_says(onward: Onward) -> None:
    """`box` narrows it as `look` does a socket; a box that is none is refused by name."""
    token = onward.as_(onward.world.admin_token)
    async with (
        courier(onward, onward.world.pool[0]) as dora,
        courier(onward, onward.world.pool[1]) as pia,
        onward.http.get("/live?box=60.15,24.90,60.18,24.98&step_m=1", headers=token) as stream,
    ):
        await dora.goes_online(60.16, 24.94)
        await pia.goes_online(60.21, 24.94)
        seen = set[float]()
        for step in range(1, 4):  # the first is told to everybody: now and then a board hears of all
            await pia.is_at(60.21 + step * 0.001, 24.94)
        await dora.is_at(60.161, 24.94)
        async with asyncio.timeout(DEADLINE_S):
            while 60.161 not in seen:
                _, found, data = (await stream.content.readline()).partition(b"data: ")
                seen |= {row[1] for row in json.loads(data or b"{}").get("positions", ())} if found else set()
        assert 60.213 not in seen
    for box in ("60,24,61", "60,24,61,north", "91,0,92,1"):
        async with onward.http.get(f"/live?box={box}", headers=token) as reply:
            assert (reply.status, (await reply.json())["code"]) == (422, "validation_failed")
