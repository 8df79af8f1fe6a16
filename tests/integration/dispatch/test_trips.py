"""Trips of past deliveries: who sees which part of them, and in which forms."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from kernel.db import Reason
from kernel.ids import Kind, show
from tests.support.people import create_delivery, tracking_token
from tests.support.server import Onward
from tests.support.trips import delivered, keep_track, ride, stay, write_trip
from tests.support.world import Driver


def noon() -> datetime:
    """Yesterday at noon: the whole trip is on one day."""
    return (datetime.now(UTC) - timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)


def trip_path(delivery_id: UUID) -> str:
    return f"/api/v1/deliveries/{show(Kind.DELIVERY, delivery_id)}/trip"


def day_path(driver: Driver) -> str:
    return f"/api/v1/drivers/{show(Kind.DRIVER, driver.id)}/trips"


async def get(onward: Onward, token: str, path: str, **query: str) -> tuple[int, Any]:
    async with onward.http.get(path, params=query, headers=onward.as_(token)) as reply:
        return reply.status, await reply.json()


async def test_a_trip_has_its_stops_its_way_and_its_figures(onward: Onward) -> None:
    """From the assignment to the door; the store and the door with the time he stood there."""
    world, db = onward.world, onward.installation.db
    delivery_id, track = await write_trip(db, world, world.rosso, world.pool[0], noon())
    status, trip = await get(onward, world.rosso.token, trip_path(delivery_id))
    assert status == 200
    assert [(stop["kind"], stop["name"]) for stop in trip["stops"]] == [
        ("pickup", "Rosso Kamppi"),
        ("dropoff", "Door of Rosso"),
    ]
    assert [stop["dwell_s"] for stop in trip["stops"]] == pytest.approx([180, 90], abs=20)
    assert trip["points"] == len(track)
    assert trip["duration_s"] == trip["moving_s"] + trip["standing_s"]
    assert 1_200 < trip["distance_m"] < 1_600
    assert trip["path"][0][0] == track[0].t_ms
    assert trip["gaps"] == []


async def test_what_the_filters_doubt_is_no_part_of_a_trip(onward: Onward) -> None:
    """A jump to another city is kept for a dispute, and makes no trip longer."""
    world, db = onward.world, onward.installation.db
    delivery_id, track = await write_trip(db, world, world.rosso, world.pool[0], noon())
    _, before = await get(onward, world.rosso.token, trip_path(delivery_id))
    async with db.platform_tx(Reason.SEED) as con:
        await con.execute(
            """INSERT INTO driver_locations (driver_id, operator_id, recorded_at, received_at, lat, lng, verdict)
               VALUES ($1, $2, $3, $3, 61.5, 23.8, 'jump')""",
            world.pool[0].id,
            world.operator_id,
            noon() + timedelta(seconds=2),
        )
    assert (await get(onward, world.rosso.token, trip_path(delivery_id)))[1] == before
    assert before["points"] == len(track)


async def test_all_positions_come_in_pages(onward: Onward) -> None:
    """Each once, in order; a cursor that is none is refused."""
    world = onward.world
    delivery_id, track = await write_trip(onward.installation.db, world, world.rosso, world.pool[0], noon())
    path, heard, cursor = f"{trip_path(delivery_id)}/points", [], ""
    while True:
        _, page = await get(onward, world.rosso.token, path, limit="50", cursor=cursor)
        assert len(page["data"]) <= 50
        heard += [point["t_ms"] for point in page["data"]]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break
    assert heard == [point.t_ms for point in track]
    for odd in ("x", "-1", "1 OR 1=1", "²"):
        assert (await get(onward, world.rosso.token, path, cursor=odd))[0] == 422


async def test_a_trip_is_exported_as_a_file(onward: Onward) -> None:
    """With all its positions; of a delivery and of a day."""
    world, day = onward.world, noon().date().isoformat()
    delivery_id, track = await write_trip(onward.installation.db, world, world.rosso, world.pool[0], noon())
    for path, token, query in (
        (trip_path(delivery_id), world.rosso.token, {}),
        (day_path(world.pool[0]), world.admin_token, {"date": day}),
    ):
        for form, kind in (("gpx", "application/gpx+xml"), ("geojson", "application/geo+json")):
            async with onward.http.get(path, params={"format": form, **query}, headers=onward.as_(token)) as reply:
                assert (reply.status, reply.content_type) == (200, kind)
                assert "attachment" in reply.headers["Content-Disposition"]
                text = await reply.text()
            if form == "geojson":
                assert len(json.loads(text)["features"][0]["geometry"]["coordinates"]) == len(track)
            else:
                assert text.count("<trkpt") == len(track)
    assert (await get(onward, world.rosso.token, trip_path(delivery_id), format="exe"))[0] == 422


async def test_whose_trip_it_is_not_does_not_find_it(onward: Onward) -> None:
    """Another business, another driver, a customer, nobody; odd ids; a delivery that nobody carried."""
    world, db = onward.world, onward.installation.db
    delivery_id, _ = await write_trip(db, world, world.rosso, world.pool[0], noon())
    waiting = await create_delivery(onward, world.verde)
    for path in (trip_path(delivery_id), f"{trip_path(delivery_id)}/points", day_path(world.pool[0])):
        for token, status in (
            (world.rosso.token, 200),
            (world.admin_token, 200),
            (world.pool[0].token, 200),
            (world.verde.token, 404),
            (world.pool[1].token, 404),
            (tracking_token(waiting), 403),
        ):
            assert (await get(onward, token, path))[0] == status, (path, token)
        async with onward.http.get(path) as reply:
            assert reply.status == 401
    for odd in ("del_' OR 1=1 --", "drv_" + "0" * 32, "x", "del_" + "f" * 32):
        assert (await get(onward, world.admin_token, f"/api/v1/deliveries/{odd}/trip"))[0] == 404
        assert (await get(onward, world.admin_token, f"/api/v1/drivers/{odd}/trips"))[0] == 404
    assert (await get(onward, world.verde.token, f"/api/v1/deliveries/{waiting['id']}/trip"))[0] == 404
    for day in ("2026-02-30", "9999-12-31", "0001-01-01"):
        assert (await get(onward, world.admin_token, day_path(world.pool[0]), date=day))[0] == 422


async def test_a_business_sees_nothing_of_a_pool_drivers_other_stops(onward: Onward) -> None:
    """He has Rosso's and Verde's food at the same time: each gets the way without the minutes at the other's stops."""
    world, db, pia = onward.world, onward.installation.db, onward.world.pool[0]
    rosso, verde = (world.rosso.lat, world.rosso.lng), (world.verde.lat, world.verde.lng)
    verdes_door, rossos_door = (60.1760, 24.9560), (60.1650, 24.9300)
    t_ms = round(noon().timestamp() * 1000)
    track = stay(rosso, t_ms)
    ends = []
    for start, end in ((rosso, verde), (verde, verdes_door), (verdes_door, rossos_door)):
        track += ride(start, end, track[-1].t_ms)[1:]
        arrived = track[-1].t_ms
        track += stay(end, arrived, for_s=120)[1:]
        ends.append((arrived, track[-1].t_ms))
    times = [tuple(noon() + timedelta(milliseconds=ms - t_ms) for ms in pair) for pair in ends]
    await keep_track(db, world, pia, track)
    own = await delivered(
        db, world, world.rosso, pia, assigned_at=noon(), pickup=(noon(), noon() + timedelta(seconds=180)),
        dropoff=(times[2][0], times[2][1]), door=rossos_door,
    )  # fmt: skip
    other = await delivered(
        db, world, world.verde, pia, assigned_at=noon() + timedelta(seconds=30), pickup=(times[0][0], times[0][1]),
        dropoff=(times[1][0], times[1][1]), door=verdes_door,
    )  # fmt: skip
    _, trip = await get(onward, world.rosso.token, trip_path(own))
    assert [stop["kind"] for stop in trip["stops"]] == ["pickup", "dropoff"]
    assert len(trip["gaps"]) == 2
    assert "Verde" not in json.dumps(trip)
    _, page = await get(onward, world.rosso.token, f"{trip_path(own)}/points", limit="2000")
    seen = [point["t_ms"] for point in page["data"]]
    for arrived, left in ends[:2]:
        assert not [t for t in seen if arrived - 60_000 <= t <= left + 60_000]
    assert [t for t in seen if ends[2][0] <= t <= ends[2][1]]
    _, day = await get(onward, world.rosso.token, day_path(pia), date=noon().date().isoformat())
    assert [[one["id"] for one in trip["deliveries"]] for trip in day["data"]] == [[show(Kind.DELIVERY, own)]]
    assert "Verde" not in json.dumps(day)
    _, part = await get(onward, world.rosso.token, trip_path(own), whole="true")
    assert part == trip
    both = [show(Kind.DELIVERY, one) for one in (own, other)]
    for token in (world.admin_token, pia.token):
        _, carried = await get(onward, token, trip_path(other), whole="true")
        assert [one["id"] for one in carried["deliveries"]] == both
        assert [stop["delivery_id"] for stop in carried["stops"]] == [both[0], both[1], both[1], both[0]]
    _, whole = await get(onward, pia.token, day_path(pia), date=noon().date().isoformat())
    assert [one["id"] for one in whole["data"][0]["deliveries"]] == [show(Kind.DELIVERY, d) for d in (own, other)]
    assert len(whole["data"][0]["stops"]) == 4
    async with db.tenant_tx(world.rosso.id, readonly=True) as con:
        assert await con.fetch("SELECT * FROM track_of_delivery($1)", other) == []
        assert await con.fetch("SELECT * FROM driver_locations") == []


async def test_a_drivers_day_has_also_his_ways_without_a_delivery(onward: Onward) -> None:
    """Between two places where he stood; the operator and he see them, a business does not."""
    world, db, dora = onward.world, onward.installation.db, onward.world.dedicated
    home, square = (60.1600, 24.9300), (60.1640, 24.9360)
    early = round((noon() - timedelta(hours=1)).timestamp() * 1000)
    track = stay(home, early)
    track += ride(home, square, track[-1].t_ms)[1:]
    track += stay(square, track[-1].t_ms)[1:]
    await keep_track(db, world, dora, track)
    await write_trip(db, world, world.rosso, dora, noon())
    day = {"date": noon().date().isoformat()}
    for token in (world.admin_token, dora.token):
        _, found = await get(onward, token, day_path(dora), **day)
        assert [len(trip["deliveries"]) for trip in found["data"]] == [0, 1]
        assert found["data"][0]["distance_m"] == pytest.approx(557, rel=0.15)
    _, found = await get(onward, world.rosso.token, day_path(dora), **day)
    assert [len(trip["deliveries"]) for trip in found["data"]] == [1]
    _, nothing = await get(onward, dora.token, day_path(dora), date="2020-02-02")
    assert nothing["data"] == []
    async with db.platform_tx(Reason.SEED) as con:
        await con.execute("DELETE FROM driver_locations")
    _, found = await get(onward, world.rosso.token, day_path(dora), **day)
    assert (found["data"][0]["points"], found["data"][0]["path"], len(found["data"][0]["stops"])) == (0, [], 2)
