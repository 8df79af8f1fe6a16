"""What somebody with bad intentions sends: a clear refusal for him, and nothing for anybody else to feel."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest
from aiohttp import web

from dispatch import snapshot
from kernel import keys
from kernel.db import Reason
from kernel.ids import Kind, show
from kernel.redis import Redis
from onward.embedded import Servers
from tenancy import service
from tests.support.people import DEADLINE_S, call, courier, create_delivery, photo, tracking_token, watcher
from tests.support.server import Onward, start_onward
from tests.support.world import NO_PASSWORD
from tracking.groups import Outlet
from tracking.history import HistoryWriter
from tracking.outgoing import Frame
from tracking.viewers import EventStreamOutlet, SocketOutlet
from tracking.wire import CLOSE_TOO_SLOW, JSON_SUBPROTOCOL, VIEWER_CODECS, Snapshot

DEEP = "[" * 50_000 + "]" * 50_000


def door(onward: Onward) -> dict[str, Any]:
    rosso = onward.world.rosso
    return {"name": "Eva", "address": "Mannerheimintie 1", "lat": rosso.lat + 0.004, "lng": rosso.lng}


async def test_a_body_that_is_not_what_its_encoding_says_is_the_senders_mistake(onward: Onward) -> None:
    """400 with a code, never a 500."""
    headers = {**onward.as_(onward.world.rosso.token), "Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with onward.http.post("/api/v1/deliveries", data=b"no gzip at all", headers=headers) as reply:
        assert reply.status == 400
        assert (await reply.json())["code"] == "malformed_body"


async def test_a_deeply_nested_frame_closes_its_own_socket_alone(onward: Onward) -> None:
    """A frame of brackets within the size limit."""
    async with (
        courier(onward, onward.world.dedicated) as dora,
        onward.http.ws_connect("/ws/driver", protocols=["onward.v1.json"]) as ws,
    ):
        await ws.send_str('{"padding":' + DEEP + ',"type":"hello"}')
        assert (await ws.receive_json())["code"] == "malformed_frame"
        await dora.is_at(60.169, 24.94)


async def test_a_refused_proof_leaves_no_file(onward: Onward) -> None:
    """Before pickup there is nothing to prove."""
    made = await create_delivery(onward, onward.world.rosso)
    async with courier(onward, onward.world.dedicated) as dora:
        await dora.goes_online(60.169, 24.94)
        await dora.answers(await dora.is_offered(), "accept")
        headers = {**onward.as_(dora.who.token), "Content-Type": "image/jpeg"}
        url = f"/api/v1/driver/deliveries/{made['id']}/proof"
        async with onward.http.post(url, data=photo(), headers=headers) as reply:
            assert (await reply.json())["code"] == "illegal_transition"
    folder: Path = onward.installation.settings.data_dir
    assert list(folder.rglob("*.jpg")) == []


async def test_a_tracking_link_shows_its_proof_for_a_day_and_no_longer(onward: Onward) -> None:
    """The page and the photo end together."""
    made = await create_delivery(onward, onward.world.rosso)
    async with courier(onward, onward.world.dedicated) as dora:
        await dora.goes_online(60.169, 24.94)
        await dora.answers(await dora.is_offered(), "accept")
        await dora.delivers(made["id"])
    headers = onward.as_(tracking_token(made))
    for hours, status in ((23, 200), (25, 404)):
        async with onward.installation.db.platform_tx(Reason.ADMIN) as con:
            await con.execute("UPDATE deliveries SET finished_at = now() - make_interval(hours => $1)", hours)
        for path in ("/api/v1/track", "/api/v1/track/proof"):
            async with onward.http.get(path, headers=headers) as reply:
                assert reply.status == status, path


async def test_a_token_of_ones_own_buys_no_more_guesses_at_a_password(
    db_url: str, servers: Servers, redis: Redis, tmp_path: Path
) -> None:
    """The limit of the sign-in counts addresses, not tokens."""
    async with start_onward(db_url, servers.redis_url, tmp_path, rate_limits=True) as onward:
        tokens = [onward.world.admin_token, onward.world.rosso.token, onward.world.verde.token]
        body = {"email": "a@example.com", "password": "x"}
        guesses = [call(onward, "POST", tokens[n % len(tokens)], "/api/v1/auth/login", json=body) for n in range(21)]
        statuses = [status for status, _ in await asyncio.gather(*guesses)]  # one by one they may take over a minute
        assert sorted(statuses) == [401] * 20 + [429]


async def test_one_operators_broken_stream_does_not_hold_up_anothers_history(onward: Onward, redis: Redis) -> None:
    """Garbage in one stream, fixes in the next."""
    for n in range(8):
        broken = bytes([n]) * 16
        await redis.sadd(keys.operators(), broken)
        await redis.xadd(keys.fix_stream(UUID(bytes=broken)), {"b": b"\xc1"})
    async with courier(onward, onward.world.dedicated) as dora:
        await dora.is_at(60.169, 24.94)
    writer = HistoryWriter(onward.installation.db, onward.installation.redis)
    with pytest.raises(Exception, match=r"malformed|invalid|truncated"):
        await writer.drain()
    async with onward.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        assert await con.fetchval("SELECT count(*) FROM driver_locations") == 1


async def test_partitions_are_remembered_only_once_they_are_there(db_url: str, onward: Onward) -> None:
    """A drain that fails after making a day's partition does not believe in it the next time."""
    writer = HistoryWriter(onward.installation.db, onward.installation.redis)
    owner = await asyncpg.connect(db_url)
    await owner.execute("REVOKE INSERT ON onward.driver_locations FROM onward_platform")
    async with courier(onward, onward.world.dedicated) as dora:
        await dora.is_at(60.169, 24.94)
    with pytest.raises(Exception, match="permission denied"):
        await writer.drain()
    await owner.execute("GRANT INSERT ON onward.driver_locations TO onward_platform")
    await writer.drain()
    assert await owner.fetchval("SELECT count(*) FROM onward.driver_locations") == 1
    await owner.close()


@pytest.mark.parametrize("where", ["events", "socket"])
async def test_a_viewer_who_never_reads_is_cut_off(aiohttp_server: Any, where: str) -> None:
    """He is sent more than the pipe holds: the send ends all the same, and so does he."""
    done = asyncio.Event()
    left: list[bool] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        answer: web.StreamResponse
        if where == "events":
            answer = web.StreamResponse()
            await answer.prepare(request)
            outlet: Outlet = EventStreamOutlet(request.transport, chunked=True)
        else:
            answer = ws = web.WebSocketResponse()
            await ws.prepare(request)
            outlet = SocketOutlet(request.transport, ws, VIEWER_CODECS[JSON_SUBPROTOCOL])
        assert outlet.has_room()
        outlet.write(Frame(Snapshot("x" * 32_000_000, 0, {})))
        assert not outlet.has_room()
        await outlet.close(CLOSE_TOO_SLOW)
        left.append(outlet.has_room())
        done.set()
        return answer

    app = web.Application()
    app.router.add_get("/", handle)
    server = await aiohttp_server(app)
    _, writer = await asyncio.open_connection(server.host, server.port, limit=1024)
    upgrade = (
        f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'a' * 22}=="
    )
    writer.write(f"GET / HTTP/1.1\r\nHost: x\r\n{upgrade if where == 'socket' else 'Accept: */*'}\r\n\r\n".encode())
    async with asyncio.timeout(DEADLINE_S):
        await done.wait()
    assert left == [True]
    writer.close()


@pytest.mark.parametrize("in_vain", [1, 2])
async def test_what_nobody_can_carry_does_not_keep_other_work_waiting(
    onward: Onward, monkeypatch: pytest.MonkeyPatch, in_vain: int
) -> None:
    """With room for one job in a tick, new work goes before what found nobody, and that takes turns."""
    monkeypatch.setattr(snapshot, "JOBS_MAX", 1)
    await create_delivery(onward, onward.world.verde)
    async with watcher(onward, onward.world.admin_token) as board:
        await board.sees(lambda o: any(d["unassigned_reason"] for d in o["deliveries"]), "nobody for it")
        new = await create_delivery(onward, onward.world.rosso)
        await board.sees(
            lambda o: sum(d["unassigned_reason"] is not None for d in o["deliveries"]) >= in_vain, "nobody for them"
        )
        async with courier(onward, onward.world.dedicated) as dora:
            await dora.goes_online(60.169, 24.94)
            assert (await dora.is_offered())["deliveries"] == [new["id"]]


async def test_two_callers_of_one_business_may_use_the_same_idempotency_key(onward: Onward) -> None:
    """One caller's kept reply is never given to another."""
    rosso = onward.world.rosso
    async with onward.installation.db.platform_tx(Reason.ADMIN) as con:
        user = await service.create_user(
            con,
            operator_id=onward.world.operator_id,
            email="second@rosso.example",
            password_hash=NO_PASSWORD,
            name="Second Owner",
            role="business_owner",
            business_id=rosso.id,
        )
        second = await service.open_session(con, user_id=user, now=datetime.now(UTC))
    body = {"store_id": show(Kind.STORE, rosso.store_id), "dropoff": door(onward)}
    made = set()
    for token in (rosso.token, second, rosso.token, second):
        headers = {**onward.as_(token), "Idempotency-Key": "the-same"}
        async with onward.http.post("/api/v1/deliveries", json=body, headers=headers) as reply:
            made.add((token, (await reply.json())["id"]))
    assert len(made) == 2
    assert len({delivery for _, delivery in made}) == 2


async def test_the_scheme_of_a_token_may_be_written_small_also_to_sign_out(onward: Onward) -> None:
    """Signing out with `bearer` ends the session."""
    headers = {"Authorization": f"bearer {onward.world.rosso.token}"}
    async with onward.http.post("/api/v1/auth/logout", headers=headers) as reply:
        assert reply.status == 204
    async with onward.http.get("/api/v1/auth/me", headers=headers) as reply:
        assert reply.status == 401


async def test_odd_bytes_in_a_token_are_a_wrong_token(onward: Onward) -> None:
    """Not UTF-8, sent on a raw connection."""
    address = urlsplit(onward.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b"GET /api/v1/auth/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ses_\xff\xfe\r\n\r\n")
    assert b" 401 " in await reader.readline()
    writer.close()


@pytest.mark.parametrize("since", ["x", "e:-1", "e:99999999999999999999", "e:²", ":", "e:1e3"])
async def test_an_odd_since_gets_a_snapshot(onward: Onward, since: str) -> None:
    """Where to go on can't be told from it, so the whole object comes."""
    async with onward.http.get("/live", params={"since": since}, headers=onward.as_(onward.world.admin_token)) as reply:
        assert reply.status == 200
        assert b'"type":"snapshot"' in await anext(line async for line in reply.content if line.startswith(b"data:"))


async def test_a_delivery_for_a_far_future_is_refused_in_words(onward: Onward) -> None:
    """Beyond a year somebody mistyped."""
    when = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    body = {"store_id": show(Kind.STORE, onward.world.rosso.store_id), "dropoff": door(onward), "ready_at": when}
    headers = onward.as_(onward.world.rosso.token)
    async with onward.http.post("/api/v1/deliveries", json=body, headers=headers) as reply:
        assert reply.status == 422
        assert (await reply.json())["errors"][0]["field"] == "ready_at"
