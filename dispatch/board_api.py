"""The board and tracking over HTTP: the polling twins of the viewer socket, decisions, and the platform's numbers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from dispatch import alerts
from dispatch.alerts import AlertCode
from dispatch.tick import Dispatcher
from dispatch.views import BoardViews
from kernel import ids
from kernel.access import Permission, Principal, Who
from kernel.db import Connection, Reason, Record
from kernel.errors import Problem
from kernel.http import Ctx, Rate, Route
from kernel.ids import Kind, show_or_none


class DecisionPath(msgspec.Struct, frozen=True):
    """Which delivery's decisions."""

    delivery_id: str


class OrderPath(msgspec.Struct, frozen=True):
    """Which order."""

    id: str


class CandidateView(msgspec.Struct, frozen=True):
    """A driver who could have had it: from when on he was free, and how long he would then have ridden to the store.

    On a round that was planned ahead it would have added `added_s` seconds of driving; the other two are then None.
    """

    driver_id: str
    driver_name: str | None
    total: int
    free_s: int | None
    to_pickup_s: int | None
    added_s: int | None
    terms: dict[str, int]
    took_other_job: bool


class DecisionView(msgspec.Struct, frozen=True):
    """One decision: who, at what price, instead of whom. Without a driver the seconds and the total are None.

    `outcome`: `offered`; `planned` ahead, on a round that it makes `added_s` seconds of driving longer; `no_candidate`.
    """

    at: datetime
    outcome: str
    driver_id: str | None
    driver_name: str | None
    terms: dict[str, int]
    total: int | None
    free_s: int | None
    to_pickup_s: int | None
    added_s: int | None
    runners_up: list[CandidateView]
    excluded: dict[str, int]
    method: str
    on_the_way: bool
    together: int


class AnswerView(msgspec.Struct, frozen=True):
    """What became of one driver's offer, when, and why: a code of the driver's page or somebody's words, often none."""

    driver_id: str
    driver_name: str | None
    answer: Literal["accepted", "declined", "expired", "revoked"]
    reason: str
    at: datetime


class Decisions(msgspec.Struct, frozen=True):
    """The decisions about one delivery, and how the drivers who were asked answered; newest first."""

    data: list[DecisionView]
    answers: list[AnswerView]


class AlertSubject(msgspec.Struct, frozen=True):
    """Whom or what an alert is about."""

    kind: Literal["delivery", "driver", "store"]
    id: str


class AlertView(msgspec.Struct, frozen=True):
    """One thing that is wrong: a code, since when, and what its page needs to say so."""

    id: str
    code: AlertCode
    severity: Literal["warning", "critical"]
    subject: AlertSubject | None
    business_id: str | None
    since: datetime
    data: dict[str, Any]


class Alerts(msgspec.Struct, frozen=True):
    """The open alerts, oldest first."""

    data: list[AlertView]


class PlatformMetrics(msgspec.Struct, frozen=True):
    """How the platform is doing."""

    tick_ms: dict[str, float]
    deliveries: dict[str, int]
    offers: dict[str, int]
    drivers: dict[str, int]


async def get_board(ctx: Ctx) -> dict[str, Any]:
    """The dispatch board as one object"""
    return await ctx.need(BoardViews).board(ctx.principal)


async def get_alerts(ctx: Ctx) -> Alerts:
    """What is wrong right now, oldest first"""
    async with ctx.db.tx_of(ctx.principal, Reason.BOARD, readonly=True) as con:
        found = await alerts.open_now(con, ctx.principal.operator())
    return msgspec.convert({"data": found}, Alerts)


async def get_tracking(ctx: Ctx) -> dict[str, Any]:
    """What the customer sees, by a tracking link's token"""
    principal = ctx.principal
    if principal.who is not Who.TRACKER or principal.delivery_id is None:
        raise Problem("forbidden", "This needs a tracking link's token.")
    return await ctx.need(BoardViews).tracking(principal.business(), principal.delivery_id)


async def get_order_tracking(ctx: Ctx, path: OrderPath) -> dict[str, Any]:
    """Where is my order? The same object as on the viewer socket"""
    principal = ctx.principal
    order_id = ids.parse(Kind.ORDER, path.id)
    if principal.who is Who.TRACKER and principal.delivery_id != order_id:
        raise Problem("not_found", "There is no order with this id.")
    async with ctx.db.tenant_tx(principal.business(), readonly=True) as con:
        customer_id = await con.fetchval("SELECT customer_id FROM orders WHERE id = $1", order_id)
    if customer_id is None or (principal.who is Who.CUSTOMER and customer_id != principal.customer_id):
        raise Problem("not_found", "There is no order with this id.")
    return await ctx.need(BoardViews).tracking(principal.business(), order_id)


async def get_decisions(ctx: Ctx, path: DecisionPath) -> Decisions:
    """Why this driver? The decisions about a delivery, term by term"""
    delivery_id = ids.parse(Kind.DELIVERY, path.delivery_id)
    async with ctx.db.tx_of(ctx.principal, Reason.BOARD, readonly=True) as con:
        return await _decisions(con, delivery_id, ctx.principal)


async def _decisions(con: Connection, delivery_id: UUID, principal: Principal) -> Decisions:
    if not await con.fetchval(
        "SELECT 1 FROM deliveries WHERE id = $1 AND operator_id = $2", delivery_id, principal.operator()
    ):
        raise Problem("not_found", "There is no delivery with this id.")
    rows = await con.fetch(
        "SELECT * FROM dispatch_decisions WHERE delivery_id = $1 ORDER BY at DESC, id DESC LIMIT 20", delivery_id
    )
    answers = await con.fetch(
        """SELECT driver_id, answer, reason, answered_at FROM offer_deliveries
           WHERE delivery_id = $1 AND answer IS NOT NULL ORDER BY answered_at DESC, offer_id DESC LIMIT 20""",
        delivery_id,
    )
    named = {row["driver_id"] for row in (*rows, *answers)}
    named |= {UUID(other["driver_id"]) for row in rows for other in row["explanation"]["runners_up"]}
    seen = await con.fetch("SELECT id, name FROM driver_profiles WHERE id = ANY($1)", list(named))
    known = {row["id"]: row["name"] for row in seen}
    return Decisions([_decision(row, known) for row in rows], [_answer(row, known) for row in answers])


def _answer(row: Record, known: dict[UUID, str]) -> AnswerView:
    return AnswerView(
        driver_id=ids.show(Kind.DRIVER, row["driver_id"]),
        driver_name=known.get(row["driver_id"]),
        answer=row["answer"],
        reason=row["reason"],
        at=row["answered_at"],
    )


def _decision(row: Record, known: dict[UUID, str]) -> DecisionView:
    why = row["explanation"]
    chosen = why["chosen"] or {"terms": {}, "total": 0}
    return DecisionView(
        at=row["at"],
        outcome=row["outcome"],
        driver_id=show_or_none(Kind.DRIVER, row["driver_id"]),
        driver_name=known.get(row["driver_id"]),
        terms=_seconds(chosen["terms"]),
        total=round(chosen["total"] / 100) if why["chosen"] else None,
        free_s=chosen.get("free_s"),
        to_pickup_s=chosen.get("to_pickup_s"),
        added_s=chosen.get("added_s"),
        runners_up=[
            CandidateView(
                driver_id=ids.show(Kind.DRIVER, UUID(other["driver_id"])),
                driver_name=known.get(UUID(other["driver_id"])),
                total=round(other["total"] / 100),
                free_s=other.get("free_s"),
                to_pickup_s=other.get("to_pickup_s"),
                added_s=other.get("added_s"),
                terms=_seconds(other["terms"]),
                took_other_job=other.get("took_other_job", False),
            )
            for other in why["runners_up"]
        ],
        excluded=why["excluded"],
        method=why["method"],
        on_the_way=why.get("on_the_way", False),
        together=len(why["together"]),
    )


def _seconds(terms: dict[str, int]) -> dict[str, int]:
    """Return the engine's hundredths as whole weighted seconds, which people can read."""
    return {name: round(cost / 100) for name, cost in terms.items()}


async def get_platform_metrics(ctx: Ctx) -> PlatformMetrics:
    """How the platform is doing"""
    operator_id = ctx.principal.operator()
    ticks = sorted(ctx.need(Dispatcher).tick_ms)
    async with ctx.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        deliveries = await con.fetch(
            "SELECT status, count(*) AS n FROM deliveries WHERE operator_id = $1 GROUP BY 1", operator_id
        )
        offers = await con.fetch(
            "SELECT status, count(*) AS n FROM offers WHERE operator_id = $1 GROUP BY 1", operator_id
        )
        drivers = await con.fetch(
            "SELECT state AS status, count(*) AS n FROM driver_profiles WHERE operator_id = $1 GROUP BY 1", operator_id
        )
    return PlatformMetrics(
        tick_ms={"p50": _quantile(ticks, 0.5), "p95": _quantile(ticks, 0.95)},
        deliveries={row["status"]: row["n"] for row in deliveries},
        offers={row["status"]: row["n"] for row in offers},
        drivers={row["status"]: row["n"] for row in drivers},
    )


def _quantile(ordered: list[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else 0.0


ROUTES = (
    Route("GET", "/api/v1/dispatch/board", get_board, Permission.BOARD_READ, Rate.READ),
    Route("GET", "/api/v1/dispatch/alerts", get_alerts, Permission.BOARD_READ, Rate.READ),
    Route("GET", "/api/v1/dispatch/decisions/{delivery_id}", get_decisions, Permission.BOARD_READ, Rate.READ),
    Route("GET", "/api/v1/track", get_tracking, Permission.TRACK, Rate.READ),
    Route("GET", "/api/v1/orders/{id}/tracking", get_order_tracking, Permission.TRACK, Rate.READ),
    Route("GET", "/api/v1/admin/platform-metrics", get_platform_metrics, Permission.PLATFORM_READ, Rate.READ),
)
