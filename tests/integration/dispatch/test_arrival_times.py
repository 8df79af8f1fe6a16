"""Arrival times in a real database: what ended deliveries teach, what is noted of each, and when a delay is told."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console

from dispatch.accuracy import Outcome, report
from dispatch.eta import LEARNED, EtaKeeper
from dispatch.eta_learner import EtaLearner
from dispatch.eta_lessons import SETTLED_AFTER_S
from dispatch.eta_models import Model, Models, save
from dispatch.learning import HandOver, Learned, Readiness, StopKind, learn
from dispatch.planner import PlannerAway
from dispatch.reactions import on_order_ready
from dispatch.service import NewDelivery, Place, create
from dispatch.snapshot import about_one
from dispatch.worker import STOP_SERVICE_S, LegTimes, Question
from geo.distance import destination
from geo.point import Point, as_array
from geo.travel import CrowFlies, Vehicle
from kernel.clock import SystemClock
from kernel.db import Database, Reason
from kernel.events import EventType, event
from kernel.ids import Kind, new_id, parse
from onward.errors import Refused
from onward.eta_report import run_report
from tests.support.people import courier, create_delivery, tracking_token, watcher
from tests.support.server import Onward
from tests.support.world import World
from tracking.live import LivePositions

DOOR_M = 1_500
RIDE_S = 900
WAIT_S = 150
FIX_EVERY_S = 30


class Lines:
    """A planner that knows straight lines, or is away."""

    away = False

    async def leg_seconds(self, legs: list[tuple[Point, Point, Vehicle]]) -> LegTimes:
        if self.away:
            raise PlannerAway
        lines = CrowFlies()
        found = [int(lines.seconds(as_array([a]), as_array([b]), vehicle)[0, 0]) for a, b, vehicle in legs]
        return LegTimes(found, lines.source)


def learner(db: Database, planner: Any = None) -> EtaLearner:
    return EtaLearner(db, planner or Lines(), SystemClock())


async def model_of(db: Database, world: World) -> Model:
    async with db.platform_tx(Reason.ADMIN) as con:
        return await Models().of(con, world.operator_id)


async def brought(
    db: Database, world: World, *, n: int = 1, hours_ago: float = 3, silent: bool = False, roams: bool = False
) -> list[UUID]:
    """Deliveries of Verde that were brought one after the other: ready 5 min late, a ride of 15 min each."""
    door = destination(Point(world.verde.lat, world.verde.lng), 90, DOOR_M)
    driver, ids = world.pool[0].id, []
    async with db.platform_tx(Reason.SEED) as con:
        for number in range(n):
            ready_at = datetime.now(UTC) - timedelta(hours=hours_ago, minutes=-40 * number)
            was_ready_at = ready_at + timedelta(seconds=300)
            left_at = was_ready_at + timedelta(seconds=WAIT_S)
            there_at = left_at + timedelta(seconds=RIDE_S)
            done_at = there_at + timedelta(seconds=WAIT_S)
            new = NewDelivery(
                id=new_id(),
                operator_id=world.operator_id,
                business_id=world.verde.id,
                store_id=world.verde.store_id,
                pickup=Place("Verde", "Yrjönkatu 1", world.verde.lat, world.verde.lng),
                dropoff=Place("Eva", "Far 1", door.lat, door.lng),
                distance_m=2 * DOOR_M,
                fee_minor=500,
                driver_pay_minor=400,
                currency="EUR",
                ready_at=ready_at,
                promised_at=done_at,
                uses_shared_pool=True,
            )
            await create(con, new, ready_at - timedelta(minutes=10))
            await con.execute(
                """UPDATE deliveries SET status = 'delivered', driver_id = $2, assigned_at = $3, was_ready_at = $4,
                     picked_up_at = $5, finished_at = $6 WHERE id = $1""",
                new.id,
                driver,
                ready_at - timedelta(minutes=5),
                was_ready_at,
                left_at,
                done_at,
            )
            for kind, arrived_at, left in (("pickup", ready_at, left_at), ("dropoff", there_at, done_at)):
                await con.execute(
                    """UPDATE stops SET driver_id = $3, arrived_at = $4, done_at = $5
                       WHERE delivery_id = $1 AND kind = $2""",
                    new.id,
                    kind,
                    driver,
                    arrived_at,
                    left,
                )
            await con.execute(
                """INSERT INTO eta_predictions (business_id, delivery_id, phase, slot, operator_id, driver_id, at,
                     source, model_version, inputs, estimate_s, p50_s, p90_s)
                   VALUES ($1, $2, 'to_dropoff', 1, $3, $4, $5, 'crow_flies', 0, '[]', 460, 460, 600)""",
                world.verde.id,
                new.id,
                world.operator_id,
                driver,
                left_at,
            )
            for day in {left_at.date(), there_at.date()}:
                await con.execute("SELECT make_location_partition($1)", day)
            for second in range(0, RIDE_S, RIDE_S if silent else FIX_EVERY_S):
                way_m = DOOR_M * second / RIDE_S + (9_000 * (second % (2 * FIX_EVERY_S) > 0) if roams else 0)
                at = destination(Point(world.verde.lat, world.verde.lng), 90, way_m)
                await con.execute(
                    """INSERT INTO driver_locations (driver_id, operator_id, recorded_at, received_at, lat, lng)
                       VALUES ($1, $2, $3, $3, $4, $5) ON CONFLICT DO NOTHING""",
                    driver,
                    world.operator_id,
                    left_at + timedelta(seconds=second),
                    at.lat,
                    at.lng,
                )
            ids.append(new.id)
    return ids


async def test_deliveries_that_ended_teach_rides_kitchens_hand_overs_and_errors(db: Database, world: World) -> None:
    """Each once, however often it is looked: a second look finds nothing to learn and changes nothing."""
    await brought(db, world, n=4)
    assert await learner(db).learn() == 4
    model = await model_of(db, world)
    known = model.learned
    assert model.version == 1
    assert known.travel["crow_flies/bicycle"].factor.n == 4
    provider_s = (
        await Lines().leg_seconds([(Point(60, 24), destination(Point(60, 24), 90, DOOR_M), Vehicle.BICYCLE)])
    ).seconds[0]
    now = datetime.now(UTC)
    assert provider_s < known.ride_s("crow_flies", Vehicle.BICYCLE, now, provider_s) < RIDE_S
    assert known.kitchens[str(world.verde.store_id)].late_s.value == pytest.approx(300, abs=1)
    assert known.at_stores[str(world.verde.store_id)].value == pytest.approx(WAIT_S, abs=1)
    assert known.at_doors[str(world.verde.id)].value == pytest.approx(WAIT_S, abs=1)
    assert known.hand_over_s(StopKind.DROPOFF, world.verde.id) > 60
    assert [len(errors) for errors in known.spread.errors] == [0, 4, 0, 0]
    async with db.platform_tx(Reason.ADMIN) as con:
        settled = await con.fetch("SELECT actual_s FROM eta_predictions")
    assert [row["actual_s"] for row in settled] == [RIDE_S] * 4
    assert await learner(db).learn() == 0
    assert await model_of(db, world) == model


async def test_two_processes_that_learn_at_once_learn_once(db: Database, world: World) -> None:
    """What the slower one read is stale by then: its work is dropped, and nothing counts twice."""
    await brought(db, world, n=3)
    counts = await asyncio.gather(*(learner(db).learn() for _ in range(3)))
    assert sorted(counts) == [0, 0, 3]
    model = await model_of(db, world)
    assert (model.version, model.learned.at_doors[str(world.verde.id)].n) == (1, 3)


async def test_a_jump_that_the_filters_doubt_does_not_spoil_a_ride(db: Database, world: World) -> None:
    """The path is what the phone can have driven, not what it once believed."""
    await brought(db, world, roams=True)
    async with db.platform_tx(Reason.ADMIN) as con:
        await con.execute("UPDATE driver_locations SET verdict = 'jump' WHERE lng > $1 + 0.05", world.verde.lng)
    assert await learner(db).learn() == 1
    assert (await model_of(db, world)).learned.travel["crow_flies/bicycle"].factor.n == 1


@pytest.mark.parametrize("odd", [{"silent": True}, {"roams": True}])
async def test_a_ride_that_nobody_saw_or_that_toured_the_town_teaches_no_ride(
    db: Database, world: World, odd: dict[str, bool]
) -> None:
    """A phone that was silent, or a path far longer than the way: no lesson of the ride, the hand-over counts."""
    await brought(db, world, **odd)
    assert await learner(db).learn() == 1
    known = (await model_of(db, world)).learned
    assert known.travel == {}
    assert known.at_doors[str(world.verde.id)].n == 1


async def test_what_was_canceled_or_just_ended_does_not_teach(db: Database, world: World) -> None:
    """Phones get two minutes to tell the rest."""
    canceled, recent = await brought(db, world, n=2)
    async with db.platform_tx(Reason.ADMIN) as con:
        await con.execute("UPDATE deliveries SET status = 'canceled' WHERE id = $1", canceled)
        just_now = datetime.now(UTC) - timedelta(seconds=SETTLED_AFTER_S - 30)
        await con.execute("UPDATE deliveries SET finished_at = $2 WHERE id = $1", recent, just_now)
    assert await learner(db).learn() == 0
    assert (await model_of(db, world)).version == 0


async def test_an_estimate_for_another_driver_is_no_error_of_this_one(db: Database, world: World) -> None:
    """Taken over by somebody else, what was said about the first driver tells nothing."""
    await brought(db, world)
    async with db.platform_tx(Reason.ADMIN) as con:
        await con.execute("UPDATE eta_predictions SET driver_id = $1", world.pool[1].id)
    assert await learner(db).learn() == 1
    assert (await model_of(db, world)).learned.spread.errors == ((), (), (), ())


async def test_without_travel_times_nothing_is_learned_and_nothing_lost(db: Database, world: World) -> None:
    """The planner is away: the same deliveries teach when it is back."""
    await brought(db, world)
    planner = Lines()
    planner.away = True
    assert await learner(db, planner).learn() == 0
    planner.away = False
    assert await learner(db, planner).learn() == 1


async def test_a_business_sees_no_other_ones_estimates(db: Database, world: World) -> None:
    """Row level security: Verde's are Verde's, and what all taught is nobody's to read."""
    await brought(db, world)
    await learner(db).learn()
    for business, seen in ((world.verde, 1), (world.rosso, 0)):
        async with db.tenant_tx(business.id, readonly=True) as con:
            assert await con.fetchval("SELECT count(*) FROM eta_predictions") == seen
            assert await con.fetchval("SELECT count(*) FROM eta_models") == 0


async def events(onward: Onward) -> list[dict[str, Any]]:
    async with onward.installation.db.platform_tx(Reason.ADMIN) as con:
        return [
            row["data"]
            for row in await con.fetch("SELECT data FROM outbox WHERE type = 'delivery.delayed' ORDER BY position")
        ]


async def execute(onward: Onward, query: str, *values: Any) -> None:
    async with onward.installation.db.platform_tx(Reason.ADMIN) as con:
        await con.execute(query, *values)


async def test_a_delay_is_told_once_and_again_when_it_gets_worse(onward: Onward) -> None:
    """On his page, on the board and as an event, before he notices; a little worse is no news."""
    world, eta = onward.world, onward.installation.parts[EtaKeeper]
    async with courier(onward, world.dedicated) as dora, watcher(onward, world.rosso.token) as board:
        await dora.goes_online(world.rosso.lat, world.rosso.lng)
        delivery = await create_delivery(onward, world.rosso)
        await dora.answers(await dora.is_offered(), "accept")
        async with watcher(onward, tracking_token(delivery)) as customer:
            await eta.refresh()
            await customer.sees(lambda o: o["eta"], "an arrival time")
            assert customer.object["delayed"] is False
            assert await events(onward) == []
            await execute(onward, "UPDATE deliveries SET promised_at = now() - interval '1 minute'")
            await eta.refresh()
            await eta.refresh()
            await customer.sees(lambda o: o["delayed"], "that it will be late")
            await board.sees(lambda o: o["deliveries"][0]["delay_told_s"], "what the customer was told")
        [told] = await events(onward)
        assert told["late_s"] == board.object["deliveries"][0]["delay_told_s"] > 60
        assert told["expected"]["p50"] <= told["expected"]["p90"]
        assert told["object"]["id"] == delivery["id"]
        await execute(onward, "UPDATE deliveries SET promised_at = now() - interval '4 minutes'")
        await eta.refresh()
        assert len(await events(onward)) == 1
        await execute(onward, "UPDATE deliveries SET promised_at = now() - interval '10 minutes'")
        await eta.refresh()
        assert [one["late_s"] > 600 for one in await events(onward)] == [False, True]


async def test_a_delivery_that_nobody_has_is_told_to_be_late_before_its_time(onward: Onward) -> None:
    """When even a driver at the store would be too late: the customer hears it while the promise is still to come."""
    world, eta = onward.world, onward.installation.parts[EtaKeeper]
    delivery = await create_delivery(onward, world.rosso)
    await eta.refresh()
    assert await events(onward) == []
    await execute(onward, "UPDATE deliveries SET promised_at = now() + interval '1 minute'")
    await eta.refresh()
    await eta.refresh()
    async with watcher(onward, tracking_token(delivery)) as customer:
        await customer.sees(lambda o: o["delayed"] and o["eta"] is None, "that it will be late")
    [told] = await events(onward)
    assert told["late_s"] > 0
    assert told["expected"] is None


async def test_a_delivery_is_noted_when_it_is_assigned_and_when_it_is_picked_up(onward: Onward) -> None:
    """Not each time it is looked at; `eta_source` tells who said so, and the legs are kept."""
    world, eta = onward.world, onward.installation.parts[EtaKeeper]
    db = onward.installation.db
    async with courier(onward, world.dedicated) as dora:
        await dora.goes_online(world.rosso.lat, world.rosso.lng)
        delivery = await create_delivery(onward, world.rosso)
        await dora.answers(await dora.is_offered(), "accept")
        for _ in range(3):
            await eta.refresh()
        await dora.reports(delivery["id"], "en_route_to_pickup", "arrived_at_pickup", "picked_up")
        for _ in range(3):
            await eta.refresh()
        async with db.platform_tx(Reason.ADMIN) as con:
            rows = await con.fetch("SELECT * FROM eta_predictions ORDER BY at")
            source = await con.fetchval("SELECT eta_source FROM deliveries")
        phases = [row["phase"] for row in rows]
        assert sorted(set(phases), reverse=True) == ["to_pickup", "to_dropoff"]
        assert len(phases) <= 4  # a slot of five minutes may end in between
        assert rows[0]["source"] == source == "crow_flies"
        assert [len(row["inputs"]) for row in (rows[0], rows[-1])] == [2, 1]
        assert rows[0]["p50_s"] < rows[0]["p90_s"]
        await execute(
            onward,
            "INSERT INTO eta_models (operator_id, version, learned, updated_at) VALUES ($1, 1, '{}', now())",
            world.operator_id,
        )
        await execute(onward, "UPDATE deliveries SET eta_dropoff_p50 = NULL")
        await eta.refresh()
        async with db.platform_tx(Reason.ADMIN) as con:
            assert await con.fetchval("SELECT eta_source FROM deliveries") == "crow_flies" + LEARNED


async def test_dispatch_counts_on_kitchens_and_hand_overs_as_they_are(onward: Onward) -> None:
    """A store that is late at this hour is expected late, unless it says that it is ready; so with hand-overs."""
    world, db = onward.world, onward.installation.db
    delivery = await create_delivery(onward, world.rosso)
    delivery_id, live = parse(Kind.DELIVERY, delivery["id"]), onward.installation.parts[LivePositions]
    late = [Readiness(world.rosso.store_id, hour, 600) for hour in range(24) for _ in range(60)]
    learned = learn(Learned(), [*late, *[HandOver(StopKind.PICKUP, world.rosso.store_id, 300)] * 80])

    async def asked() -> Question:
        return await about_one(db, live, Models(), world.operator_id, delivery_id, datetime.now(UTC))

    shipped = await asked()
    async with db.platform_tx(Reason.ADMIN) as con:
        assert await save(con, world.operator_id, learned, after=0, now=datetime.now(UTC))
    known = await asked()
    assert known.jobs[0].ready_in_s == pytest.approx(shipped.jobs[0].ready_in_s + 600, abs=60)
    assert (shipped.pickup_service_s, shipped.dropoff_service_s) == (STOP_SERVICE_S, STOP_SERVICE_S)
    assert known.pickup_service_s > 200
    assert known.dropoff_service_s == STOP_SERVICE_S
    async with db.platform_tx(Reason.ADMIN) as con:
        now = datetime.now(UTC)
        ready = event(EventType.ORDER_READY, at=now, operator_id=world.operator_id, subject=delivery_id)
        await on_order_ready(con, ready)
    assert (await asked()).jobs[0].ready_in_s <= 0


async def test_a_report_tells_each_how_good_its_arrival_times_were(onward: Onward) -> None:
    """A business of its own deliveries, an admin of all, a driver not at all; also as a command."""
    world, db = onward.world, onward.installation.db
    await brought(db, world, n=3)
    await learner(db).learn()
    counts = {}
    for who in (world.verde.token, world.rosso.token, world.admin_token):
        async with onward.http.get("/api/v1/dispatch/eta-report?days=2", headers=onward.as_(who)) as reply:
            counts[who] = (await reply.json())["total"]
    assert counts[world.verde.token] == counts[world.admin_token]
    assert counts[world.verde.token]["n"] == 3
    assert counts[world.verde.token]["bias_s"] == 460 - RIDE_S
    assert counts[world.rosso.token] is None
    async with onward.http.get("/api/v1/dispatch/eta-report", headers=onward.as_(world.pool[0].token)) as reply:
        assert reply.status == 403
    settings = onward.installation.settings
    found = await asyncio.to_thread(run_report, settings, 7, None)
    assert found.total is not None
    assert found.total.n == 3
    assert set(found.by_horizon) == {"5-15"}
    with pytest.raises(Refused, match="no operator Elsewhere"):
        await asyncio.to_thread(run_report, settings, 7, "Elsewhere")


def test_an_empty_report_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing noted, or nothing arrived yet: two things, said apart; a full one has a row for each group."""
    from onward import eta_report

    said = io.StringIO()
    monkeypatch.setattr(eta_report, "console", Console(file=said, width=120))
    eta_report.tell(report(7, 0, []))
    eta_report.tell(report(7, 4, []))
    eta_report.tell(report(7, 0, [Outcome(600, 900, 660, "osrm+learned")]))
    text = said.getvalue()
    assert "while a driver has them" in text
    assert "4 estimates wait" in text
    assert "5-15" in text
    assert "osrm+learned" in text
