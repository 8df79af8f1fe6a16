"""Days to be played again, read from the database: one operator's, or one business' own.

A business' deliveries are read in its own transaction, so that the database itself hides the others'. Of the people
who worked it is told what it knew that day: its own drivers' shifts, and of a driver of the pool the time from the
first to the last that he carried for it.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from dispatch import policy
from dispatch.eta_lessons import drivings, stop_lessons
from dispatch.eta_models import Model, Models
from dispatch.learning import HandOver, StopKind
from dispatch.whatif.given import Pin, Refusal
from dispatch.whatif.past import Lived, PastDay, PastDelivery, PastShift
from dispatch.worker import STOP_SERVICE_S
from dispatch.zones import hit_by
from geo.point import Point
from geo.travel import Vehicle
from kernel.db import Connection, Database, Reason, Record, one
from kernel.errors import Problem, invalid
from kernel.ids import Kind, parse, show

DAYS_SHOWN: Final = 60
POSITION_BEFORE_S: Final = 600
"""A driver's first position of a shift is looked for from so long before it."""
SHIFT_MAX_H: Final = 24
FEW: Final = 3
"""What is usual counts as much as so many cases of the day itself."""
NOT_PLAYED: Final = ("canceled",)
ENDED: Final = ("delivered", "failed", "returned", "returning")

_DELIVERIES: Final = """
SELECT d.id, d.business_id, d.store_id, d.status, d.created_at, d.ready_at, d.was_ready_at, d.promised_at,
       d.pickup_until, d.dropoff_from, d.uses_shared_pool, d.driver_id,
       d.driver_pay_minor + d.tip_minor AS pay_minor, d.currency, d.assigned_at, d.picked_up_at, d.finished_at,
       d.distance_m, d.needs, d.size, b.name AS business_name,
       p.lat AS p_lat, p.lng AS p_lng, q.lat AS q_lat, q.lng AS q_lng
FROM deliveries d
JOIN businesses b ON b.id = d.business_id
JOIN stops p ON p.business_id = d.business_id AND p.delivery_id = d.id AND p.kind = 'pickup'
JOIN stops q ON q.business_id = d.business_id AND q.delivery_id = d.id AND q.kind = 'dropoff'
WHERE d.operator_id = $1 AND d.ready_at >= $2 AND d.ready_at < $3
ORDER BY d.created_at, d.id LIMIT $4
"""

_SHIFTS: Final = """
SELECT s.driver_id, greatest(s.started_at, $2) AS on_at,
       least(coalesce(s.ended_at, $3), s.started_at + make_interval(hours => $5), $3) AS off_at
FROM driver_shifts s
WHERE s.operator_id = $1 AND s.started_at < $3 AND coalesce(s.ended_at, $3) > $2
  AND s.started_at > $2 - make_interval(hours => $5)
  AND ($4::uuid IS NULL OR EXISTS (SELECT FROM driver_business_assignments a
                                   WHERE a.driver_id = s.driver_id AND a.business_id = $4))
ORDER BY s.driver_id, s.started_at
"""

_DRIVERS: Final = """
SELECT dr.id, dr.name, dr.vehicle, dr.pool, dr.skills,
       (SELECT coalesce(jsonb_object_agg(a.business_id, a.priority), '{}')
        FROM driver_business_assignments a WHERE a.driver_id = dr.id) AS priorities
FROM driver_profiles dr WHERE dr.operator_id = $1 AND dr.id = ANY($2)
"""

_FIRST_POSITIONS: Final = """
SELECT w.n, l.lat, l.lng FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY
  AS w(driver_id, from_at, to_at, n)
CROSS JOIN LATERAL (SELECT lat, lng FROM driver_locations l
  WHERE l.driver_id = w.driver_id AND l.recorded_at >= w.from_at AND l.recorded_at < w.to_at
    AND l.verdict NOT IN ('jump', 'accuracy')
  ORDER BY l.recorded_at LIMIT 1) l
"""


_REFUSALS: Final = """
SELECT od.delivery_id, o.driver_id, o.status, o.answered_at - o.sent_at AS after
FROM offers o JOIN offer_deliveries od ON od.offer_id = o.id
WHERE od.delivery_id = ANY($1) AND o.status IN ('declined', 'expired') ORDER BY o.sent_at, o.id
"""

_ANSWER_S: Final = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM o.answered_at - o.sent_at))
FROM offers o JOIN offer_deliveries od ON od.offer_id = o.id
WHERE od.delivery_id = ANY($1) AND o.status = 'accepted'
"""

_PINS: Final = """
SELECT detail->>'delivery_id' AS delivery, detail->>'driver_id' AS driver, created_at FROM audit_log
WHERE operator_id = $1 AND action = 'delivery.reassigned' AND created_at BETWEEN $2 AND $3
  AND detail->>'delivery_id' = ANY($4)
ORDER BY created_at, id
"""

_PAUSES: Final = """
SELECT business_id, area, created_at, least(until, ended_at, $3) AS over_at FROM paused_zones
WHERE operator_id = $1 AND created_at < $3 AND least(until, ended_at, $3) > $2 ORDER BY created_at, id
"""

_STOPS: Final = """
SELECT d.business_id, d.store_id, d.driver_id, d.assigned_at, d.ready_at, d.was_ready_at, dr.vehicle, o.time_zone,
       stop.kind, stop.arrived_at, stop.done_at, stop.lat, stop.lng,
       before.done_at AS before_at, before.lat AS before_lat, before.lng AS before_lng
FROM deliveries d
JOIN operators o ON o.id = d.operator_id
JOIN driver_profiles dr ON dr.id = d.driver_id
JOIN stops stop ON stop.business_id = d.business_id AND stop.delivery_id = d.id
LEFT JOIN LATERAL (
  SELECT s.done_at, s.lat, s.lng FROM stops s
  WHERE s.driver_id = d.driver_id AND s.done_at < stop.arrived_at ORDER BY s.done_at DESC LIMIT 1) before ON true
WHERE d.id = ANY($1) AND d.status = 'delivered'
ORDER BY d.finished_at, d.id, stop.kind DESC
"""


class KnownDay(msgspec.Struct, frozen=True):
    """A day on which something was to be delivered."""

    date: str
    deliveries: int
    delivered: int


class _Span(msgspec.Struct, frozen=True):
    """A stretch of one driver's work, and from when on his position may be looked up."""

    driver_id: UUID
    on_at: datetime
    off_at: datetime
    seen_from: datetime


async def known_days(db: Database, operator_id: UUID, business_id: UUID | None) -> list[KnownDay]:
    """Return the last days that could be played, newest first."""
    async with _looking(db, business_id) as con:
        zone = await _zone(db, operator_id)
        rows = await con.fetch(
            """SELECT (ready_at AT TIME ZONE $2)::date AS day, count(*) AS n,
                      count(*) FILTER (WHERE status = 'delivered') AS delivered
               FROM deliveries WHERE operator_id = $1 AND status <> 'canceled' AND ready_at < now() + interval '1 day'
               GROUP BY 1 ORDER BY 1 DESC LIMIT $3""",
            operator_id,
            zone.key,
            DAYS_SHOWN,
        )
    return [KnownDay(row["day"].isoformat(), row["n"], row["delivered"]) for row in rows]


async def read_day(
    db: Database, operator_id: UUID, business_id: UUID | None, day: date, now: datetime, *, deliveries_max: int
) -> PastDay:
    """Return a local day of an operator, or with `business_id` of a business; raises `day_too_big`.

    While the day lasts, what is still under way is left out.
    """
    zone = await _zone(db, operator_id)
    starts_at = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    following = day + timedelta(days=1)
    ends_at = datetime(following.year, following.month, following.day, tzinfo=zone).astimezone(UTC)
    async with db.platform_tx(Reason.WHAT_IF, readonly=True) as con:
        policies = await policy.load(con, operator_id, as_of=ends_at)
    async with _looking(db, business_id) as con:
        rows = await con.fetch(_DELIVERIES, operator_id, starts_at, ends_at, deliveries_max + 1)
    if len(rows) > deliveries_max:
        raise Problem(
            "day_too_big",
            f"There are more than {deliveries_max} deliveries on {day}: choose one business, or use `onward replay`.",
        )
    played = [row for row in rows if row["status"] not in NOT_PLAYED and (now >= ends_at or row["status"] in ENDED)]
    left_out = Counter("canceled" if row["status"] in NOT_PLAYED else "under_way" for row in rows if row not in played)
    if len(currencies := sorted({row["currency"] for row in played})) > 1:
        raise invalid("business_id", f"This day is paid in {' and '.join(currencies)}: replay one business at a time.")
    async with db.platform_tx(Reason.WHAT_IF, readonly=True) as con:
        hands = await _hands(con, operator_id, played, starts_at, ends_at)
        lived = await _lived(con, played)
        model = await Models().of(con, operator_id)
    return PastDay(
        date=day.isoformat(),
        time_zone=zone.key,
        starts_at=starts_at,
        currency=currencies[0] if currencies else "",
        businesses={row["business_id"]: row["business_name"] for row in played},
        policies=policies,
        deliveries=tuple(_delivery(row, hands[row["id"]], model, starts_at) for row in played),
        shifts=await _shifts(db, operator_id, business_id, played, starts_at, ends_at),
        until_s=round((min(now, ends_at) - starts_at).total_seconds()),
        left_out=dict(left_out),
        lived=lived,
    )


@contextlib.asynccontextmanager
async def _looking(db: Database, business_id: UUID | None) -> AsyncIterator[Connection]:
    """Open a transaction that sees one business, or for the operator all of them."""
    if business_id is None:
        async with db.platform_tx(Reason.WHAT_IF, readonly=True) as con:
            yield con
    else:
        async with db.tenant_tx(business_id, readonly=True) as con:
            yield con


async def _zone(db: Database, operator_id: UUID) -> ZoneInfo:
    async with db.platform_tx(Reason.WHAT_IF, readonly=True) as con:
        row = one(await con.fetchrow("SELECT time_zone FROM operators WHERE id = $1", operator_id), "operator")
    return ZoneInfo(row["time_zone"])


class _Hand(msgspec.Struct):
    """What people did about one delivery: dispatchers who pinned it or paused its zone, drivers who refused it."""

    pins: list[Pin] = []
    paused: list[tuple[int, int]] = []
    refusals: dict[UUID, list[Refusal]] = {}


async def _hands(
    con: Connection, operator_id: UUID, rows: list[Record], starts_at: datetime, ends_at: datetime
) -> dict[UUID, _Hand]:
    found = {row["id"]: _Hand() for row in rows}
    for refused in await con.fetch(_REFUSALS, list(found)):
        refusal = Refusal(round(refused["after"].total_seconds()), refused["status"] == "expired")
        found[refused["delivery_id"]].refusals.setdefault(refused["driver_id"], []).append(refusal)
    names = [show(Kind.DELIVERY, row["id"]) for row in rows]
    for pin in await con.fetch(_PINS, operator_id, starts_at - timedelta(days=1), ends_at, names):
        driver_id = pin["driver"] and parse(Kind.DRIVER, pin["driver"])
        found[parse(Kind.DELIVERY, pin["delivery"])].pins.append(Pin(_seconds(pin["created_at"], starts_at), driver_id))
    pauses = await con.fetch(_PAUSES, operator_id, starts_at, ends_at)
    for row, hits in zip(rows, hit_by(pauses, rows) if pauses and rows else [], strict=False):
        found[row["id"]].paused = [
            (_seconds(zone["created_at"], starts_at), _seconds(zone["over_at"], starts_at)) for zone in hits
        ]
    return found


async def _lived(con: Connection, rows: list[Record]) -> Lived:
    """Return how long rides, hand-overs and answers took. Rides are an operator's: only their seconds are used."""
    delivery_ids = [row["id"] for row in rows]
    answer_s = await con.fetchval(_ANSWER_S, delivery_ids)
    stops = await con.fetch(_STOPS, delivery_ids)
    hand_overs = [lesson for lesson in stop_lessons(stops) if isinstance(lesson, HandOver)]
    took = {kind: [one.seconds for one in hand_overs if one.stop is kind] for kind in StopKind}
    return Lived(
        answer_s=round(answer_s or 0),
        pickup_s=_usual(took[StopKind.PICKUP]),
        dropoff_s=_usual(took[StopKind.DROPOFF]),
        rides=tuple(drivings(stops)),
    )


def _usual(seconds: list[int]) -> int:
    """Return the mean of what was seen, drawn to what is usual while that is little."""
    return round((sum(seconds) + FEW * STOP_SERVICE_S) / (len(seconds) + FEW))


def _seconds(at: datetime, starts_at: datetime) -> int:
    return round((at - starts_at).total_seconds())


def _delivery(row: Record, hand: _Hand, model: Model, starts_at: datetime) -> PastDelivery:
    def second(at: datetime | None) -> int | None:
        return None if at is None else _seconds(at, starts_at)

    done = row["status"] == "delivered"
    late_s = model.learned.ready_late_s(row["store_id"], model.local(row["ready_at"]))
    return PastDelivery(
        id=row["id"],
        business_id=row["business_id"],
        pickup=Point(row["p_lat"], row["p_lng"]),
        dropoff=Point(row["q_lat"], row["q_lng"]),
        placed_s=_seconds(row["created_at"], starts_at),
        ready_s=_seconds(row["ready_at"], starts_at) + late_s,
        promised_s=_seconds(row["promised_at"], starts_at),
        uses_shared_pool=row["uses_shared_pool"],
        distance_m=row["distance_m"],
        needs=frozenset(row["needs"]),
        size=row["size"],
        pay_minor=row["pay_minor"],
        pickup_until_s=second(row["pickup_until"]),
        dropoff_from_s=second(row["dropoff_from"]),
        pins=tuple(hand.pins),
        paused=tuple(hand.paused),
        refusals={driver_id: tuple(refusals) for driver_id, refusals in hand.refusals.items()},
        driver_id=row["driver_id"],
        was_ready_s=second(row["was_ready_at"]),
        assigned_s=second(row["assigned_at"]),
        picked_s=second(row["picked_up_at"]),
        door_s=second(row["finished_at"]) if done else None,
    )


async def _shifts(
    db: Database,
    operator_id: UUID,
    business_id: UUID | None,
    deliveries: list[Record],
    starts_at: datetime,
    ends_at: datetime,
) -> tuple[PastShift, ...]:
    async with db.platform_tx(Reason.WHAT_IF, readonly=True) as con:
        rows = await con.fetch(_SHIFTS, operator_id, starts_at, ends_at, business_id, SHIFT_MAX_H)
        before = timedelta(seconds=POSITION_BEFORE_S)
        spans = [
            _Span(row["driver_id"], row["on_at"], row["off_at"], row["on_at"] - before)
            for row in rows
            if row["off_at"] > row["on_at"]
        ]
        spans += _carrying(deliveries, {span.driver_id for span in spans})
        known = {row["id"]: row for row in await con.fetch(_DRIVERS, operator_id, [span.driver_id for span in spans])}
        spans = [span for span in spans if span.driver_id in known]
        found = await con.fetch(
            _FIRST_POSITIONS,
            [span.driver_id for span in spans],
            [span.seen_from for span in spans],
            [span.off_at for span in spans],
        )
    seen = {row["n"] - 1: Point(row["lat"], row["lng"]) for row in found}
    shifts = []
    for number, span in enumerate(spans):
        driver = known[span.driver_id]
        own = business_id is None or str(business_id) in driver["priorities"]
        at = seen.get(number) or _first_pickup(deliveries, span)
        if at is None:
            continue
        shifts.append(
            PastShift(
                driver_id=span.driver_id,
                name=driver["name"] if own else None,
                vehicle=Vehicle(driver["vehicle"]),
                pool=driver["pool"],
                business_priority={UUID(key): value for key, value in driver["priorities"].items()},
                at=at,
                skills=frozenset(driver["skills"]),
                on_s=round((span.on_at - starts_at).total_seconds()),
                off_s=round((span.off_at - starts_at).total_seconds()),
            )
        )
    return tuple(shifts)


def _carrying(deliveries: list[Record], recorded: set[UUID]) -> list[_Span]:
    """Return from when to when drivers without a recorded shift carried these deliveries."""
    spans: dict[UUID, _Span] = {}
    for row in deliveries:
        driver_id, on_at, off_at = row["driver_id"], row["assigned_at"], row["finished_at"]
        if driver_id is None or driver_id in recorded or on_at is None or off_at is None:
            continue
        so_far = spans.get(driver_id, _Span(driver_id, on_at, off_at, on_at))
        first = min(so_far.on_at, on_at)
        spans[driver_id] = _Span(driver_id, first, max(so_far.off_at, off_at), first)
    return sorted(spans.values(), key=lambda span: span.driver_id)


def _first_pickup(deliveries: list[Record], span: _Span) -> Point | None:
    """Return where a driver nobody saw first picked something up."""
    mine = [row for row in deliveries if row["driver_id"] == span.driver_id and row["picked_up_at"] is not None]
    first = min(mine, key=lambda row: row["picked_up_at"], default=None)
    return None if first is None else Point(first["p_lat"], first["p_lng"])
