"""The driver socket under every bad input: a clear code, a counted reason, and nobody else pays."""

from __future__ import annotations

import json
import math
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgpack
import pytest

from kernel.db import Reason
from tenancy import service
from tests.support.people import Courier, courier, until, watcher
from tests.support.server import Onward
from tracking.client import Message

ROWS = "SELECT * FROM driver_locations WHERE driver_id = $1 ORDER BY recorded_at"


def fix(**more: Any) -> Message:
    return {"t": int(time.time() * 1000), "lat": 60.17, "lng": 24.94, "acc": 5.0, **more}


async def history(onward: Onward, driver_id: Any, count: int) -> list[Any]:
    """Return the driver's rows once there are `count` of them (the writer drains every half second)."""
    from tracking.history import HistoryWriter

    writer = HistoryWriter(onward.installation.db, onward.installation.redis)
    deadline = time.monotonic() + 10
    while True:
        await writer.drain()
        async with onward.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
            rows = await con.fetch(
                "SELECT * FROM driver_locations WHERE driver_id = $1 ORDER BY recorded_at", driver_id
            )
        if len(rows) >= count or time.monotonic() > deadline:
            return list(rows)


async def speak(onward: Onward, *frames: str | bytes, token: str | None = None) -> tuple[list[Any], int | None]:
    """Open a JSON socket, send frames, and return what came back and the close code."""
    async with onward.http.ws_connect("/ws/driver", protocols=["onward.v1.json"]) as ws:
        if token is not None:
            await ws.send_str(json.dumps({"type": "hello", "token": token, "device_id": "raw"}))
        for frame in frames:
            await (ws.send_str(frame) if isinstance(frame, str) else ws.send_bytes(frame))
        heard = []
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                heard.append(json.loads(message.data))
        return heard, ws.close_code


BAD_FRAMES = [
    ("{not json", "malformed_frame"),
    ('{"type":"teleport","seq":1}', "invalid_message"),
    ('{"type":"fixes","seq":1,"fixes":[]}', "invalid_message"),
    ('{"type":"fixes","seq":0,"fixes":[{"t":1,"lat":1,"lng":1}]}', "invalid_message"),
    ('{"type":"fixes","seq":1,"fixes":[{"t":1,"lat":1,"lng":1,"altitude":3}]}', "invalid_message"),
    (b"\x81\xa4type", "wrong_frame_type"),
    ('{"type":"fixes","seq":1,"fixes":[' + '{"t":1,"lat":1,"lng":1},' * 8000 + "]}", "frame_too_big"),
]


@pytest.mark.parametrize(("frame", "code"), BAD_FRAMES, ids=[code + str(n) for n, (_, code) in enumerate(BAD_FRAMES)])
async def test_a_frame_that_is_no_message_is_named_and_closes_that_socket_alone(
    onward: Onward, frame: str | bytes, code: str
) -> None:
    """Garbage costs its sender the socket, and nobody else anything."""
    async with courier(onward, onward.world.pool[1]) as neighbour:
        heard, closed = await speak(onward, frame, token=onward.world.pool[0].token)
        if code == "frame_too_big":
            assert closed in (4201, 1009)
        else:
            assert heard[-1]["code"] == code
            assert closed == 4201
        await neighbour.is_at(60.17, 24.94)


async def test_an_unknown_field_is_named_in_the_refusal(onward: Onward) -> None:
    """The app's author reads what is wrong."""
    frame = '{"type":"fixes","seq":1,"fixes":[{"t":1,"lat":1,"lng":1,"altitude":3}]}'
    heard, _ = await speak(onward, frame, token=onward.world.pool[0].token)
    assert "altitude" in heard[-1]["detail"]


async def test_tokens_that_are_wrong_expired_or_of_another_kind_are_told_apart(onward: Onward) -> None:
    """41xx asks for a new token, 42xx says do not come back."""
    async with onward.installation.db.platform_tx(Reason.SEED) as con:
        user = await con.fetchval("SELECT user_id FROM driver_profiles WHERE id = $1", onward.world.pool[0].id)
        old = await service.open_session(con, user_id=user, now=datetime.now(UTC) - timedelta(days=60))
    for token, code, closed in (
        ("ses_nobody-knows-this", "unauthenticated", 4100),
        (old, "token_expired", 4101),
        (onward.world.rosso.token, "forbidden", 4202),
    ):
        heard, close_code = await speak(onward, token=token)
        assert (heard[-1]["code"], close_code) == (code, closed)


async def test_the_first_frame_must_be_hello(onward: Onward) -> None:
    """Nothing is taken from a stranger."""
    heard, closed = await speak(onward, '{"type":"fixes","seq":1,"fixes":[{"t":1,"lat":1,"lng":1}]}')
    assert (heard[-1]["code"], closed) == ("hello_first", 4201)


async def test_one_bad_fix_does_not_cost_the_good_ones(onward: Onward) -> None:
    """Each is judged alone, and each rejection has its reason in the ack."""
    now = int(time.time() * 1000)
    async with courier(onward, onward.world.pool[0]) as driver:
        await driver.client.send_fixes(
            [
                fix(t=now - 3000),
                fix(t=now - 2500, lat=0.0, lng=0.0),
                fix(t=now + 120_000),
                fix(t=now - 2000, lat=math.nan),
                fix(t=now - 1000),
            ]
        )
        await driver.client.all_acked()
        assert driver.client.rejected == {"zero": 1, "future": 1, "invalid": 1}
        rows = await history(onward, onward.world.pool[0].id, 2)
        assert [round(row["recorded_at"].timestamp() * 1000) for row in rows] == [now - 3000, now - 1000]


async def test_a_frame_sent_twice_is_acknowledged_twice_and_kept_once(onward: Onward) -> None:
    """Idempotent by sequence, and by driver and fix time."""
    token, driver_id = onward.world.pool[0].token, onward.world.pool[0].id
    frame = json.dumps({"type": "fixes", "seq": 7, "fixes": [fix()]})
    for device in ("one", "one", "two"):
        async with onward.http.ws_connect("/ws/driver", protocols=["onward.v1.json"]) as ws:
            await ws.send_str(json.dumps({"type": "hello", "token": token, "device_id": device}))
            await ws.send_str(frame)
            while (await ws.receive_json()).get("seq") != 7:
                pass
    assert len(await history(onward, driver_id, 1)) == 1


async def test_after_a_cut_the_session_resumes_where_the_server_was_sure(onward: Onward) -> None:
    """The phone sends again what was not acknowledged, and nothing is lost."""
    async with courier(onward, onward.world.pool[0]) as driver:
        await driver.is_at(60.17, 24.94)
        await driver.client.cut()
        sent = [int(time.time() * 1000) + n for n in range(5)]
        for t in sent:
            await driver.client.send_fixes([fix(t=t)])
        await driver.client.all_acked()
        assert driver.client.connections == 2
        assert len(await history(onward, onward.world.pool[0].id, 6)) == 6


async def test_a_second_socket_of_a_device_takes_over_and_the_first_is_told_to_stay_away(onward: Onward) -> None:
    """One phone, one socket."""
    token = onward.world.pool[0].token
    hello = json.dumps({"type": "hello", "token": token, "device_id": "same"})
    async with (
        onward.http.ws_connect("/ws/driver", protocols=["onward.v1.json"]) as first,
        onward.http.ws_connect("/ws/driver", protocols=["onward.v1.json"]) as second,
    ):
        await first.send_str(hello)
        assert (await first.receive_json())["type"] == "welcome"
        await second.send_str(hello)
        assert (await second.receive_json())["type"] == "welcome"
        while (message := await first.receive()).type is not aiohttp.WSMsgType.CLOSE:
            pass
        assert message.data == 4200


async def test_a_hello_that_was_held_up_on_the_way_does_not_close_the_newer_socket(onward: Onward) -> None:
    """By the device's own clock it was said earlier: a phone that came back is not told to stay away."""
    hello = {"type": "hello", "token": onward.world.pool[0].token, "device_id": "same"}
    async with (
        onward.http.ws_connect("/ws/driver", protocols=["onward.v1.json"]) as newer,
        onward.http.ws_connect("/ws/driver", protocols=["onward.v1.json"]) as older,
    ):
        for ws, clock_ms in ((newer, 2_000), (older, 1_000)):
            await ws.send_json({**hello, "clock_ms": clock_ms})
            assert (await ws.receive_json())["type"] == "welcome"
        await newer.send_json({"type": "fixes", "seq": 1, "fixes": [fix()]})
        while (message := await newer.receive_json())["type"] != "ack":
            pass
        assert message["seq"] == 1


async def test_both_encodings_say_the_same(onward: Onward) -> None:
    """JSON for people, MessagePack for apps."""
    hello = {"type": "hello", "token": onward.world.pool[0].token, "device_id": "x"}
    async with onward.http.ws_connect("/ws/driver", protocols=["onward.v1.json"]) as ws:
        await ws.send_str(json.dumps(hello))
        as_json = await ws.receive_json()
    async with onward.http.ws_connect("/ws/driver", protocols=["onward.v1.msgpack"]) as ws:
        await ws.send_bytes(msgpack.packb(hello))
        as_msgpack = msgpack.unpackb((await ws.receive()).data)
    for volatile in ("session", "server_clock_ms"):
        del as_json[volatile], as_msgpack[volatile]
    assert as_json == as_msgpack


async def test_a_position_over_http_is_the_same_as_over_the_socket(onward: Onward) -> None:
    """For clients with no socket: one fix or a batch, answered when durable."""
    headers = onward.as_(onward.world.dedicated.token)
    async with watcher(onward, onward.world.admin_token) as board:
        async with courier(onward, onward.world.dedicated) as dora:
            await dora.goes_online(60.1690, 24.9400)
        await board.sees(lambda o: o["drivers"], "a driver on the board")
        async with onward.http.post("/api/v1/driver/location", json=fix(lat=60.1695), headers=headers) as reply:
            assert await reply.json() == {"accepted": 1, "rejected": {}}
        await until(lambda: any(abs(p[1] - 60.1695) < 1e-6 for p in board.positions()), "the dot moves", board.changed)
        async with onward.http.post(
            "/api/v1/driver/location", json={"fixes": [fix(lat=0, lng=0)]}, headers=headers
        ) as r:
            assert await r.json() == {"accepted": 0, "rejected": {"zero": 1}}
        async with onward.http.post("/api/v1/driver/location", json={"lat": 1}, headers=headers) as reply:
            assert reply.status == 422


async def test_arriving_at_the_store_is_noticed_by_the_fence(onward: Onward) -> None:
    """Two slow fixes at the door are an arrival, and its source is kept."""
    from tests.support.people import create_delivery

    world = onward.world
    async with courier(onward, world.pool[0]) as driver, watcher(onward, world.verde.token) as board:
        await driver.goes_online(60.1729, 24.9450)
        delivery = await create_delivery(onward, world.verde)
        await driver.answers(await driver.is_offered(), "accept")
        await until(lambda: (driver.last("route") or {}).get("stops"), "a route", driver.changed)
        await _arrive(driver, world.verde.lat, world.verde.lng)
        await board.sees(
            lambda o: any(s == ("arrived_at_pickup", "geofence") for s in _steps(o, delivery["id"])), "the arrival"
        )


async def _arrive(driver: Courier, lat: float, lng: float) -> None:
    now = int(time.time() * 1000)
    for n in range(3):
        await driver.is_at(lat, lng, t=now + n, spd=0.5)


def _steps(board: dict[str, Any], delivery_id: str) -> list[tuple[str, str]]:
    found = next((d for d in board["deliveries"] if d["id"] == delivery_id), {"timeline": []})
    return [(step["status"], step["source"]) for step in found["timeline"]]


async def test_a_text_that_cannot_be_kept_stops_neither_the_batch_nor_the_socket(onward: Onward) -> None:
    """A NUL in a source or an action id, an absurd time: the neighbour's history goes on, the socket too."""
    async with courier(onward, onward.world.pool[0]) as odd, courier(onward, onward.world.pool[1]) as neighbour:
        await odd.client.send_fixes([fix(src="a\0b")])
        await odd.client.act("availability", id="x\0", t=1, state="available")
        await odd.client.act("availability", id="y", t=2**53, state="available")
        await odd.client.all_acked()
        await neighbour.is_at(60.17, 24.94)
        assert [nack["code"] for nack in odd.client.nacks] == ["validation_failed"]
        assert len(await history(onward, onward.world.pool[1].id, 1)) == 1
        assert [row["source"] for row in await history(onward, onward.world.pool[0].id, 1)] == ["ab"]


async def test_a_driver_cannot_answer_an_offer_or_move_a_delivery_of_another(onward: Onward) -> None:
    """It is not found, on the socket as over HTTP."""
    from tests.support.people import create_delivery

    async with courier(onward, onward.world.pool[0]) as mine, courier(onward, onward.world.pool[1]) as other:
        await mine.goes_online(60.1721, 24.9451)
        delivery = await create_delivery(onward, onward.world.verde)
        offer = await mine.is_offered()
        await other.answers(offer, "accept")
        await other.reports(delivery["id"], "picked_up")
        assert [nack["code"] for nack in other.client.nacks] == ["not_found", "not_found"]
        headers = {**onward.as_(onward.world.pool[1].token), "Content-Type": "image/jpeg"}
        path = f"/api/v1/driver/deliveries/{delivery['id']}/proof"
        async with onward.http.post(path, data=b"x", headers=headers) as reply:
            assert reply.status == 404


@pytest.mark.parametrize("image", [b"", b"not a picture", b"\xff\xd8\xff" + b"0" * 100])
async def test_a_proof_that_is_no_picture_is_refused(onward: Onward, image: bytes) -> None:
    """By looking at it, not at its name."""
    from tests.support.people import create_delivery

    async with courier(onward, onward.world.pool[0]) as driver:
        await driver.goes_online(60.1721, 24.9451)
        delivery = await create_delivery(onward, onward.world.verde)
        await driver.answers(await driver.is_offered(), "accept")
        await driver.reports(delivery["id"], "en_route_to_pickup", "arrived_at_pickup", "picked_up")
        headers = {**onward.as_(onward.world.pool[0].token), "Content-Type": "image/jpeg"}
        path = f"/api/v1/driver/deliveries/{delivery['id']}/proof"
        async with onward.http.post(path, data=image, headers=headers) as reply:
            assert reply.status == 422
            assert (await reply.json())["code"] == "bad_image"


async def test_a_name_with_a_nul_is_the_senders_mistake(onward: Onward) -> None:
    """422, not 500."""
    body = {"name": "Soup\0", "price_minor": 1}
    headers = onward.as_(onward.world.verde.token)
    async with onward.http.post("/api/v1/business/products", json=body, headers=headers) as reply:
        assert (reply.status, (await reply.json())["code"]) == (422, "validation_failed")
