"""Pausing a zone over HTTP: a business for its own deliveries, an operator's admin for everybody's."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from geo.zones import ZoneError, zone_from_geojson
from kernel import ids
from kernel.access import Permission, Who
from kernel.db import Connection, Reason, Record, one
from kernel.errors import Problem, invalid
from kernel.http import Ctx, Rate, Route
from kernel.ids import Kind, new_id, show, show_or_none
from tenancy import audit

PAUSES_MAX = 100


class PausePath(msgspec.Struct, frozen=True):
    """Which pause."""

    id: str


class NewPause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A GeoJSON Polygon or MultiPolygon, why, and until when (for good without)."""

    area: dict[str, Any]
    reason: Annotated[str, Meta(min_length=1, max_length=200)]
    until: datetime | None = None


class PauseView(msgspec.Struct, frozen=True):
    """A paused zone; without a business it is the operator's and holds for all."""

    id: str
    business_id: str | None
    area: dict[str, Any]
    reason: str
    until: datetime | None
    created_at: datetime


class Pauses(msgspec.Struct, frozen=True):
    """The zones that are paused now, newest first."""

    data: list[PauseView]


async def list_pauses(ctx: Ctx) -> Pauses:
    """Which zones are paused?"""
    now, operator_id = ctx.clock.now(), ctx.principal.operator()
    async with ctx.db.tx_of(ctx.principal, Reason.DISPATCHER, readonly=True) as con:
        rows = await _running(con, operator_id, now)
    return Pauses([_view(row) for row in rows])


async def pause(ctx: Ctx, body: NewPause) -> PauseView:
    """Pause a zone: deliveries that begin or end there wait"""
    now = ctx.clock.now()
    try:
        zone_from_geojson(body.area, repair=False)
    except ZoneError as error:
        raise invalid("area", f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
    if body.until is not None and (body.until.tzinfo is None or body.until <= now):
        raise invalid("until", "Give a time to come, with its time zone: 2026-05-01T12:00:00Z.")
    business_id = None if ctx.principal.who is Who.ADMIN else ctx.principal.business()
    async with ctx.db.tx_of(ctx.principal, Reason.DISPATCHER) as con:
        return await _pause(con, ctx, body, business_id, now)


async def resume(ctx: Ctx, path: PausePath) -> None:
    """End a pause: what waited there is dispatched"""
    pause_id = ids.parse(Kind.PAUSE, path.id)
    async with ctx.db.tx_of(ctx.principal, Reason.DISPATCHER) as con:
        await _resume(con, ctx, pause_id)


async def _running(con: Connection, operator_id: UUID, now: datetime) -> list[Record]:
    return await con.fetch(
        """SELECT * FROM paused_zones WHERE operator_id = $1 AND ended_at IS NULL AND (until IS NULL OR until > $2)
           ORDER BY created_at DESC, id DESC""",
        operator_id,
        now,
    )


async def _pause(con: Connection, ctx: Ctx, body: NewPause, business_id: UUID | None, now: datetime) -> PauseView:
    operator_id = ctx.principal.operator()
    running = await con.fetchval(
        """SELECT count(*) FROM paused_zones WHERE operator_id = $1 AND ended_at IS NULL
           AND (until IS NULL OR until > $2) AND business_id IS NOT DISTINCT FROM $3""",
        operator_id,
        now,
        business_id,
    )
    if running >= PAUSES_MAX:
        raise Problem("conflict", f"{PAUSES_MAX} zones are paused already: end some, or draw one that holds several.")
    row = await con.fetchrow(
        """INSERT INTO paused_zones (id, operator_id, business_id, area, reason, until, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *""",
        new_id(),
        operator_id,
        business_id,
        body.area,
        body.reason,
        body.until,
        now,
    )
    view = _view(one(row, "pause"))
    detail = {"id": view.id, "reason": view.reason, "until": view.until}
    await audit.note(con, ctx.principal, "zone.paused", detail, business_id=business_id)
    return view


async def _resume(con: Connection, ctx: Ctx, pause_id: UUID) -> None:
    """An operator's pause is one that a business sees and does not end."""
    row = await con.fetchrow(
        "UPDATE paused_zones SET ended_at = $3 WHERE id = $1 AND operator_id = $2 AND ended_at IS NULL RETURNING *",
        pause_id,
        ctx.principal.operator(),
        ctx.clock.now(),
    )
    if row is None and await con.fetchval("SELECT 1 FROM paused_zones WHERE id = $1 AND ended_at IS NULL", pause_id):
        raise Problem("forbidden", "Your operator paused this zone, and ends it.")
    view = _view(one(row, "pause"))
    await audit.note(con, ctx.principal, "zone.resumed", {"id": view.id}, business_id=one(row, "pause")["business_id"])


def _view(row: Record) -> PauseView:
    return PauseView(
        id=show(Kind.PAUSE, row["id"]),
        business_id=show_or_none(Kind.BUSINESS, row["business_id"]),
        area=row["area"],
        reason=row["reason"],
        until=row["until"],
        created_at=row["created_at"],
    )


ROUTES = (
    Route("GET", "/api/v1/dispatch/zones/pauses", list_pauses, Permission.BOARD_READ, Rate.READ),
    Route("POST", "/api/v1/dispatch/zones/pauses", pause, Permission.DISPATCH, Rate.WRITE, 201),
    Route("DELETE", "/api/v1/dispatch/zones/pauses/{id}", resume, Permission.DISPATCH, Rate.WRITE, 204),
)
