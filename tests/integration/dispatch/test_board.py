"""What a board is told beside its objects: late-risk by one rule, numbers of the last hour, what a driver would add."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatch.numbers import BoardNumbers
from dispatch.risk import risk_of
from kernel import keys
from kernel.clock import SystemClock
from kernel.db import Reason
from kernel.ids import Kind, earliest, new_id, show
from tests.support.people import courier, create_delivery, eventually, watcher
from tests.support.server import Onward

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=1)


def row(**more: Any) -> dict[str, Any]:
    """A delivery 1.4 km by road from its store, promised at noon."""
    return {
        "status": "pending",
        "created_at": NOON - timedelta(minutes=30),
        "promised_at": NOON,
        "distance_m": 1_400,
        "eta_dropoff_p50": None,
        "eta_dropoff_p90": None,
        **more,
    }


@pytest.mark.parametrize(
    ("more", "code", "minutes"),
    [
        ({}, "no_time_left", -(120 + 40 + 280) / 60),
        ({"status": "offered"}, "no_time_left", -(120 + 40 + 280) / 60),
        ({"status": "assigned"}, "overdue", 0),
        ({"status": "picked_up", "eta_dropoff_p50": NOON, "eta_dropoff_p90": NOON}, "overdue", 0),
        ({"status": "picked_up", "eta_dropoff_p50": NOON, "eta_dropoff_p90": LATER}, "eta_tight", -30),
        ({"status": "assigned", "eta_dropoff_p50": LATER, "eta_dropoff_p90": LATER}, "eta_late", -30),
    ],
)
def test_late_risk_is_arrival_against_promise(more: dict[str, Any], code: str, minutes: float) -> None:
    """With an arrival time at once, without one from when even a driver at the store would be late."""
    risk = risk_of(row(**more))  # type: ignore[arg-type]
    assert risk == {"code": code, "from": NOON + timedelta(minutes=minutes)}


@pytest.mark.parametrize("status", ["delivered", "canceled", "failed", "returning", "returned"])
def test_what_nobody_can_bring_any_more_is_at_no_risk(status: str) -> None:
    """A dispatcher can't mend it."""
    assert risk_of(row(status=status, eta_dropoff_p50=NOON + timedelta(hours=1))) is None  # type: ignore[arg-type]


def test_ids_from_a_time_on_are_no_older() -> None:
    """The primary key finds what is recent."""
    assert earliest(datetime.now(UTC) - timedelta(seconds=1)) < new_id() < earliest(datetime.now(UTC) + timedelta(1))


async def get(onward: Onward, token: str, path: str) -> tuple[int, dict[str, Any]]:
    async with onward.http.get(f"/api/v1/dispatch{path}", headers=onward.as_(token)) as reply:
        return reply.status, await reply.json()


async def test_a_board_counts_what_its_viewer_may_see(onward: Onward) -> None:
    """Rosso's two are not Verde's; the operator sees three; a delivery in time makes 100 %."""
    world = onward.world
    async with courier(onward, world.dedicated) as dora:
        await dora.goes_online(world.rosso.lat, world.rosso.lng)
        made = await create_delivery(onward, world.rosso)
        await dora.answers(await dora.is_offered(), "accept")
        await dora.delivers(made["id"])
        await create_delivery(onward, world.rosso)
        await create_delivery(onward, world.verde)
        await dora.is_offered()
        numbers = {
            who: (await get(onward, token, "/board"))[1]["numbers"]
            for who, token in (("rosso", world.rosso.token), ("verde", world.verde.token), ("all", world.admin_token))
        }
    assert [numbers[who]["open"] for who in ("rosso", "verde", "all")] == [1, 1, 2]
    assert numbers["rosso"]["delivered"] == 1
    assert numbers["rosso"]["in_time_share"] == 1.0
    assert numbers["verde"]["in_time_share"] is None
    assert numbers["rosso"]["wait_s_p50"] < 15


async def test_utilisation_is_busy_of_busy_and_free_minutes_of_the_hour(onward: Onward) -> None:
    """Noted each minute for the operator, and for each business of its own drivers; an hour later it is gone."""
    world, db, redis = onward.world, onward.installation.db, onward.installation.redis
    async with db.platform_tx(Reason.SEED) as con:
        await con.execute("UPDATE driver_profiles SET state = 'available' WHERE id = $1", world.pool[0].id)
        await con.execute("UPDATE driver_profiles SET state = 'busy' WHERE id = $1", world.dedicated.id)
    clock = SlowClock(datetime.now(UTC) - timedelta(minutes=75))
    counted = BoardNumbers(db, redis, clock)
    for minutes in (0, 73, 74, 75):
        clock.at = datetime.now(UTC) - timedelta(minutes=75 - minutes)
        await counted.note_staffing()
    async with db.platform_tx(Reason.BOARD) as con:
        of_all = await counted.read(con, world.operator_id, of_operator=True)
        of_rosso = await counted.read(con, world.rosso.id, of_operator=False)
    assert (of_all["utilisation"], of_rosso["utilisation"]) == (0.5, 1.0)
    assert [point[2] for point in of_all["hour"]] == [0.5, 0.5, 0.5]
    assert not await redis.exists(keys.staffing(world.verde.id))


class SlowClock(SystemClock):
    """A clock that stands where it is put."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


async def test_an_open_board_hears_its_numbers_again_and_again(onward: Onward) -> None:
    """Unnumbered, the newest replaces the last; a customer's page hears none."""
    async with watcher(onward, onward.world.rosso.token) as board:
        await board.sees(lambda board: board["numbers"]["open"] == 0, "the first numbers")
        made = await create_delivery(onward, onward.world.rosso)

        async def told() -> list[int]:
            await onward.http.get("/healthz")
            return [m["numbers"]["open"] for m in board.messages if m["type"] == "numbers"]

        assert (await eventually(told, lambda heard: heard and heard[-1] == 1, "one open delivery"))[-1] == 1
    async with watcher(onward, made["tracking_url"].split("#")[1]) as customer:
        await customer.sees(lambda seen: seen["kind"] == "tracking", "the tracking object")
        assert "numbers" not in customer.object


async def test_a_dispatcher_sees_what_each_driver_would_make_of_it(onward: Onward) -> None:
    """Stops to do come first; a business is told of no driver that it can't see; what is picked up is nobody's."""
    world, token = onward.world, onward.world.admin_token
    async with courier(onward, world.dedicated) as dora, courier(onward, world.pool[0]) as pia:
        await dora.goes_online(world.rosso.lat, world.rosso.lng)
        first = await create_delivery(onward, world.rosso)
        await dora.answers(await dora.is_offered(), "accept")
        await pia.goes_online(60.19, 24.96)
        waiting = await create_delivery(onward, world.rosso)
        status, found = await get(onward, token, f"/deliveries/{waiting['id']}/drivers")
        assert status == 200
        by = {fit["driver_id"]: fit for fit in found["data"]}
        own, far = by[show(Kind.DRIVER, world.dedicated.id)], by[show(Kind.DRIVER, world.pool[0].id)]
        assert (own["stop"], far["stop"]) == (4, 2)
        assert own["added_s"] < far["added_s"]
        assert [fit["dropoff_at"] for fit in found["data"]] == sorted(fit["dropoff_at"] for fit in found["data"])
        seen = await get(onward, world.rosso.token, f"/deliveries/{waiting['id']}/drivers")
        assert [fit["driver_id"] for fit in seen[1]["data"]] == [show(Kind.DRIVER, world.dedicated.id)]
        assert (await get(onward, world.verde.token, f"/deliveries/{waiting['id']}/drivers"))[0] == 404
        assert (await get(onward, dora.who.token, f"/deliveries/{waiting['id']}/drivers"))[0] == 403
        held = await get(onward, world.admin_token, f"/deliveries/{first['id']}/drivers")
        assert show(Kind.DRIVER, world.dedicated.id) not in [fit["driver_id"] for fit in held[1]["data"]]
        await dora.delivers(first["id"])
        assert (await get(onward, token, f"/deliveries/{first['id']}/drivers"))[1]["data"] == []
