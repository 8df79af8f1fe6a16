"""A plan is committed: its deliveries wait for their drivers' routes, what changed meanwhile is left out and named.

Nothing is decided over a driver's head: he is asked for the whole route when he has to leave (`planned`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from dispatch.decisions import OFFER_LEAD_S, Outcome, keep_decision
from dispatch.delivery import DeliveryStatus
from dispatch.planned import GIVEN_UP_AFTER_S
from dispatch.routing_plan import PlanView, RouteView
from dispatch.service import tell_updated
from kernel import ids
from kernel.access import Principal, Who
from kernel.db import Connection, Record, one
from kernel.errors import Problem, invalid
from kernel.ids import Kind, new_id, show
from tenancy import audit


class Naming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who takes a route that nobody is named for; `route` counts from 0."""

    route: Annotated[int, Meta(ge=0)]
    driver_id: str


class CommitResult(msgspec.Struct, frozen=True):
    """What became of one delivery of a plan."""

    delivery_id: str
    route: int
    ok: bool
    code: str = ""
    detail: str = ""


class CommitResults(msgspec.Struct, frozen=True):
    """A result per delivery of the routes that were to be committed."""

    data: list[CommitResult]


async def read(con: Connection, principal: Principal, plan_id: UUID) -> PlanView:
    """Return a plan, as far as the transaction sees it; raises `not_found`."""
    query = "SELECT plan, committed_at FROM route_plans WHERE id = $1 AND operator_id = $2"
    row = one(await con.fetchrow(query, plan_id, principal.operator()), "route_plan")
    return msgspec.structs.replace(msgspec.convert(row["plan"], PlanView), committed_at=row["committed_at"])


async def commit(
    con: Connection,
    principal: Principal,
    plan_id: UUID,
    routes: Sequence[int] | None,
    named: Sequence[Naming],
    now: datetime,
) -> CommitResults:
    """Commit routes of a plan, once; raises `conflict` the second time. Platform path."""
    await con.execute("SELECT 1 FROM route_plans WHERE id = $1 FOR UPDATE", plan_id)
    plan = await read(con, principal, plan_id)
    if plan.committed_at is not None:
        raise Problem("conflict", "This plan was committed already: plan anew what still waits.")
    wanted = sorted(set(range(len(plan.routes)) if routes is None else routes))
    if wanted and not 0 <= wanted[0] <= wanted[-1] < len(plan.routes):
        raise invalid("routes", f"This plan has routes 0 to {len(plan.routes) - 1}.")
    drivers = {naming.route: naming.driver_id for naming in named}
    own = None if principal.who is Who.ADMIN else principal.business()
    results: list[CommitResult] = []
    for number in wanted:
        route = plan.routes[number]
        wrong = await _commit_route(
            con, principal.operator(), own, plan_id, route, route.driver_id or drivers.get(number), now
        )
        for name in route.deliveries():
            why = wrong.get(name)
            results.append(CommitResult(name, number, why is None, *(() if why is None else why)))
    await con.execute("UPDATE route_plans SET committed_at = $2 WHERE id = $1", plan_id, now)
    done = sum(result.ok for result in results)
    detail = {"id": show(Kind.ROUTE_PLAN, plan_id), "routes": wanted, "done": done, "left_out": len(results) - done}
    await audit.note(con, principal, "routes.committed", detail, business_id=own)
    return CommitResults(results)


Wrong = dict[str, tuple[str, str]]
"""Delivery → (code, words) for what was left out."""


async def _commit_route(
    con: Connection,
    operator_id: UUID,
    own: UUID | None,
    plan_id: UUID,
    route: RouteView,
    driver: str | None,
    now: datetime,
) -> Wrong:
    versions = {ids.parse(Kind.DELIVERY, name): version for name, version in route.deliveries().items()}

    def all_of_it(code: str, words: str) -> Wrong:
        return dict.fromkeys(route.deliveries(), (code, words))

    rows = {
        row["id"]: row
        for row in await con.fetch(
            "SELECT * FROM deliveries WHERE id = ANY($1) AND operator_id = $2 ORDER BY id FOR UPDATE",
            sorted(versions),
            operator_id,
        )
    }
    if driver is None:
        return all_of_it("validation_failed", "Nobody is named for this route.")
    if route.start_at + timedelta(seconds=GIVEN_UP_AFTER_S) < now:
        return all_of_it("conflict", "Its driver would have had to leave already: plan anew.")
    who = await _driver(con, operator_id, own, ids.parse(Kind.DRIVER, driver), route)
    if who is None:
        return all_of_it("validation_failed", "No such driver with this vehicle works here.")
    if await con.fetchval(
        "SELECT 1 FROM planned_routes WHERE driver_id = $1 AND start_at < $3 AND end_at > $2",
        who["id"],
        route.start_at,
        route.end_at,
    ):
        return all_of_it("conflict", "The driver has another planned route at that time.")
    wrong: Wrong = {}
    for delivery_id, version in versions.items():
        why = _why_not(rows.get(delivery_id), version, who)
        if why is not None:
            wrong[show(Kind.DELIVERY, delivery_id)] = why
    kept = [rows[delivery_id] for delivery_id in versions if show(Kind.DELIVERY, delivery_id) not in wrong]
    if kept:
        await _keep(con, operator_id, own, plan_id, route, who["id"], kept, now)
    return wrong


async def _driver(
    con: Connection, operator_id: UUID, own: UUID | None, driver_id: UUID, route: RouteView
) -> Record | None:
    """Return the driver when he has the vehicle the route was made for and is the caller's to choose."""
    return await con.fetchrow(
        """SELECT dr.id, dr.pool, dr.skills,
             ARRAY(SELECT a.business_id FROM driver_business_assignments a WHERE a.driver_id = dr.id) AS own
           FROM driver_profiles dr WHERE dr.id = $1 AND dr.operator_id = $2 AND dr.vehicle = $3
             AND ($4::uuid IS NULL OR EXISTS (
               SELECT FROM driver_business_assignments a WHERE a.driver_id = dr.id AND a.business_id = $4))""",
        driver_id,
        operator_id,
        route.vehicle.value,
        own,
    )


def _why_not(row: Record | None, version: int, who: Record) -> tuple[str, str] | None:
    """Return why a delivery is left out, or None."""
    if row is None:
        return "not_found", "It is not there any more."
    if row["status"] != DeliveryStatus.PENDING or row["version"] != version:
        return "conflict", f"It has changed since the plan was made: it is {row['status']}."
    if row["pinned_driver_id"] is not None or row["planned_route_id"] is not None:
        return "conflict", "Somebody kept it for a driver meanwhile."
    if row["business_id"] not in who["own"] and (who["pool"] == "dedicated" or not row["uses_shared_pool"]):
        return "validation_failed", "This driver does not work for this business."
    if not set(row["needs"]) <= set(who["skills"]):
        return "validation_failed", f"It needs {', '.join(row['needs'])}."
    return None


async def _keep(
    con: Connection,
    operator_id: UUID,
    own: UUID | None,
    plan_id: UUID,
    route: RouteView,
    driver_id: UUID,
    rows: Sequence[Record],
    now: datetime,
) -> None:
    kept = {show(Kind.DELIVERY, row["id"]) for row in rows}
    stops: list[dict[str, Any]] = [
        {"kind": stop.kind, "delivery_id": stop.delivery_id} for stop in route.stops if stop.delivery_id in kept
    ]
    first = next(stop for stop in route.stops if stop.delivery_id in kept)
    route_id = new_id()
    await con.execute(
        """INSERT INTO planned_routes
             (id, plan_id, operator_id, business_id, driver_id, start_at, end_at, to_pickup_s, stops)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        route_id,
        plan_id,
        operator_id,
        own,
        driver_id,
        route.start_at,
        route.end_at,
        max(0, round((first.at - route.start_at).total_seconds())),
        stops,
    )
    await con.execute(
        """UPDATE deliveries SET planned_route_id = $2, pinned_driver_id = $3, planned_at = $4,
             unassigned_reason = NULL, retry_at = NULL WHERE id = ANY($1)""",
        [row["id"] for row in rows],
        route_id,
        driver_id,
        max(now, route.start_at - timedelta(seconds=OFFER_LEAD_S)),
    )
    whys = await con.fetchval("SELECT why FROM route_plans WHERE id = $1", plan_id)
    for row in rows:
        await keep_decision(con, row, Outcome.PLANNED, driver_id, whys[show(Kind.DELIVERY, row["id"])], now)
    await tell_updated(con, rows, now)
