"""What dispatch does when something happened elsewhere."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from dispatch import offers, policy, quotes, service, shifts
from dispatch.delivery import DELIVERY, DeliveryEvent, DeliveryStatus
from dispatch.service import NewDelivery, Place
from finance.fees import driver_pay_minor, pricing_of
from geo.distance import road_meters
from kernel import ids
from kernel.db import Connection, one
from kernel.events import Event
from kernel.ids import Kind


async def on_order_accepted(con: Connection, event: Event) -> None:
    """The kitchen took an order on: it becomes a delivery with the order's own UUID."""
    assert event.business_id is not None
    data = event.data
    store_id = ids.parse(Kind.STORE, data["store_id"])
    store = one(await con.fetchrow("SELECT * FROM stores WHERE id = $1", store_id), "store")
    business = await quotes.business_row(con, event.business_id)
    pickup = Place(store["name"], store["address"], store["lat"], store["lng"], store["phone"])
    dropoff = Place(**data["dropoff"])
    distance_m = road_meters(pickup.point(), dropoff.point())
    ready_at = datetime.fromisoformat(data["ready_at"])
    new = NewDelivery(
        id=event.subject,
        operator_id=event.operator_id,
        business_id=event.business_id,
        store_id=store_id,
        order_id=event.subject,
        pickup=pickup,
        dropoff=dropoff,
        distance_m=distance_m,
        fee_minor=data["delivery_fee_minor"],
        driver_pay_minor=driver_pay_minor(pricing_of(business), distance_m),
        currency=data["currency"],
        ready_at=ready_at,
        promised_at=quotes.promise(ready_at, distance_m),
        uses_shared_pool=(await policy.load_one(con, event.business_id)).uses_shared_pool,
        items=data["items"],
        tip_minor=data["tip_minor"],
        cash_to_collect_minor=data["cash_to_collect_minor"],
    )
    await service.create(con, new, event.created_at)


async def on_order_ready(con: Connection, event: Event) -> None:
    """The kitchen is done: its delivery waits for nothing more, and the store's preparation time is known."""
    await con.execute("UPDATE deliveries SET was_ready_at = $2 WHERE id = $1", event.subject, event.created_at)


async def on_order_ended(con: Connection, event: Event) -> None:
    """The order was canceled: so is its delivery, as far as it still can be."""
    row = await con.fetchrow("SELECT status FROM deliveries WHERE id = $1", event.subject)
    if row is not None and DELIVERY.allows(DeliveryStatus(row["status"]), DeliveryEvent.CANCEL):
        await service.cancel(con, event.subject, reason="The order was canceled.", at=event.created_at, source="system")


async def on_driver_arrived(con: Connection, event: Event) -> None:
    """A driver's phone crossed the fence of his next stop."""
    assert event.driver_id is not None
    await service.fence_reports(
        con, delivery_id=event.subject, driver_id=event.driver_id, kind=event.data["kind"], at=event.created_at
    )


async def on_delivery_assigned(con: Connection, event: Event) -> None:
    """Somebody has it: who was asked at the same time hears that it is gone."""
    await offers.revoke_losers(con, event.subject, event.created_at)


async def on_delivery_canceled(con: Connection, event: Event) -> None:
    """A canceled delivery's offer is taken back and its driver is free."""
    await offers.revoke_for(con, event.subject, "canceled", event.created_at)
    driver_id: UUID | None = event.driver_id
    if driver_id is not None:
        await shifts.release_driver(con, driver_id, event.created_at)
