"""The filters of fixes over HTTP: what an operator asks of each vehicle, and what became of a driver's fixes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from geo.travel import Vehicle
from kernel import ids
from kernel.access import Permission
from kernel.db import Connection, Reason, one
from kernel.errors import invalid
from kernel.http import Ctx, Rate, Route
from kernel.ids import Kind
from tenancy import audit
from tracking.filters import FilterLimits
from tracking.filters_kept import Filters, Kept, differing, limits_of

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

Timestamp = Annotated[datetime, Meta(tz=True)]


class FiltersBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Per vehicle the limits that differ from the shipped ones; a vehicle or field that is absent has the shipped."""

    vehicles: dict[Vehicle, dict[str, int]]

    def kept(self) -> Kept:
        """Return what is to be kept; raises `validation_failed` naming the field."""
        asked: Kept = {vehicle.value: dict(fields) for vehicle, fields in self.vehicles.items()}
        try:
            return differing(limits_of(asked))
        except msgspec.ValidationError as error:
            raise invalid("vehicles", str(error)) from None


class FiltersView(msgspec.Struct, frozen=True):
    """Every vehicle's whole limits, and which of them were set here."""

    vehicles: dict[Vehicle, FilterLimits]
    set: Kept


class DriverPath(msgspec.Struct, frozen=True):
    """`/drivers/{id}`."""

    id: str


class FixesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """A span of time, and where to go on in it."""

    since: Timestamp | None = None
    until: Timestamp | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: Annotated[str, Meta(max_length=80)] = ""


class FixView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fix and what became of it. `t` is when it was made, by a clock corrected by `clock_ahead_ms`.

    One that has no place in the history (`invalid`, `zero`, `future`, `too_old`) has `raw`, and no `t`.
    """

    verdict: str
    received_at: datetime
    t: datetime | None = None
    lat: float | None = None
    lng: float | None = None
    accuracy_m: float | None = None
    speed_mps: float | None = None
    heading_deg: float | None = None
    source: str = ""
    clock_ahead_ms: int = 0
    raw: dict[str, Any] | None = None


class FixesView(msgspec.Struct, frozen=True):
    """Fixes, newest first."""

    data: list[FixView]
    has_more: bool
    next_cursor: str


async def get_filters(ctx: Ctx) -> FiltersView:
    """What is asked of the fixes of each vehicle?"""
    async with ctx.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        return _view(await _kept(con, ctx))


async def put_filters(ctx: Ctx, body: FiltersBody) -> FiltersView:
    """Set what is asked of the fixes of each vehicle; it holds within a minute everywhere"""
    after = body.kept()
    async with ctx.db.platform_tx(Reason.ADMIN) as con:
        before = await _kept(con, ctx, "FOR UPDATE")
        await con.execute("UPDATE operators SET fix_filters = $2 WHERE id = $1", ctx.principal.operator(), after)
        detail = {"before": before, "after": after}
        await audit.note(con, ctx.principal, "fix_filters.changed", detail, business_id=None)
    await ctx.need(Filters).refresh()
    return _view(after)


async def get_fixes(ctx: Ctx, path: DriverPath, query: FixesQuery) -> FixesView:
    """Which fixes did a driver's phone send, and what became of each?"""
    driver_id, operator_id = ids.parse(Kind.DRIVER, path.id), ctx.principal.operator()
    before = _position(query.cursor) if query.cursor else None
    async with ctx.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        known = "SELECT id FROM driver_profiles WHERE id = $1 AND operator_id = $2"
        one(await con.fetchrow(known, driver_id, operator_id), "driver")
        rows = await con.fetch(
            """SELECT * FROM (
                 SELECT recorded_at AS at, '00000000-0000-0000-0000-000000000000'::uuid AS id, verdict, received_at,
                   lat, lng, accuracy_m, speed_mps, heading_deg, source, clock_ahead_ms, NULL::jsonb AS raw
                 FROM driver_locations WHERE driver_id = $1 AND operator_id = $2
                 UNION ALL
                 SELECT received_at, id, reason, received_at, NULL, NULL, NULL, NULL, NULL, '', 0, raw
                 FROM rejected_fixes WHERE driver_id = $1 AND operator_id = $2
               ) fixes
               WHERE ($3::timestamptz IS NULL OR at >= $3) AND ($4::timestamptz IS NULL OR at < $4)
                 AND ($5::timestamptz IS NULL OR (at, id) < ($5, $6::uuid))
               ORDER BY at DESC, id DESC LIMIT $7""",
            driver_id,
            operator_id,
            query.since,
            query.until,
            *(before or (None, None)),
            query.limit + 1,
        )
    has_more = len(rows) > query.limit
    rows = rows[: query.limit]
    cursor = f"{(rows[-1]['at'] - EPOCH) // MICROSECOND}.{rows[-1]['id'].hex}" if has_more else ""
    return FixesView([_fix(row) for row in rows], has_more, cursor)


def _position(cursor: str) -> tuple[datetime, UUID]:
    at_us, _, row_id = cursor.partition(".")
    try:
        return EPOCH + int(at_us) * MICROSECOND, UUID(hex=row_id)
    except (ValueError, OverflowError):
        raise invalid("cursor", "This is not a cursor of this list.") from None


def _fix(row: Any) -> FixView:
    made_at = row["at"] if row["raw"] is None else None
    fields = {name: row[name] for name in FixView.__struct_fields__ if name != "t"}
    return FixView(**fields, t=made_at)


async def _kept(con: Connection, ctx: Ctx, lock: str = "") -> Kept:
    query = f"SELECT fix_filters FROM operators WHERE id = $1 {lock}"
    kept: Kept = await con.fetchval(query, ctx.principal.operator())
    return kept


def _view(kept: Kept) -> FiltersView:
    return FiltersView(limits_of(kept), kept)


ROUTES = (
    Route("GET", "/api/v1/tracking/filters", get_filters, Permission.PLATFORM_READ, Rate.READ),
    Route("PUT", "/api/v1/tracking/filters", put_filters, Permission.PLATFORM_WRITE, Rate.WRITE),
    Route("GET", "/api/v1/drivers/{id}/fixes", get_fixes, Permission.PLATFORM_READ, Rate.READ),
)
