"""What happens to deliveries: made, moved on, canceled. Load → decide → save → emit, in the caller's transaction."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from dispatch import handover
from dispatch.delivery import BY_DRIVER, DELIVERY, FINISHED, WITH_DRIVER, DeliveryEvent, DeliveryStatus
from dispatch.driver import ASKED, DRIVER, ON_SHIFT, DriverEvent, DriverState
from geo.point import Point
from kernel import metrics
from kernel.db import Connection, Record, act_for, one
from kernel.errors import Problem, invalid
from kernel.events import EventType, event
from kernel.ids import Kind, new_id, show, show_or_none
from kernel.outbox import emit
from tenancy.skills import in_order

CODE_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CODE_LENGTH: Final = 4
SHIFT_GOES_ON: Final = timedelta(minutes=30)
"""A shorter silence does not end a shift."""

_OPEN_AGAIN: Final = """
UPDATE driver_shifts SET ended_at = NULL
WHERE driver_id = $1 AND started_at = (SELECT max(started_at) FROM driver_shifts WHERE driver_id = $1)
"""

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Phone = Annotated[str, Meta(max_length=40)]
Address = Annotated[str, Meta(min_length=1, max_length=300)]
Instructions = Annotated[str, Meta(max_length=500)]
Lat = Annotated[float, Meta(ge=-85, le=85)]
Lng = Annotated[float, Meta(ge=-180, le=180)]


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One end of a delivery: who and where."""

    name: Name
    address: Address
    lat: Lat
    lng: Lng
    phone: Phone = ""
    instructions: Instructions = ""

    def point(self) -> Point:
        """Return the place as a point."""
        return Point(self.lat, self.lng)


class NewDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """All that a delivery starts from."""

    id: UUID
    operator_id: UUID
    business_id: UUID
    pickup: Place
    dropoff: Place
    distance_m: int
    fee_minor: int
    driver_pay_minor: int
    currency: str
    ready_at: datetime
    promised_at: datetime
    uses_shared_pool: bool
    store_id: UUID | None = None
    order_id: UUID | None = None
    quote_id: UUID | None = None
    external_id: str | None = None
    items: str = ""
    tip_minor: int = 0
    cash_to_collect_minor: int = 0
    needs: tuple[str, ...] = ()
    size: int = 1
    pickup_until: datetime | None = None
    dropoff_from: datetime | None = None
    proof: handover.Proof = "photo"
    proof_code: str | None = None


async def create(con: Connection, new: NewDelivery, now: datetime) -> None:
    """Create a delivery with its two stops; raises `conflict` when its `external_id` or order has one already."""
    made = await con.fetchval(
        """INSERT INTO deliveries (id, operator_id, business_id, store_id, order_id, quote_id, external_id, short_code,
             status, uses_shared_pool, items, distance_m, fee_minor, driver_pay_minor, tip_minor, cash_to_collect_minor,
             currency, ready_at, promised_at, created_at, needs, size, pickup_until, dropoff_from, proof, proof_code)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending', $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
             $20, $21, $22, $23, $24, $25)
           ON CONFLICT DO NOTHING RETURNING id""",
        new.id,
        new.operator_id,
        new.business_id,
        new.store_id,
        new.order_id,
        new.quote_id,
        new.external_id,
        "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH)),
        new.uses_shared_pool,
        new.items,
        new.distance_m,
        new.fee_minor,
        new.driver_pay_minor,
        new.tip_minor,
        new.cash_to_collect_minor,
        new.currency,
        new.ready_at,
        new.promised_at,
        now,
        in_order(new.needs),
        new.size,
        new.pickup_until,
        new.dropoff_from,
        new.proof,
        new.proof_code,
    )
    if made is None:
        raise Problem("conflict", "There is a delivery with this external_id already.")
    for kind, place in (("pickup", new.pickup), ("dropoff", new.dropoff)):
        await con.execute(
            """INSERT INTO stops (id, business_id, delivery_id, kind, name, phone, address, lat, lng, instructions)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)""",
            new_id(),
            new.business_id,
            new.id,
            kind,
            place.name,
            place.phone,
            place.address,
            place.lat,
            place.lng,
            place.instructions,
        )
    row = one(await con.fetchrow("SELECT * FROM deliveries WHERE id = $1", new.id), "delivery")
    await _record(con, row, previous=None, source="business", at=now)


async def lock(con: Connection, delivery_id: UUID) -> Record:
    """Return a delivery the transaction may see, locked; raises `not_found`."""
    return one(await con.fetchrow("SELECT * FROM deliveries WHERE id = $1 FOR UPDATE", delivery_id), "delivery")


async def advance(
    con: Connection,
    row: Record,
    happened: DeliveryEvent,
    *,
    source: str,
    at: datetime,
    driver_id: UUID | None = None,
    reason: str = "",
) -> Record:
    """Move a locked delivery on by one event; return it as it is now. An illegal event changes nothing and raises."""
    status = DELIVERY.next(DeliveryStatus(row["status"]), happened)
    keeps_driver = status in WITH_DRIVER or status in FINISHED
    driver = driver_id or (row["driver_id"] if keeps_driver else None)
    after = await con.fetchrow(
        """UPDATE deliveries SET status = $2, version = version + 1, driver_id = $3, status_reason = $4,
             attempts = attempts + CASE WHEN $2 = 'offered' THEN 1 ELSE 0 END,
             unassigned_reason = CASE WHEN $2 IN ('pending', 'offered') THEN unassigned_reason END,
             planned_at = CASE WHEN $2 = 'pending' THEN planned_at END, retry_at = NULL,
             pinned_driver_id = CASE WHEN $2 IN ('pending', 'offered') THEN pinned_driver_id END,
             assigned_at = CASE WHEN $2 = 'assigned' THEN $5 WHEN $2 = 'pending' THEN NULL ELSE assigned_at END,
             picked_up_at = CASE WHEN $2 = 'picked_up' THEN $5 ELSE picked_up_at END,
             finished_at = CASE WHEN $6 THEN $5 ELSE finished_at END
           WHERE id = $1 RETURNING *""",
        row["id"],
        status.value,
        driver,
        reason,
        at,
        status in FINISHED,
    )
    assert after is not None
    await _record(con, after, previous=row["status"], source=source, at=at, reason=reason, driver_id=row["driver_id"])
    return after


async def _record(
    con: Connection,
    row: Record,
    *,
    previous: str | None,
    source: str,
    at: datetime,
    reason: str = "",
    driver_id: UUID | None = None,
) -> None:
    """Write what happened to the history and the outbox."""
    driver = row["driver_id"] or driver_id
    await con.execute(
        """INSERT INTO delivery_status_history
             (business_id, delivery_id, version, status, source, driver_id, reason, at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
        row["business_id"],
        row["id"],
        row["version"],
        row["status"],
        source,
        driver,
        reason,
        at,
    )
    kind = {"pending": EventType.DELIVERY_CREATED if previous is None else EventType.DELIVERY_UNASSIGNED}.get(
        row["status"]
    ) or EventType(f"delivery.{row['status']}")
    metrics.deliveries.labels(row["status"]).inc()
    await emit(
        con,
        event(
            kind,
            at=at,
            operator_id=row["operator_id"],
            business_id=row["business_id"],
            driver_id=driver,
            subject=row["id"],
            sequence=row["version"],
            data={"object": public(row), "previous": previous, "source": source},
        ),
    )


def public(row: Record) -> dict[str, Any]:
    """Return a delivery as events and the delivery API show it."""
    return {
        "id": show(Kind.DELIVERY, row["id"]),
        "status": row["status"],
        "version": row["version"],
        "short_code": row["short_code"],
        "business_id": show(Kind.BUSINESS, row["business_id"]),
        "store_id": show_or_none(Kind.STORE, row["store_id"]),
        "order_id": show_or_none(Kind.ORDER, row["order_id"]),
        "external_id": row["external_id"],
        "driver_id": show_or_none(Kind.DRIVER, row["driver_id"]),
        "items": row["items"],
        "distance_m": row["distance_m"],
        "fee_minor": row["fee_minor"],
        "driver_pay_minor": row["driver_pay_minor"],
        "tip_minor": row["tip_minor"],
        "cash_to_collect_minor": row["cash_to_collect_minor"],
        "currency": row["currency"],
        "ready_at": row["ready_at"],
        "promised_at": row["promised_at"],
        "pickup_until": row["pickup_until"],
        "dropoff_from": row["dropoff_from"],
        "needs": row["needs"],
        "size": row["size"],
        "proof": row["proof"],
        "created_at": row["created_at"],
        "status_reason": row["status_reason"],
        "unassigned_reason": row["unassigned_reason"],
    }


# --- what a driver does ------------------------------------------------------------------------------------------


async def driver_reports(
    con: Connection, *, driver_id: UUID, delivery_id: UUID, status: str, at: datetime, reason: str = "", code: str = ""
) -> Record:
    """A driver moves his delivery on. In a driver's transaction. Raises `illegal_transition` out of order.

    `code` is the PIN or the barcode, where a delivery is handed over against one.
    """
    if status not in BY_DRIVER:
        raise invalid("status", f"One of {', '.join(BY_DRIVER)}.")
    row = await lock(con, delivery_id)
    await act_for(con, row["business_id"])
    if row["status"] == status:
        return row  # said twice, by a phone that was not sure the first word arrived
    happened = BY_DRIVER[status]
    DELIVERY.next(DeliveryStatus(row["status"]), happened)
    if happened is DeliveryEvent.DELIVER:
        await handover.check(con, row, driver_id=driver_id, code=code, at=at)
    if happened is DeliveryEvent.FAIL and not reason:
        raise invalid("reason", "Say why it could not be delivered.")
    row = await advance(con, row, happened, source="driver", at=at, reason=reason)
    await _stop_times(con, row, "driver", at)
    if row["status"] in FINISHED:
        await release_driver(con, driver_id, at)
    return row


async def fence_reports(con: Connection, *, delivery_id: UUID, driver_id: UUID, kind: str, at: datetime) -> None:
    """The driver's phone crossed a stop's fence: an arrival, if nobody said so before."""
    row = await lock(con, delivery_id)
    happened = DeliveryEvent.ARRIVE_AT_PICKUP if kind == "pickup" else DeliveryEvent.ARRIVE_AT_DROPOFF
    if row["driver_id"] == driver_id and DELIVERY.allows(DeliveryStatus(row["status"]), happened):
        row = await advance(con, row, happened, source="geofence", at=at)
        await _stop_times(con, row, "geofence", at)


async def _stop_times(con: Connection, row: Record, source: str, at: datetime) -> None:
    """Keep when and on whose word the driver arrived at a stop and was done with it."""
    arrived = {"arrived_at_pickup": "pickup", "arrived_at_dropoff": "dropoff"}.get(row["status"])
    done = {"picked_up": "pickup", "delivered": "dropoff", "failed": "dropoff"}.get(row["status"])
    if arrived is not None:
        await con.execute(
            "UPDATE stops SET arrived_at = $3, arrival_source = $4 WHERE delivery_id = $1 AND kind = $2",
            row["id"],
            arrived,
            at,
            source,
        )
    if done is not None:
        await con.execute("UPDATE stops SET done_at = $3 WHERE delivery_id = $1 AND kind = $2", row["id"], done, at)


async def set_availability(con: Connection, *, driver_id: UUID, asked: str, at: datetime) -> str:
    """A driver goes on line, on a break or off line; return his state. In a driver's transaction."""
    if asked not in ASKED:
        raise invalid("state", f"One of {', '.join(ASKED)}.")
    return await _driver_event(con, driver_id, ASKED[asked], at)


async def fall_silent(con: Connection, *, driver_id: UUID, since: datetime, heard_at: datetime, at: datetime) -> bool:
    """Take a driver off line who has been available `since` then and was heard last at `heard_at`; say whether.

    Not when his state has changed, or an offer waits for his answer. Platform path.
    """
    row = await _lock_driver(con, driver_id)
    if row["state"] != DriverState.AVAILABLE or row["state_since"] != since:
        return False
    if await con.fetchval("SELECT EXISTS (SELECT FROM offers WHERE driver_id = $1 AND status = 'sent')", driver_id):
        return False
    await _happens(con, row, DriverEvent.FALL_SILENT, at, silent_since=heard_at)
    return True


async def come_back(con: Connection, driver_id: UUID, at: datetime) -> datetime | None:
    """A driver's phone is heard again: back to work if he was taken off for silence; return since when that was."""
    row = await _lock_driver(con, driver_id)
    silent_since: datetime | None = row["silent_since"]
    if silent_since is not None:
        await _happens(con, row, DriverEvent.COME_BACK, at)
    return silent_since


async def take_work(con: Connection, driver_id: UUID, at: datetime) -> None:
    """The driver has work now, and a new route."""
    await con.execute("UPDATE driver_profiles SET route_version = route_version + 1 WHERE id = $1", driver_id)
    await _driver_event(con, driver_id, DriverEvent.TAKE_WORK, at)


async def release_driver(con: Connection, driver_id: UUID, at: datetime) -> None:
    """One piece of work ended: a driver with none left is available again."""
    state = await con.fetchval(
        "UPDATE driver_profiles SET route_version = route_version + 1 WHERE id = $1 RETURNING state", driver_id
    )
    working = await con.fetchval(
        "SELECT count(*) FROM deliveries WHERE driver_id = $1 AND status = ANY($2)",
        driver_id,
        [status.value for status in WITH_DRIVER],
    )
    if not working and state == DriverState.BUSY:
        await _driver_event(con, driver_id, DriverEvent.RUN_OUT_OF_WORK, at)


async def _driver_event(con: Connection, driver_id: UUID, happened: DriverEvent, at: datetime) -> str:
    return await _happens(con, await _lock_driver(con, driver_id), happened, at)


async def _lock_driver(con: Connection, driver_id: UUID) -> Record:
    return one(await con.fetchrow("SELECT * FROM driver_profiles WHERE id = $1 FOR UPDATE", driver_id), "driver")


async def _happens(
    con: Connection, row: Record, happened: DriverEvent, at: datetime, *, silent_since: datetime | None = None
) -> str:
    """Move a locked driver on by one event; return his state. `silent_since` is for who is taken off for silence."""
    driver_id = row["id"]
    state = DRIVER.next(DriverState(row["state"]), happened)
    if state == row["state"] and row["silent_since"] is not None:  # he leaves himself: nobody brings him back
        await con.execute("UPDATE driver_profiles SET silent_since = NULL WHERE id = $1", driver_id)
    if state != row["state"]:
        await con.execute(
            "UPDATE driver_profiles SET state = $2, state_since = $3, silent_since = $4 WHERE id = $1",
            driver_id,
            state.value,
            at,
            silent_since,
        )
        await _keep_shift(con, row, state, silent_since or at)
        await emit(
            con,
            event(
                EventType.DRIVER_STATE_CHANGED,
                at=at,
                operator_id=row["operator_id"],
                driver_id=driver_id,
                subject=driver_id,
                data={
                    "id": show(Kind.DRIVER, driver_id),
                    "state": state.value,
                    "previous": row["state"],
                    "silent_since": silent_since,
                },
            ),
        )
    return state.value


async def _keep_shift(con: Connection, row: Record, state: DriverState, at: datetime) -> None:
    """A shift begins when a driver comes to work and ends when he rests or goes; `row` is the driver before.

    After a short silence the last one goes on.
    """
    if state in ON_SHIFT and row["state"] not in ON_SHIFT:
        if row["silent_since"] is not None and at - row["silent_since"] < SHIFT_GOES_ON:
            await con.execute(_OPEN_AGAIN, row["id"])
        await con.execute(
            "INSERT INTO driver_shifts (driver_id, operator_id, started_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            row["id"],
            row["operator_id"],
            at,
        )
    elif state not in ON_SHIFT:
        await con.execute(
            """UPDATE driver_shifts SET ended_at = greatest(started_at, $2)
               WHERE driver_id = $1 AND ended_at IS NULL""",
            row["id"],
            at,
        )


async def unassign(con: Connection, row: Record, *, reason: str, at: datetime, source: str = "dispatcher") -> Record:
    """Take a locked delivery away from its driver before he picked it up; raises `IllegalTransition` afterwards."""
    driver_id = row["driver_id"]
    row = await advance(con, row, DeliveryEvent.UNASSIGN, source=source, at=at, reason=reason)
    await _let_go(con, row["id"])
    await release_driver(con, driver_id, at)
    return row


async def fail(con: Connection, delivery_id: UUID, *, reason: str, at: datetime) -> Record:
    """A dispatcher gives up on what a driver has aboard; raises `IllegalTransition` before the pickup."""
    row = await lock(con, delivery_id)
    if row["status"] == DeliveryStatus.FAILED:
        return row
    row = await advance(con, row, DeliveryEvent.FAIL, source="dispatcher", at=at, reason=reason)
    await _stop_times(con, row, "dispatcher", at)
    return row


async def _let_go(con: Connection, delivery_id: UUID) -> None:
    await con.execute("UPDATE offer_deliveries SET holds = false WHERE delivery_id = $1 AND holds", delivery_id)
    await con.execute("UPDATE stops SET driver_id = NULL, route_position = NULL WHERE delivery_id = $1", delivery_id)


# --- what a business does ----------------------------------------------------------------------------------------


async def cancel(con: Connection, delivery_id: UUID, *, reason: str, at: datetime, source: str = "business") -> Record:
    """Cancel a delivery that was not picked up; reactions to the event revoke its offer and free its driver."""
    row = await lock(con, delivery_id)
    if row["status"] == DeliveryStatus.CANCELED:
        return row
    row = await advance(con, row, DeliveryEvent.CANCEL, source=source, at=at, reason=reason)
    await _let_go(con, delivery_id)
    return row
