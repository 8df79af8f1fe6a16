"""Attacks on the doors of tracking: what never ends, what is no more allowed, and numbers at the edge of the world."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kernel import http
from kernel.redis import Redis
from onward import processes
from onward.embedded import Servers
from tests.support.people import DEADLINE_S, Courier, courier, watcher
from tests.support.server import Onward, start_onward
from tests.support.trouble import part
from tracking import foreign_gateway
from tracking.client import Refused
from tracking.doorkeeper import Doorkeeper
from tracking.live import LivePositions
from tracking.session import FRAME_BURST

NEVER_ENDS = [
    b"",
    b"GET /ws/driver HTTP/1.1\r\nHost: x\r\nUpgrade: webso",
    b"GET /live HTTP/1.1\r\nHost: x\r\n",
]
WITHOUT_END = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n%b\r\n{"


async def answer(onward: Onward, sent: bytes) -> bytes:
    """Send bytes and nothing more; return what came until the server closed, or its JSON was over."""
    port = int(onward.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(DEADLINE_S):
        heard = b""
        while not heard.endswith(b"}") and (more := await reader.read(65_536)):
            heard += more
    writer.close()
    return heard


async def test_a_request_that_never_ends_holds_no_connection_for_ever(
    db_url: str, servers: Servers, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a handshake, half a head, half a body: after a while it is over, in words where a request was read."""
    for module, name in ((processes, "QUIET_MAX_S"), (foreign_gateway, "BODY_MAX_S"), (http, "BODY_MAX_S")):
        monkeypatch.setattr(module, name, 0.2)
    async with start_onward(db_url, servers.redis_url, tmp_path) as onward:
        for sent in NEVER_ENDS:
            assert await answer(onward, sent) == b""
        driver = f"Authorization: Bearer {onward.world.pool[0].token}\r\n".encode()
        for path, who in ((b"/ingest/owntracks?key=x", b""), (b"/api/v1/driver/location", driver)):
            heard = await answer(onward, WITHOUT_END % (path, who))
            assert heard.startswith(b"HTTP/1.1 400")
            assert b"did not come" in heard


async def test_sockets_whose_token_is_revoked_are_closed_and_nobody_elses(onward: Onward) -> None:
    """A driver who signed out, a board's and its twin's; they are told to get a new token."""
    world, doorkeeper = onward.world, part(onward, Doorkeeper)
    pia, other = world.pool[:2]
    headers = {**onward.as_(world.rosso.token), "Accept": "text/event-stream"}
    async with courier(onward, other) as stays, watcher(onward, world.admin_token) as board:
        gone = Courier(onward, pia, "phone")
        socket = asyncio.create_task(gone.client.run())
        await gone.client.connected.wait()
        async with onward.http.get("/live", headers=headers) as events:
            await doorkeeper.look()
            for token in (pia.token, world.rosso.token):
                async with onward.http.post("/api/v1/auth/logout", headers=onward.as_(token)) as reply:
                    assert reply.status == 204
            await doorkeeper.look()
            async with asyncio.timeout(DEADLINE_S):
                with pytest.raises(Refused, match="4101"):
                    await socket
                assert b'"closed"' in await events.content.read()
        await stays.is_at(60.17, 24.94)
        await board.sees(lambda o: o["drivers"] is not None, "the board goes on")
        assert set(doorkeeper._inside) == {other.token, world.admin_token}


async def test_numbers_at_the_edge_of_the_world_cost_the_good_ones_nothing(onward: Onward) -> None:
    """Times and clocks of other ages, and sequence numbers up to the last: told by name, and the dot is where it is."""
    now, pia = int(time.time() * 1000), onward.world.pool[0]
    times = [2**63 - 1, -(2**63), 2**53, 0, -1, now]
    fixes = [{"t": t, "lat": 60.17, "lng": 24.94, "acc": 5.0} for t in times]
    for clock_ms in (2**53, 1, 0):
        hello = {"type": "hello", "token": pia.token, "device_id": f"clock {clock_ms}", "clock_ms": clock_ms}
        heard = await said(onward, hello, {"type": "fixes", "seq": 2**53, "fixes": fixes})
        assert heard[-1]["seq"] == 2**53
        assert sum(heard[-1]["rejected"].values()) >= 3  # by a clock of 1970 some of the others are the present
        again = await said(onward, {**hello, "last_acked_seq": 2**53}, {"type": "fixes", "seq": 1, "fixes": fixes})
        assert (again[0]["resume_seq"], again[-1]["type"], again[-1]["seq"]) == (2**53, "ack", 2**53)
    for seq in (2**53 + 1, 2**63, 2**64, -1, 1e30):
        refused = await said(onward, {**hello, "clock_ms": 0}, {"type": "fixes", "seq": seq, "fixes": fixes})
        assert refused[-1]["code"] in {"invalid_message", "malformed_frame"}
    seen = await part(onward, LivePositions).positions(onward.world.operator_id)
    assert abs(seen[pia.id].t_ms - now) < 30_000


async def said(onward: Onward, *frames: Any) -> list[Any]:
    """Say these on a socket; return what came up to the first ack or nack."""
    async with onward.http.ws_connect("/ws/driver", protocols=["onward.v1.json"]) as ws:
        for frame in frames:
            await ws.send_str(json.dumps(frame))
        heard: list[Any] = []
        async with asyncio.timeout(DEADLINE_S):
            async for message in ws:
                if message.type is aiohttp.WSMsgType.TEXT:
                    heard.append(json.loads(message.data))
                    if heard[-1]["type"] in {"ack", "nack"}:
                        break
        return heard


async def test_a_flood_over_many_sockets_is_no_more_than_over_one(onward: Onward) -> None:
    """What a driver may send is his, not his socket's: neither new devices nor coming again buy more."""
    pia = onward.world.pool[0]
    fixes = [{"t": int(time.time() * 1000), "lat": 60.17, "lng": 24.94}]
    refused = 0
    async with courier(onward, onward.world.pool[1]) as other:
        for device in range(3):
            async with onward.http.ws_connect("/ws/driver", protocols=["onward.v1.json"]) as ws:
                await ws.send_str(json.dumps({"type": "hello", "token": pia.token, "device_id": f"flood {device}"}))
                for seq in range(1, FRAME_BURST):
                    await ws.send_str(json.dumps({"type": "fixes", "seq": seq, "fixes": fixes}))
                await ws.send_str(json.dumps({"type": "fixes", "seq": 1, "fixes": fixes}))
                async with asyncio.timeout(DEADLINE_S):
                    async for message in ws:
                        frame = json.loads(message.data)
                        refused += frame.get("code") == "rate_limited"
                        if frame.get("code") == "resend_first" or frame.get("seq") == FRAME_BURST - 1:
                            break
        await other.is_at(60.18, 24.95)
        assert "rate_limited" not in {message.get("code") for message in other.messages}
    assert refused >= 1
