"""Routes planned ahead over HTTP: what can be planned, a proposal that changes nothing, and its commitment."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web
from msgspec import Meta

from dispatch import policy, routing_commit
from dispatch.eta_models import Models
from dispatch.own_process import as_lines
from dispatch.routing_commit import CommitResults, Naming
from dispatch.routing_plan import SHIFTS_MAX, Hand, Hands, PlanView, check_hours, question_of, view_of, whys_of
from dispatch.routing_process import Progress, Question, Routings
from dispatch.rows import BOTH_ENDS
from geo.travel import Vehicle
from kernel import ids
from kernel.access import Permission, Who
from kernel.db import Connection, Reason, Record, one
from kernel.errors import Problem, invalid
from kernel.http import Ctx, Rate, Route
from kernel.ids import Kind, new_id, show
from tenancy import audit

DELIVERIES_MAX: Final = 200
LIMIT_DEFAULT_S: Final = 5

_WAITING: Final = f"""
SELECT d.*, p.name AS p_name, p.address AS p_address, p.lat AS p_lat, p.lng AS p_lng,
       q.name AS q_name, q.address AS q_address, q.lat AS q_lat, q.lng AS q_lng
FROM deliveries d
{BOTH_ENDS}
WHERE d.operator_id = $1 AND d.status = 'pending' AND d.pinned_driver_id IS NULL AND d.planned_route_id IS NULL
  AND ($2::uuid IS NULL OR d.business_id = $2)
"""

_DRIVERS: Final = """
SELECT dr.id, dr.name, dr.vehicle, dr.pool, dr.skills,
       (SELECT coalesce(jsonb_object_agg(a.business_id, a.priority), '{}')
        FROM driver_business_assignments a WHERE a.driver_id = dr.id) AS priorities
FROM driver_profiles dr WHERE dr.operator_id = $1 AND ($3::uuid[] IS NULL OR dr.id = ANY($3))
  AND ($2::uuid IS NULL OR EXISTS (
    SELECT FROM driver_business_assignments a WHERE a.driver_id = dr.id AND a.business_id = $2))
ORDER BY dr.name, dr.id
"""


class PlannableQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which local day (today without one); an operator's admin may ask for one business."""

    date: date | None = None
    business_id: str | None = None


class WaitingView(msgspec.Struct, frozen=True):
    """A delivery that no driver has: ready at `ready_at`, to be there by `promised_at`, not before `dropoff_from`."""

    id: str
    business_id: str
    short_code: str
    pickup: str
    address: str
    lat: float
    lng: float
    ready_at: datetime
    dropoff_from: datetime | None
    promised_at: datetime
    size: int
    needs: list[str]


class HandView(msgspec.Struct, frozen=True):
    """A driver who may be named in a plan, on shift or not."""

    id: str
    name: str
    vehicle: Vehicle
    pool: str
    skills: list[str]


class PlaceView(msgspec.Struct, frozen=True):
    """A store: where drivers may start and end."""

    name: str
    lat: float
    lng: float


class Plannable(msgspec.Struct, frozen=True):
    """A day's deliveries that nobody has yet, the drivers there are, and the stores."""

    date: date
    time_zone: str
    ready_from: datetime
    ready_until: datetime
    deliveries: list[WaitingView]
    drivers: list[HandView]
    stores: list[PlaceView]


class PlanBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which deliveries (named, or all that are ready from one time to another), and whose hours.

    `limit_s` bounds the search. `fewest_drivers`: rather one long round than two short ones.
    """

    drivers: Annotated[list[Hands], Meta(min_length=1, max_length=SHIFTS_MAX)]
    delivery_ids: Annotated[list[str], Meta(min_length=1, max_length=DELIVERIES_MAX)] | None = None
    ready_from: datetime | None = None
    ready_until: datetime | None = None
    business_id: str | None = None
    limit_s: Annotated[int, Meta(ge=1, le=60)] = LIMIT_DEFAULT_S
    fewest_drivers: bool = False


class PlanPath(msgspec.Struct, frozen=True):
    """Which plan."""

    id: str

    def plan_id(self) -> UUID:
        """Return the id, or raise `not_found`."""
        return ids.parse(Kind.ROUTE_PLAN, self.id)


class CommitBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which routes (all without), and who takes those that nobody is named for."""

    routes: Annotated[list[int], Meta(min_length=1, max_length=SHIFTS_MAX)] | None = None
    drivers: Annotated[list[Naming], Meta(max_length=SHIFTS_MAX)] = []


async def get_plannable(ctx: Ctx, query: PlannableQuery) -> Plannable:
    """What can be planned ahead on a day?"""
    business_id = await _whose(ctx, query.business_id)
    operator_id = ctx.principal.operator()
    async with ctx.db.tx_of(ctx.principal, Reason.DISPATCHER, readonly=True) as con:
        zone = ZoneInfo(await con.fetchval("SELECT time_zone FROM operators WHERE id = $1", operator_id))
        day = query.date or ctx.clock.now().astimezone(zone).date()
        bounds = _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
        rows = await _within(con, operator_id, business_id, *bounds)
        drivers = await con.fetch(_DRIVERS, operator_id, _own(ctx), None)
        stores = await con.fetch(
            """SELECT s.name, s.lat, s.lng FROM stores s JOIN businesses b ON b.id = s.business_id
               WHERE b.operator_id = $1 AND ($2::uuid IS NULL OR b.id = $2) ORDER BY s.name, s.id""",
            operator_id,
            business_id,
        )
    return Plannable(
        date=day,
        time_zone=zone.key,
        ready_from=bounds[0],
        ready_until=bounds[1],
        deliveries=[_waiting(row) for row in rows],
        drivers=[
            HandView(
                show(Kind.DRIVER, row["id"]), row["name"], Vehicle(row["vehicle"]), row["pool"], list(row["skills"])
            )
            for row in drivers
        ],
        stores=[PlaceView(row["name"], row["lat"], row["lng"]) for row in stores],
    )


async def plan_routes(ctx: Ctx, body: PlanBody) -> web.StreamResponse:
    """Propose routes for planned work; lines of JSON: `progress`, at last `result` or `problem`. Nothing is changed"""
    now, operator_id = ctx.clock.now(), ctx.principal.operator()
    check_hours(body.drivers, now)
    business_id = await _whose(ctx, body.business_id)
    async with ctx.db.tx_of(ctx.principal, Reason.DISPATCHER, readonly=True) as con:
        rows = await _deliveries(con, operator_id, business_id, body)
        hands = await _hands(con, ctx, body.drivers)
    async with ctx.db.platform_tx(Reason.DISPATCHER, readonly=True) as con:
        policies = await policy.load(con, operator_id)
        model = await Models().of(con, operator_id)
    rides = model.learned.rides(model.local(min(asked.on_at for asked in body.drivers)))
    question = question_of(rows, hands, policies, rides, now, limit_s=body.limit_s, fewest_drivers=body.fewest_drivers)
    return await as_lines(ctx.request, _lines(ctx, business_id, rows, hands, question, now))


async def _lines(
    ctx: Ctx,
    business_id: UUID | None,
    rows: Sequence[Record],
    hands: Sequence[Hand],
    question: Question,
    now: datetime,
) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(ctx.need(Routings).plan(question)) as heard:
        async for news in heard:
            if isinstance(news, Progress):
                yield msgspec.json.encode({"progress": news})
                continue
            view = view_of(new_id(), business_id, rows, hands, news, now)
            async with ctx.db.tx_of(ctx.principal, Reason.DISPATCHER) as con:
                await con.execute(
                    """INSERT INTO route_plans (id, operator_id, business_id, plan, why, made_at)
                       VALUES ($1, $2, $3, $4, $5, $6)""",
                    ids.parse(Kind.ROUTE_PLAN, view.id),
                    ctx.principal.operator(),
                    _own(ctx),
                    view,
                    whys_of(rows, hands, news),
                    now,
                )
                detail = {"id": view.id, "planned": view.planned, "unplanned": len(view.unplanned)}
                await audit.note(con, ctx.principal, "routes.planned", detail, business_id=_own(ctx))
            yield msgspec.json.encode({"result": view})


async def get_plan(ctx: Ctx, path: PlanPath) -> PlanView:
    """Look at a plan again"""
    async with ctx.db.tx_of(ctx.principal, Reason.DISPATCHER, readonly=True) as con:
        return await routing_commit.read(con, ctx.principal, path.plan_id())


async def commit_plan(ctx: Ctx, path: PlanPath, body: CommitBody) -> CommitResults:
    """Commit a plan: its drivers are asked for their whole routes when they have to leave; a result per delivery"""
    await get_plan(ctx, path)  # raises `not_found` for a plan that is not the caller's to see
    async with ctx.db.platform_tx(Reason.DISPATCHER) as con:
        return await routing_commit.commit(
            con, ctx.principal, path.plan_id(), body.routes, body.drivers, ctx.clock.now()
        )


async def _whose(ctx: Ctx, asked: str | None) -> UUID | None:
    """Return whose work is planned: his business', or for an admin everybody's or one business' of his."""
    business_id = None if asked is None else ids.parse(Kind.BUSINESS, asked)
    if ctx.principal.who is not Who.ADMIN:
        if business_id not in (None, ctx.principal.business()):
            raise Problem("not_found", "There is no business with this id.")
        return ctx.principal.business()
    if business_id is not None:
        query = "SELECT 1 FROM businesses WHERE id = $1 AND operator_id = $2"
        async with ctx.db.platform_tx(Reason.DISPATCHER, readonly=True) as con:
            one(await con.fetchrow(query, business_id, ctx.principal.operator()), "business")
    return business_id


async def _deliveries(con: Connection, operator_id: UUID, business_id: UUID | None, body: PlanBody) -> list[Record]:
    """Return the deliveries that are asked for; raises `validation_failed` naming what can't be planned."""
    if body.delivery_ids is not None:
        if body.ready_from is not None or body.ready_until is not None:
            raise invalid("delivery_ids", "Name deliveries, or give ready_from and ready_until.")
        wanted = [ids.parse(Kind.DELIVERY, name) for name in body.delivery_ids]
        rows = await con.fetch(f"{_WAITING} AND d.id = ANY($3) ORDER BY d.id", operator_id, business_id, wanted)
        found = {row["id"] for row in rows}
        asked = zip(body.delivery_ids, wanted, strict=True)
        if missing := [name for name, delivery_id in asked if delivery_id not in found]:
            raise invalid("delivery_ids", f"Not waiting for a driver any more: {', '.join(missing)}.")
        return list(rows)
    if body.ready_from is None or body.ready_until is None:
        raise invalid("delivery_ids", "Name deliveries, or give ready_from and ready_until.")
    if body.ready_from.tzinfo is None or body.ready_until.tzinfo is None:
        raise invalid("ready_from", "Give the time zone: 2026-05-01T12:00:00Z.")
    rows = await _within(con, operator_id, business_id, body.ready_from, body.ready_until)
    if not rows:
        raise invalid("ready_from", "Nothing waits for a driver in this time.")
    if len(rows) > DELIVERIES_MAX:
        raise invalid("ready_until", f"Over {DELIVERIES_MAX} deliveries: choose a shorter time, or one business.")
    return rows


async def _within(
    con: Connection, operator_id: UUID, business_id: UUID | None, ready_from: datetime, ready_until: datetime
) -> list[Record]:
    return await con.fetch(
        f"{_WAITING} AND d.ready_at >= $3 AND d.ready_at < $4 ORDER BY d.ready_at, d.id LIMIT {DELIVERIES_MAX + 1}",
        operator_id,
        business_id,
        ready_from,
        ready_until,
    )


async def _hands(con: Connection, ctx: Ctx, asked: Sequence[Hands]) -> list[Hand]:
    named = [ids.parse(Kind.DRIVER, hands.driver_id) for hands in asked if hands.driver_id is not None]
    if len(set(named)) < len(named):
        raise invalid("drivers", "Name each driver once.")
    rows = await con.fetch(_DRIVERS, ctx.principal.operator(), _own(ctx), named)
    known = {row["id"]: row for row in rows}
    out: list[Hand] = []
    for hands in asked:
        if hands.vehicle is not None:
            out += [Hand(hands, hands.vehicle)] * hands.count
        elif hands.driver_id is not None:
            row = one(known.get(ids.parse(Kind.DRIVER, hands.driver_id)), "driver")
            out.append(Hand(hands, Vehicle(row["vehicle"]), row))
    return out


def _own(ctx: Ctx) -> UUID | None:
    """Return whose own drivers alone may be planned for: a business' (of the pool its operator plans)."""
    return None if ctx.principal.who is Who.ADMIN else ctx.principal.business()


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _waiting(row: Record) -> WaitingView:
    return WaitingView(
        id=show(Kind.DELIVERY, row["id"]),
        business_id=show(Kind.BUSINESS, row["business_id"]),
        short_code=row["short_code"],
        pickup=row["p_name"],
        address=row["q_address"],
        lat=row["q_lat"],
        lng=row["q_lng"],
        ready_at=row["ready_at"],
        dropoff_from=row["dropoff_from"],
        promised_at=row["promised_at"],
        size=row["size"],
        needs=list(row["needs"]),
    )


ROUTES = (
    Route("GET", "/api/v1/dispatch/routes/plannable", get_plannable, Permission.DISPATCH, Rate.READ),
    Route("POST", "/api/v1/dispatch/routes/plan", plan_routes, Permission.DISPATCH, Rate.WRITE),
    Route("GET", "/api/v1/dispatch/routes/plan/{id}", get_plan, Permission.DISPATCH, Rate.READ),
    Route("POST", "/api/v1/dispatch/routes/plan/{id}/commit", commit_plan, Permission.DISPATCH, Rate.WRITE),
)
