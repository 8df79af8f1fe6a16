"""What a dispatcher does by hand: give a delivery to a driver, take it away again, one or many at once.

A dispatcher's choice is a pin: the engine plans around it, and the driver is asked like any other. A pin that is
declined or not answered is gone, and the engine chooses again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from dispatch import offers, service
from dispatch.deliveries_api import DeliveryPath
from dispatch.delivery import WITH_DRIVER, DeliveryStatus
from kernel import ids
from kernel.access import Permission
from kernel.db import Connection, Reason, Record, one
from kernel.errors import Problem, invalid
from kernel.http import Ctx, Rate, Route
from kernel.ids import Kind, show, show_or_none
from kernel.machine import IllegalTransition
from tenancy import audit

ITEMS_MAX = 200

Why = Annotated[str, Meta(max_length=200)]


class ReassignBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """To whom; without a driver the engine chooses anew, and not the one who has it now."""

    driver_id: str | None = None
    reason: Why = ""


class ReassignView(msgspec.Struct, frozen=True):
    """A delivery after it; `previous_driver_id` is what an undo would send."""

    id: str
    status: str
    version: int
    pinned_driver_id: str | None
    previous_driver_id: str | None


class ReassignItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of many."""

    delivery_id: str
    driver_id: str | None = None


class ReassignManyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Many at once: each succeeds or fails on its own."""

    items: Annotated[list[ReassignItem], Meta(min_length=1, max_length=ITEMS_MAX)]
    reason: Why = ""


class ReassignResult(msgspec.Struct, frozen=True):
    """What became of one of many; `previous_driver_id` is what an undo would send."""

    delivery_id: str
    ok: bool
    code: str = ""
    detail: str = ""
    previous_driver_id: str | None = None


class ReassignResults(msgspec.Struct, frozen=True):
    """A result per item, in their order."""

    data: list[ReassignResult]


class FailBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why; the customer reads it."""

    reason: Annotated[str, Meta(min_length=1, max_length=200)]


class FailedView(msgspec.Struct, frozen=True):
    """A delivery that was given up."""

    id: str
    status: str
    version: int


async def reassign(ctx: Ctx, path: DeliveryPath, body: ReassignBody) -> ReassignView:
    """Give a delivery to a driver, or back to the engine"""
    return await _reassign(ctx, path.id, body.driver_id, body.reason)


async def reassign_many(ctx: Ctx, body: ReassignManyBody) -> ReassignResults:
    """Give many deliveries to drivers; a result per item"""
    return await reassign_each(ctx, body.items, body.reason)


async def reassign_each(ctx: Ctx, items: Sequence[ReassignItem], reason: str) -> ReassignResults:
    """Reassign one after the other: each succeeds or fails on its own."""
    results = []
    for item in items:
        try:
            view = await _reassign(ctx, item.delivery_id, item.driver_id, reason)
            results.append(ReassignResult(item.delivery_id, ok=True, previous_driver_id=view.previous_driver_id))
        except Problem as problem:
            results.append(ReassignResult(item.delivery_id, False, problem.code, problem.detail or problem.title))
        except IllegalTransition as error:
            results.append(ReassignResult(item.delivery_id, False, "illegal_transition", str(error)))
    return ReassignResults(results)


async def _reassign(ctx: Ctx, delivery: str, driver: str | None, reason: str) -> ReassignView:
    delivery_id = ids.parse(Kind.DELIVERY, delivery)
    driver_id = None if driver is None else ids.parse(Kind.DRIVER, driver)
    await check_scope(ctx, delivery_id)
    now = ctx.clock.now()
    async with ctx.db.platform_tx(Reason.DISPATCHER) as con:
        await offers.revoke_for(con, delivery_id, "dispatcher", now)
        row = await service.lock(con, delivery_id)
        previous = row["driver_id"]
        if driver_id is not None:
            await _check_driver(con, row, driver_id)
        if DeliveryStatus(row["status"]) in WITH_DRIVER and previous != driver_id:
            row = await service.unassign(con, row, reason=reason, at=now)
        if row["status"] == DeliveryStatus.PENDING:
            row = await _pin(con, row, driver_id, None if driver_id is not None else previous)
        elif previous is None:
            raise Problem("illegal_transition", f"A delivery that is {row['status']} needs no driver.")
        detail = {"delivery_id": delivery, "driver_id": driver, "reason": reason}
        await audit.note(con, ctx.principal, "delivery.reassigned", detail, business_id=row["business_id"])
        await service.tell_updated(con, [row], now)
    return ReassignView(
        show(Kind.DELIVERY, delivery_id),
        row["status"],
        row["version"],
        show_or_none(Kind.DRIVER, row["pinned_driver_id"]),
        show_or_none(Kind.DRIVER, previous),
    )


async def fail_delivery(ctx: Ctx, path: DeliveryPath, body: FailBody) -> FailedView:
    """Give up on a delivery whose driver has it aboard and can't be reached"""
    delivery_id = path.delivery_id()
    await check_scope(ctx, delivery_id)
    async with ctx.db.platform_tx(Reason.DISPATCHER) as con:
        row = await service.fail(con, delivery_id, reason=body.reason, at=ctx.clock.now())
    return FailedView(path.id, row["status"], row["version"])


async def check_scope(ctx: Ctx, delivery_id: UUID) -> UUID:
    """Return a delivery's business; raises `not_found` when the delivery is not the caller's to see."""
    query = "SELECT business_id FROM deliveries WHERE id = $1 AND operator_id = $2"
    async with ctx.db.tx_of(ctx.principal, Reason.DISPATCHER, readonly=True) as con:
        row = one(await con.fetchrow(query, delivery_id, ctx.principal.operator()), "delivery")
    business_id: UUID = row["business_id"]
    return business_id


async def _check_driver(con: Connection, row: Record, driver_id: UUID) -> None:
    driver = await con.fetchrow(
        """SELECT pool, state, EXISTS (SELECT FROM driver_business_assignments a
                                WHERE a.driver_id = dr.id AND a.business_id = $3) AS own
           FROM driver_profiles dr WHERE dr.id = $1 AND dr.operator_id = $2""",
        driver_id,
        row["operator_id"],
        row["business_id"],
    )
    if driver is None or not (driver["own"] or (driver["pool"] != "dedicated" and row["uses_shared_pool"])):
        raise invalid("driver_id", "This driver does not work for this business.")
    if driver["state"] not in ("available", "busy"):
        raise invalid("driver_id", "This driver is not on shift.")


async def _pin(con: Connection, row: Record, driver_id: UUID | None, not_again: UUID | None) -> Record:
    return one(
        await con.fetchrow(
            """UPDATE deliveries
               SET pinned_driver_id = $2, planned_route_id = NULL, planned_at = NULL, unassigned_reason = NULL,
                 retry_at = NULL,
                 kept_from = CASE WHEN $3::uuid IS NULL THEN kept_from ELSE array_append(kept_from, $3) END
               WHERE id = $1 RETURNING *""",
            row["id"],
            driver_id,
            not_again,
        ),
        "delivery",
    )


ROUTES = (
    Route("POST", "/api/v1/dispatch/deliveries/{id}/reassign", reassign, Permission.DISPATCH, Rate.WRITE),
    Route("POST", "/api/v1/dispatch/deliveries/{id}/fail", fail_delivery, Permission.DISPATCH, Rate.WRITE),
    Route("POST", "/api/v1/dispatch/deliveries/reassign", reassign_many, Permission.DISPATCH, Rate.WRITE),
)
