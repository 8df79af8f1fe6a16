"""The apps people have report as they always do, byte for byte; and whoever has no key, or had one, does not."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from kernel.db import Reason
from kernel.ids import Kind, show
from kernel.redis import Redis
from onward.embedded import Servers
from tests.support.people import DEADLINE_S, until, watcher
from tests.support.server import Onward, start_onward
from tests.support.world import Driver
from tracking.history import HistoryWriter
from tracking.live import LivePositions


def devices_of(driver: Driver) -> str:
    return f"/api/v1/drivers/{show(Kind.DRIVER, driver.id)}/devices"


async def connect(onward: Onward, driver: Driver, token: str | None = None) -> dict[str, Any]:
    """Let a phone of the driver in."""
    headers = onward.as_(token or driver.token)
    async with onward.http.post(devices_of(driver), json={"label": "Pixel"}, headers=headers) as reply:
        assert reply.status == 201, await reply.text()
        made: dict[str, Any] = await reply.json()
        return made


async def raw(onward: Onward, *lines: str, body: bytes = b"") -> tuple[int, bytes]:
    """Send a request exactly as an app writes it; return the status and the body."""
    address = urlsplit(onward.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = "\r\n".join([*lines, f"Host: {address.netloc}", "Connection: close"])
    writer.write(head.encode() + b"\r\n\r\n" + body)
    async with asyncio.timeout(DEADLINE_S):
        answer = await reader.read()
    writer.close()
    status, _, rest = answer.partition(b"\r\n")
    return int(status.split()[1]), rest.partition(b"\r\n\r\n")[2]


async def history(onward: Onward) -> list[Any]:
    await HistoryWriter(onward.installation.db, onward.installation.redis).drain()
    async with onward.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        return list(await con.fetch("SELECT * FROM driver_locations ORDER BY recorded_at"))


async def test_traccar_client_on_android_reports_by_query(onward: Onward) -> None:
    """POST without a body, knots, seconds; the dot moves on the board and the reading is kept."""
    world, now = onward.world, int(time.time())
    key = (await connect(onward, world.pool[0]))["key"]
    line = (
        f"POST /ingest/osmand?id={key}&timestamp={now}&lat=60.1699&lon=24.9384&speed=10.0&bearing=90.0"
        "&altitude=12.0&accuracy=4.5&batt=83.0&charge=true HTTP/1.1"
    )
    agent = "User-Agent: Dalvik/2.1.0 (Linux; U; Android 14; Pixel 7)"
    form = "Content-Type: application/x-www-form-urlencoded"
    assert await raw(onward, line, agent, form, "Content-Length: 0") == (200, b"")
    (row,) = await history(onward)
    assert row["driver_id"] == world.pool[0].id
    assert row["recorded_at"] == datetime.fromtimestamp(now, UTC)
    assert (row["lat"], row["lng"], row["heading_deg"], row["source"]) == (60.1699, 24.9384, 90.0, "traccar")
    assert row["speed_mps"] == pytest.approx(5.1444, abs=1e-3)
    seen = await LivePositions(onward.installation.redis).positions(world.operator_id)
    assert seen[world.pool[0].id].lat == 60.1699


async def test_each_form_an_app_has_becomes_a_fix(onward: Onward) -> None:
    """OsmAnd's GET in milliseconds, a form, Traccar Client's JSON, and OwnTracks with either way to show its key."""
    key, now = (await connect(onward, onward.world.pool[0]))["key"], int(time.time())
    body = {
        "location": {
            "timestamp": datetime.fromtimestamp(now - 3, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "coords": {
                "latitude": 60.17003, "longitude": 24.94, "accuracy": 5.1, "speed": 3.5, "heading": -1, "altitude": 8.2,
            },
            "is_moving": True, "odometer": 1204.5, "event": "motionchange",
            "battery": {"level": 0.83, "is_charging": False}, "activity": {"type": "on_bicycle"}, "extras": {},
        },
        "device_id": key,
    }  # fmt: skip
    tracks = {
        "_type": "location", "tst": now - 2, "lat": 60.17002, "lon": 24.94, "acc": 6, "vel": 18, "cog": 270,
        "alt": 12, "batt": 71, "bs": 1, "conn": "m", "m": 2, "t": "u",
    }  # fmt: skip
    last = {**tracks, "tst": now - 1, "lat": 60.17001}
    basic = base64.b64encode(f"Pixel:{key}".encode()).decode()
    form = f"id={key}&lat=60.17004&lon=24.94&timestamp={now - 4}&speed=3".encode()
    lengths = [f"Content-Length: {len(json.dumps(one))}" for one in (body, tracks, last)]
    as_json = "Content-Type: application/json"
    answers = [
        await raw(onward, f"GET /ingest/osmand?deviceid={key}&timestamp={now - 5}000&lat=60.17005&lon=24.94 HTTP/1.1"),
        await raw(
            onward,
            "POST /ingest/osmand HTTP/1.1",
            "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(form)}",
            body=form,
        ),
        await raw(onward, "POST /ingest/osmand HTTP/1.1", as_json, lengths[0], body=json.dumps(body).encode()),
        await raw(
            onward,
            "POST /ingest/owntracks HTTP/1.1",
            f"Authorization: Basic {basic}",
            as_json,
            lengths[1],
            body=json.dumps(tracks).encode(),
        ),
        await raw(
            onward, f"POST /ingest/owntracks?key={key} HTTP/1.1", as_json, lengths[2], body=json.dumps(last).encode()
        ),
    ]
    assert answers == [(200, b""), (200, b""), (200, b""), (200, b"[]"), (200, b"[]")]
    rows = await history(onward)
    assert [round((row["lat"] - 60.17) * 1e5) for row in rows] == [5, 4, 3, 2, 1]
    assert [row["speed_mps"] for row in rows[2:4]] == pytest.approx([3.5, 5.0])
    assert rows[2]["heading_deg"] is None


async def test_what_is_no_position_is_taken_and_a_bad_one_never_comes_again(onward: Onward) -> None:
    """OwnTracks' other messages, an empty body, and a place at (0, 0): answered as kept, and nothing is."""
    key = (await connect(onward, onward.world.pool[0]))["key"]
    for said in ({"_type": "lwt", "tst": 1}, {"_type": "card"}, {"_type": "transition", "lat": 1.0, "lon": 1.0}):
        async with onward.http.post("/ingest/owntracks", params={"key": key}, json=said) as reply:
            assert (reply.status, await reply.json()) == (200, [])
    async with onward.http.post("/ingest/owntracks", params={"key": key}) as reply:
        assert (reply.status, await reply.json()) == (200, [])
    for lat, lon in (("0", "0"), ("nan", "24.9"), ("91", "24.9")):
        async with onward.http.get("/ingest/osmand", params={"id": key, "lat": lat, "lon": lon}) as reply:
            assert reply.status == 200
    assert await history(onward) == []


async def test_garbage_with_a_key_is_refused_in_words(onward: Onward) -> None:
    """Never a 500."""
    key = (await connect(onward, onward.world.pool[0]))["key"]
    for query in (
        {"lat": "x", "lon": "24.9"},
        {"lon": "24.9"},
        {"lat": "60", "lon": "24.9", "timestamp": "yesterday"},
        {"lat": "60", "lon": "24.9", "timestamp": "nan"},
        {"lat": "60", "lon": "24.9", "timestamp": "9" * 400},
    ):
        async with onward.http.get("/ingest/osmand", params={"id": key, **query}) as reply:
            assert reply.status == 422, query


async def test_garbage_and_huge_bodies_get_a_code(onward: Onward) -> None:
    """Half a JSON, odd bytes, brackets without end, a megabyte, a form of a thousand fields."""
    as_json, as_form = {"Content-Type": "application/json"}, {"Content-Type": "application/x-www-form-urlencoded"}
    for path, headers, data, status in (
        ("/ingest/osmand", as_json, b'{"location":', 400),
        ("/ingest/osmand", as_json, b"\xff\xfe", 400),
        ("/ingest/osmand", as_json, b'{"location":{"timestamp":1,"coords":[]},"device_id":"x"}', 400),
        ("/ingest/osmand", as_json, b"[" * 60_000, 400),
        ("/ingest/osmand", as_json, b"x" * 1_000_000, 413),
        ("/ingest/osmand", as_form, b"a=1&" * 1_000, 400),
        ("/ingest/osmand", as_form, b"\xff=\xfe", 400),
        ("/ingest/owntracks", as_json, b"x" * 1_000_000, 413),
    ):
        async with onward.http.post(path, headers=headers, data=data) as reply:
            assert reply.status == status, (path, data[:20])


async def test_unknown_revoked_and_odd_keys_are_refused_alike(onward: Onward, capfd: Any) -> None:
    """The same answer to all, also to SQL in the key; and no key is in what the server says."""
    world = onward.world
    made = await connect(onward, world.pool[0])
    key = made["key"]
    place = {"lat": "60.17", "lon": "24.94"}
    path = f"{devices_of(world.pool[0])}/{made['device']['id']}"
    async with onward.http.delete(path, headers=onward.as_(world.pool[0].token)) as reply:
        assert reply.status == 204
    for odd in (key, "", "x", "' OR 1=1 --", "a\0b", "%", "k" * 5_000, world.pool[0].token):
        async with onward.http.get("/ingest/osmand", params={"id": odd, **place}) as reply:
            assert (reply.status, (await reply.json())["code"]) == (401, "unauthenticated"), odd[:20]
    for headers in ({}, {"Authorization": "Basic !!"}, {"Authorization": f"Bearer {world.pool[0].token}"}):
        async with onward.http.post("/ingest/owntracks", json={"_type": "location"}, headers=headers) as reply:
            assert reply.status == 401
    for in_path in (f"/ingest/osmand/{key}", f"/ingest/{key}", f"{devices_of(world.pool[0])}/{key}"):
        async with onward.http.get(in_path) as reply:
            assert reply.status in (404, 405)
            assert key not in await reply.text()
    async with onward.http.get("/metrics") as reply:
        assert key not in await reply.text()
    said = capfd.readouterr()
    assert key not in said.out + said.err
    assert await history(onward) == []


async def test_keys_are_kept_hashed_and_shown_once(onward: Onward) -> None:
    """Not in the list, not in the database."""
    driver = onward.world.pool[0]
    made = await connect(onward, driver)
    async with onward.http.get("/ingest/osmand", params={"id": made["key"], "lat": "60.1", "lon": "24.9"}) as reply:
        assert reply.status == 200
    async with onward.http.get(devices_of(driver), headers=onward.as_(driver.token)) as reply:
        text = await reply.text()
    assert made["key"] not in text
    (device,) = json.loads(text)["data"]
    assert device["seen_at"] is not None
    assert made["key"].endswith(device["hint"][1:])
    async with onward.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        row = await con.fetchrow("SELECT * FROM driver_devices")
    assert made["key"].encode() not in row["key_hash"]


async def test_a_code_sets_each_app_up(onward: Onward) -> None:
    """Traccar Client gets the address with what it should do, OwnTracks its configuration; both as an SVG."""
    made = await connect(onward, onward.world.pool[0])
    setups = {one["app"]: one for one in made["setups"]}
    link = urlsplit(setups["traccar"]["link"])
    assert f"{link.scheme}://{link.netloc}{link.path}" == f"{onward.url}/ingest/osmand"
    assert parse_qs(link.query)["id"] == [made["key"]]
    link = urlsplit(setups["owntracks"]["link"])
    assert (link.scheme, link.path) == ("owntracks", "/config")
    told = json.loads(base64.b64decode(parse_qs(link.query)["inline"][0]))
    assert (told["_type"], told["mode"], told["password"]) == ("configuration", 3, made["key"])
    assert told["url"] == f"{onward.url}/ingest/owntracks"
    assert all(one["qr"].startswith("data:image/svg+xml") for one in setups.values())


async def test_who_may_connect_a_phone(onward: Onward) -> None:
    """The driver, the business whose own driver he is, the operator; nobody for anybody else's driver."""
    world = onward.world
    for token in (world.dedicated.token, world.rosso.token, world.admin_token):
        await connect(onward, world.dedicated, token)
    device = (await connect(onward, world.dedicated))["device"]["id"]
    for driver, token in (
        (world.dedicated, world.verde.token),
        (world.pool[0], world.rosso.token),
        (world.pool[0], world.pool[1].token),
    ):
        async with onward.http.post(devices_of(driver), json={"label": "x"}, headers=onward.as_(token)) as reply:
            assert (reply.status, (await reply.json())["code"]) == (404, "not_found")
        async with onward.http.get(devices_of(driver), headers=onward.as_(token)) as reply:
            assert reply.status == 404
    for headers, status in ((onward.as_(world.verde.token), 404), ({}, 401)):
        async with onward.http.delete(f"{devices_of(world.dedicated)}/{device}", headers=headers) as reply:
            assert reply.status == status
    other = f"{devices_of(world.pool[0])}/{device}"  # another's device below his own name
    async with onward.http.delete(other, headers=onward.as_(world.pool[0].token)) as reply:
        assert reply.status == 404


async def test_guesses_are_limited_and_phones_behind_the_same_address_are_not(
    db_url: str, servers: Servers, redis: Redis, tmp_path: Path
) -> None:
    """Twenty wrong keys a minute; the right one still reports."""
    async with start_onward(db_url, servers.redis_url, tmp_path, rate_limits=True) as onward:
        key = (await connect(onward, onward.world.pool[0]))["key"]
        statuses = []
        for n in range(22):
            async with onward.http.get("/ingest/osmand", params={"id": f"guess{n}", "lat": "1", "lon": "1"}) as reply:
                statuses.append(reply.status)
        assert statuses == [401] * 20 + [429] * 2
        async with onward.http.get("/ingest/osmand", params={"id": key, "lat": "60.1", "lon": "24.9"}) as reply:
            assert reply.status == 200


async def test_the_board_sees_a_phone_that_reports_so(onward: Onward) -> None:
    """A driver on line, whose place comes from the other app."""
    driver = onward.world.dedicated
    key = (await connect(onward, driver))["key"]
    headers = onward.as_(driver.token)
    async with onward.http.patch("/api/v1/driver/availability", json={"state": "available"}, headers=headers) as reply:
        assert reply.status == 200
    async with watcher(onward, onward.world.admin_token) as board:
        await board.sees(lambda o: o["drivers"], "a driver on the board")
        async with onward.http.get("/ingest/osmand", params={"id": key, "lat": "60.1695", "lon": "24.94"}) as reply:
            assert reply.status == 200
        await until(lambda: any(abs(p[1] - 60.1695) < 1e-6 for p in board.positions()), "the dot moves", board.changed)
