"""Offers under every race: whatever happens at the same moment, and whoever crashes, one winner and nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from dispatch import closing, offers, service, shifts
from dispatch.service import NewDelivery, Place
from kernel.db import AWAY, Connection, Database, Reason
from kernel.errors import Problem
from kernel.events import EventType, event
from kernel.ids import Kind, new_id, show
from kernel.machine import IllegalTransition
from tests.support.world import World

INTERLEAVINGS = 1_000
SEED = 11
CRASHES = 0.25
CLOSINGS = 40
CRASH_WITHIN_S = 0.006
NOW = datetime.now(UTC)
LATER = NOW + timedelta(seconds=31)

Act = Callable[[], Awaitable[object]]


async def make(db: Database, world: World, store_id: UUID | None = None) -> UUID:
    store = Place("Rosso", "Yrjönkatu 1", world.rosso.lat, world.rosso.lng)
    new = NewDelivery(
        id=new_id(),
        operator_id=world.operator_id,
        business_id=world.rosso.id,
        store_id=store_id,
        pickup=store,
        dropoff=Place("Eva", "Mannerheimintie 1", world.rosso.lat, world.rosso.lng),
        distance_m=100,
        fee_minor=100,
        driver_pay_minor=100,
        currency="EUR",
        ready_at=NOW,
        promised_at=LATER,
        uses_shared_pool=True,
    )
    async with db.platform_tx(Reason.ADMIN) as con:
        await service.create(con, new, NOW)
    return new.id


async def send(db: Database, world: World, driver_ids: list[UUID], delivery_ids: list[UUID]) -> dict[UUID, UUID]:
    names = [show(Kind.DELIVERY, one) for one in delivery_ids]
    stops = [{"kind": kind, "delivery_id": name} for kind in ("pickup", "dropoff") for name in names]
    terms = {"deliveries": names, "joins": [], "stops": stops}
    async with db.platform_tx(Reason.DISPATCH_TICK) as con:
        return await offers.send(
            con,
            operator_id=world.operator_id,
            asked=dict.fromkeys(driver_ids, terms),
            deliveries=[(delivery_id, 1) for delivery_id in delivery_ids],
            ttl_s=30,
            now=NOW,
        )


async def at_once(chance: random.Random, acts: list[Act], *, crashes: float = CRASHES) -> None:
    """Let them all happen at the same time; some processes crash in the middle."""

    async def run(act: Act, crash_after_s: float | None) -> None:
        with contextlib.suppress(Problem, IllegalTransition, TimeoutError, *AWAY):
            async with asyncio.timeout(crash_after_s):
                await act()

    after_s = [chance.uniform(0, CRASH_WITHIN_S) if chance.random() < crashes else None for _ in acts]
    await asyncio.gather(*(run(act, crash) for act, crash in zip(acts, after_s, strict=True)))


async def platform(db: Database, work: Callable[[Connection], Awaitable[object]]) -> None:
    async with db.platform_tx(Reason.ADMIN) as con:
        await work(con)


async def check(db: Database, delivery_ids: list[UUID], what: str) -> None:
    async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
        rows = await con.fetch(
            """SELECT d.id, d.status, d.driver_id, d.version,
                 ARRAY(SELECT o.driver_id FROM offer_deliveries od JOIN offers o ON o.id = od.offer_id
                       WHERE od.delivery_id = d.id AND od.holds AND o.status = 'accepted') AS winners,
                 (SELECT count(*) FROM offer_deliveries od WHERE od.delivery_id = d.id AND od.holds) AS holders,
                 ARRAY(SELECT h.version FROM delivery_status_history h WHERE h.delivery_id = d.id ORDER BY 1) AS told
               FROM deliveries d WHERE d.id = ANY($1)""",
            delivery_ids,
        )
        busy = await con.fetch(
            """SELECT dr.state, count(d.id) AS work FROM driver_profiles dr
               LEFT JOIN deliveries d ON d.driver_id = dr.id AND d.status = 'assigned' GROUP BY dr.id"""
        )
        open_offers = await con.fetchval("SELECT count(*) FROM offers WHERE status = 'sent'")
    assert len(rows) == len(delivery_ids), what
    for row in rows:
        assert row["status"] in ("pending", "assigned", "canceled"), (what, dict(row))
        expected = [row["driver_id"]] if row["status"] == "assigned" else []
        assert row["winners"] == expected, (what, dict(row))
        assert row["holders"] == len(expected), (what, dict(row))
        assert row["told"] == list(range(1, row["version"] + 1)), (what, dict(row))
    assert all((row["state"] == "busy") == (row["work"] > 0) for row in busy), (what, [dict(row) for row in busy])
    assert open_offers == 0, what


async def test_a_thousand_interleavings_never_have_two_winners_nor_lose_a_delivery(db: Database, world: World) -> None:
    """Accept, decline, expire, revoke, cancel and crash, in every mixture; one is asked, or several."""
    chance = random.Random(SEED)
    drivers = [world.dedicated.id, *(driver.id for driver in world.pool)]
    async with db.platform_tx(Reason.ADMIN) as con:
        await con.execute("UPDATE driver_profiles SET state = 'available'")
    for number in range(INTERLEAVINGS):
        pair = [await make(db, world), await make(db, world)]
        chance.shuffle(drivers)
        mixed = [[pair[0]], pair, [pair[1]], pair[::-1]]

        def sending(asked: list[UUID], wanted: list[UUID]) -> Act:
            return lambda: send(db, world, asked, wanted)

        some = [sending([d], chance.choice(mixed)) for d in drivers[: chance.randint(1, 4)]]
        many = [sending(chance.sample(drivers, chance.randint(2, 4)), chance.choice(mixed)) for _ in range(2)]
        await at_once(chance, chance.choice([some, many, [*some, *many], many[:1]]))
        async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
            sent = await con.fetch("SELECT id, driver_id FROM offers WHERE status = 'sent'")
        acts: list[Act] = [lambda: platform(db, lambda con: offers.expire_due(con, LATER))]
        for offer in sent:
            acts += [_answer(db, offer, "accept"), _answer(db, offer, "accept"), _answer(db, offer, "decline")]
        for delivery_id in pair:
            acts += [_cancel(db, world, delivery_id), _revoke(db, delivery_id)]
        await at_once(chance, chance.sample(acts, min(len(acts), chance.randint(2, 6))))
        await _settle(db, pair)
        await check(db, pair, f"interleaving {number} of seed {SEED}")
        for delivery_id in pair:
            with contextlib.suppress(IllegalTransition):
                await _cancel(db, world, delivery_id)()
        await _settle(db, pair)


def _answer(db: Database, offer: Any, reply: str) -> Act:
    async def act() -> None:
        async with db.driver_tx(offer["driver_id"]) as con:
            if reply == "accept":
                await offers.accept(con, driver_id=offer["driver_id"], offer_id=offer["id"], now=NOW)
            else:
                await offers.decline(con, driver_id=offer["driver_id"], offer_id=offer["id"], reason="no", now=NOW)

    return act


def _cancel(db: Database, world: World, delivery_id: UUID) -> Act:
    async def act() -> None:
        async with db.tenant_tx(world.rosso.id) as con:
            await service.cancel(con, delivery_id, reason="changed my mind", at=NOW)

    return act


def _revoke(db: Database, delivery_id: UUID) -> Act:
    return lambda: platform(db, lambda con: offers.revoke_for(con, delivery_id, "dispatcher", NOW))


async def _settle(db: Database, delivery_ids: list[UUID]) -> None:
    """Do what the reactions to the events do, and let the clock close what is still open."""
    async with db.platform_tx(Reason.ADMIN) as con:
        for delivery_id in delivery_ids:
            row = await con.fetchrow("SELECT status, driver_id FROM deliveries WHERE id = $1", delivery_id)
            assert row is not None
            if row["status"] == "assigned":
                await offers.revoke_losers(con, delivery_id, NOW)
            if row["status"] == "canceled":
                await offers.revoke_for(con, delivery_id, "canceled", NOW)
                if row["driver_id"] is not None:
                    await shifts.release_driver(con, row["driver_id"], NOW)
        await offers.expire_due(con, LATER)


async def test_a_store_closes_while_its_drivers_take_more_work(db: Database, world: World) -> None:
    """He has something to fetch there and is asked for more: taken or taken back, and none waits for the other."""
    store_id, driver_id = world.rosso.store_id, world.pool[0].id
    async with db.platform_tx(Reason.ADMIN) as con:
        await con.execute("UPDATE driver_profiles SET state = 'available'")
    closed = event(
        EventType.STORE_CLOSED, at=NOW, operator_id=world.operator_id, business_id=world.rosso.id, subject=store_id
    )
    for number in range(CLOSINGS):
        has, asked = [await make(db, world, store_id) for _ in range(2)]
        for delivery_id in (has, asked):
            offer_id = (await send(db, world, [driver_id], [delivery_id]))[driver_id]
            if delivery_id == has:
                await _answer(db, {"id": offer_id, "driver_id": driver_id}, "accept")()
        yes = _answer(db, {"id": offer_id, "driver_id": driver_id}, "accept")
        acts: list[Act] = [yes, lambda: platform(db, lambda con: closing.on_store_closed(con, closed))]
        await at_once(random.Random(number), acts if number % 2 else acts[::-1], crashes=0.0)
        async with db.platform_tx(Reason.ADMIN) as con:
            rows = await con.fetch("SELECT id, status FROM deliveries WHERE id = ANY($1)", [has, asked])
            status = {row["id"]: row["status"] for row in rows}
            assert status[has] == "assigned"
            assert status[asked] in ("assigned", "pending")
            await con.execute("UPDATE driver_profiles SET state = 'available'")
            await con.execute("DELETE FROM offer_deliveries WHERE delivery_id = ANY($1)", [has, asked])
            await con.execute("UPDATE stops SET driver_id = NULL WHERE delivery_id = ANY($1)", [has, asked])
            await con.execute(
                "UPDATE deliveries SET status = 'canceled', driver_id = NULL WHERE id = ANY($1)", [has, asked]
            )


async def test_a_yes_counts_until_the_offer_is_closed_whatever_the_clock_says(db: Database, world: World) -> None:
    """The clock is an hour ahead and nobody has noticed yet: a yes in time counts. Once it was closed none does."""
    ahead, (first, second) = NOW + timedelta(hours=1), world.pool[:2]
    async with db.platform_tx(Reason.ADMIN) as con:
        await con.execute("UPDATE driver_profiles SET state = 'available'")
    for driver, closed in ((first, False), (second, True)):
        delivery_id = await make(db, world)
        offer_id = (await send(db, world, [driver.id], [delivery_id]))[driver.id]
        if closed:
            await platform(db, lambda con: offers.expire_due(con, LATER))
        said = ""
        try:
            async with db.driver_tx(driver.id) as con:
                await offers.accept(con, driver_id=driver.id, offer_id=offer_id, now=ahead)
        except Problem as problem:
            said = problem.code
        async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
            status = await con.fetchval("SELECT status FROM deliveries WHERE id = $1", delivery_id)
        assert (said, status) == (("offer_gone", "pending") if closed else ("", "assigned"))
