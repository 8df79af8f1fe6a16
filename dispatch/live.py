"""What happened becomes what people see: consumers of events publish whole objects to the topics they concern.

An object is read when it is published, so handling an event twice, or late, says the newest twice. Each business'
topic is fed from that business' own transaction: what row level security hides there can't be published.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from dispatch import alerts, moves
from dispatch.delivery import BEFORE_PICKUP
from dispatch.desk import route_of
from dispatch.shown import store_object
from dispatch.views import BoardViews
from geo.fence import RADIUS_M
from kernel import keys
from kernel.clock import to_ms
from kernel.db import Connection, Database, one
from kernel.errors import Problem
from kernel.events import Event, EventType
from kernel.ids import Kind, show
from tracking.fences import Fences, NextStop
from tracking.ports import WakeUp
from tracking.push import DriverPush
from tracking.recovery import Facts
from tracking.wire import DriverMessage, Move, Offer, OfferGone, Route, Shift


class LiveFacts:
    """Publishes to boards, customers and drivers."""

    def __init__(
        self, db: Database, views: BoardViews, facts: Facts, push: DriverPush, fences: Fences, wake_up: WakeUp
    ) -> None:
        self._db = db
        self._views = views
        self._facts = facts
        self._push = push
        self._fences = fences
        self._wake_up = wake_up

    async def on_delivery(self, con: Connection, event: Event) -> None:
        """A delivery changed: tell both boards and its customer, and show its driver's new state."""
        assert event.business_id is not None
        delivery = await self._views.delivery(con, event.subject)
        if delivery is not None:
            await self._facts.publish(keys.board_topic(event.operator_id), [delivery])
        async with self._db.tenant_tx(event.business_id, readonly=True) as own:
            delivery = await self._views.delivery(own, event.subject)
        if delivery is not None:
            await self._facts.publish(keys.business_topic(event.business_id), [delivery])
        await self.tell_customer(event.business_id, event.subject)
        if event.driver_id is not None:
            await self._tell_boards_of_driver(con, event.operator_id, event.driver_id, {event.business_id})

    async def on_driver(self, con: Connection, event: Event) -> None:
        """A driver came, left, or has other work: show him where he may be seen, and tell his phone."""
        assert event.driver_id is not None
        await self._tell_boards_of_driver(con, event.operator_id, event.driver_id, set())
        row = await con.fetchrow("SELECT state, silent_since FROM driver_profiles WHERE id = $1", event.driver_id)
        if row is not None:
            since = row["silent_since"]
            await self._push.push(event.driver_id, Shift(row["state"], since and msgspec.to_builtins(since)))

    async def on_offer(self, con: Connection, event: Event) -> None:
        """An offer was sent or closed: tell the driver's phone, and have it woken for one that it can't hear."""
        assert event.driver_id is not None
        if event.type is EventType.OFFER_SENT:
            if not await self._push.push(event.driver_id, Offer(event.data)):
                await self._wake_up.wake(event.driver_id, "offer")
        else:
            await self._push.push(event.driver_id, OfferGone(event.data["id"], event.data["status"]))

    async def on_message(self, con: Connection, event: Event) -> None:
        """Somebody wrote about a delivery: tell the driver's phone, unless it was he."""
        if event.driver_id is not None and event.data["sender"] != "driver":
            await self._push.push(event.driver_id, DriverMessage(**event.data))

    async def on_move(self, con: Connection, event: Event) -> None:
        """An idle driver was told where work comes from, or that is over: tell his phones what holds now."""
        if event.driver_id is not None:
            await self._push.push(event.driver_id, Move(await moves.open_for(con, event.driver_id)))

    async def on_route(self, con: Connection, event: Event) -> None:
        """A driver's stops changed: send him his whole route and set the fence of his next stop."""
        if event.driver_id is not None:
            await self._send_route(con, event, event.driver_id)

    async def _send_route(self, con: Connection, event: Event, driver_id: UUID) -> None:
        version, stops, next_stop = await route_of(con, driver_id)
        fence = None
        if next_stop is not None:
            fence = NextStop(
                next_stop["delivery_id"],
                next_stop["business_id"],
                next_stop["kind"],
                next_stop["lat"],
                next_stop["lng"],
                RADIUS_M,
            )
        await self._fences.put(event.operator_id, driver_id, fence, to_ms(event.created_at))
        await self._push.push(driver_id, Route(version, stops))

    async def on_store(self, con: Connection, event: Event) -> None:
        """A store closed or opened: show it, and send those on the way there their route with the notice."""
        assert event.business_id is not None
        row = one(await con.fetchrow("SELECT * FROM stores WHERE id = $1", event.subject), "store")
        for topic in (keys.board_topic(event.operator_id), keys.business_topic(event.business_id)):
            await self._facts.publish(topic, [store_object(row)])
        going = await con.fetch(
            """SELECT DISTINCT driver_id FROM deliveries
               WHERE business_id = $1 AND store_id = $2 AND status = ANY($3)""",
            event.business_id,
            event.subject,
            [status.value for status in BEFORE_PICKUP],
        )
        for driver in going:
            await self._send_route(con, event, driver["driver_id"])

    async def on_alert(self, con: Connection, event: Event) -> None:
        """Something went wrong, or is over: tell the operator's board, and that of the business it concerns."""
        gone = {"kind": "gone", "id": show(Kind.ALERT, event.subject)}
        await self._facts.publish(
            keys.board_topic(event.operator_id), [await alerts.one_now(con, event.subject) or gone]
        )
        if event.business_id is not None:
            async with self._db.tenant_tx(event.business_id, readonly=True) as own:
                alert = await alerts.one_now(own, event.subject)
            await self._facts.publish(keys.business_topic(event.business_id), [alert or gone])

    async def tell_customer(self, business_id: UUID, delivery_id: UUID) -> None:
        """Publish the customer's object of a delivery, or of an order that will become one."""
        try:
            tracking = await self._views.tracking(business_id, delivery_id)
        except Problem:  # the link has ended: nobody may look any more
            return
        await self._facts.publish(keys.delivery_topic(delivery_id), [tracking])

    async def _tell_boards_of_driver(
        self, con: Connection, operator_id: UUID, driver_id: UUID, business_ids: set[UUID]
    ) -> None:
        gone = {"kind": "gone", "id": show(Kind.DRIVER, driver_id)}
        driver = await self._views.driver(con, operator_id, driver_id)
        await self._facts.publish(keys.board_topic(operator_id), [driver or gone])
        concerned = await con.fetch(
            """SELECT business_id FROM driver_business_assignments WHERE driver_id = $1
               UNION SELECT business_id FROM deliveries
                     WHERE driver_id = $1 AND status NOT IN ('delivered', 'canceled', 'returned')""",
            driver_id,
        )
        for business_id in business_ids | {row["business_id"] for row in concerned}:
            async with self._db.tenant_tx(business_id, readonly=True) as own:
                seen = await self._views.driver(own, operator_id, driver_id)
            await self._facts.publish(keys.business_topic(business_id), [seen or gone])
