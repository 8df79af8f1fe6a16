"""How fairly work is shared in the pool, measured: work, time and pay of each driver, and one index over all.

The index is Jain's: (Σx)² / (n · Σx²) over pay per hour on line. 1 when all earn alike, 1/n when one earns everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kernel.access import Permission
from kernel.db import Reason, Record
from kernel.http import Ctx, Rate, Route
from kernel.ids import Kind, show

ONLINE_MIN_S: Final = 900
"""Who was on line for less says nothing about fairness."""

_DRIVERS: Final = """
SELECT dr.id, dr.name, w.jobs, b.busy_s, p.pay_minor, o.accepted, o.declined, o.expired, t.online_s
FROM driver_profiles dr
CROSS JOIN LATERAL (
  SELECT coalesce(sum(extract(epoch FROM least(coalesce(s.ended_at, $3), $3) - greatest(s.started_at, $2))), 0)::int
    AS online_s
  FROM driver_shifts s
  WHERE s.driver_id = dr.id AND s.started_at < $3 AND coalesce(s.ended_at, $3) > $2) t
CROSS JOIN LATERAL (
  SELECT count(*)::int AS jobs FROM deliveries d
  WHERE d.driver_id = dr.id AND d.status = 'delivered' AND d.finished_at > $2) w
CROSS JOIN LATERAL (
  SELECT coalesce(extract(epoch FROM sum(upper(spell) - lower(spell))), 0)::int AS busy_s
  FROM (SELECT unnest(range_agg(tstzrange(greatest(d.assigned_at, $2), coalesce(d.finished_at, $3)))) AS spell
        FROM deliveries d
        WHERE d.driver_id = dr.id AND d.assigned_at < $3 AND coalesce(d.finished_at, $3) > $2) spells) b
CROSS JOIN LATERAL (
  SELECT coalesce(sum(e.base_minor + e.tip_minor), 0)::bigint AS pay_minor FROM driver_earnings e
  WHERE e.driver_id = dr.id AND e.earned_at > $2) p
CROSS JOIN LATERAL (
  SELECT count(*) FILTER (WHERE o.status = 'accepted')::int AS accepted,
         count(*) FILTER (WHERE o.status = 'declined')::int AS declined,
         count(*) FILTER (WHERE o.status = 'expired')::int AS expired
  FROM offers o WHERE o.driver_id = dr.id AND o.sent_at > $2) o
WHERE dr.operator_id = $1 AND dr.pool = 'shared_pool' AND (t.online_s > 0 OR b.busy_s > 0)
ORDER BY dr.id
"""


class FairnessQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Over how many hours up to now."""

    hours: Annotated[int, Meta(ge=1, le=744)] = 8


class DriverShare(msgspec.Struct, frozen=True):
    """One driver of the pool. `acceptance` is accepted of all that were answered or missed; None without any."""

    driver_id: str
    driver_name: str
    jobs: int
    work_share: float
    online_s: int
    busy_s: int
    idle_s: int
    pay_minor: int
    pay_per_hour_minor: int | None
    accepted: int
    declined: int
    expired: int
    acceptance: float | None


class Fairness(msgspec.Struct, frozen=True):
    """The pool over the window; `jain_pay_per_hour` is None while fewer than two drivers were on line long enough."""

    hours: int
    currency: str
    drivers: list[DriverShare]
    jain_pay_per_hour: float | None


async def get_fairness(ctx: Ctx, query: FairnessQuery) -> Fairness:
    """How fairly is the pool's work shared?"""
    now = ctx.clock.now()
    async with ctx.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        currency = await con.fetchval("SELECT currency FROM operators WHERE id = $1", ctx.principal.operator())
        rows = await con.fetch(_DRIVERS, ctx.principal.operator(), now - timedelta(hours=query.hours), now)
    jobs = sum(row["jobs"] for row in rows)
    drivers = [_share(row, jobs) for row in rows]
    hourly = [one.pay_per_hour_minor for one in drivers if one.pay_per_hour_minor is not None]
    return Fairness(query.hours, currency, drivers, jain(hourly) if len(hourly) > 1 else None)


def jain(values: Sequence[int]) -> float:
    """Return Jain's index of non-negative values: 1 when they are equal, also when all are 0."""
    squares = sum(value * value for value in values)
    return round(sum(values) ** 2 / (len(values) * squares), 4) if squares else 1.0


def _share(row: Record, jobs_of_all: int) -> DriverShare:
    online_s, asked = row["online_s"], row["accepted"] + row["declined"] + row["expired"]
    return DriverShare(
        driver_id=show(Kind.DRIVER, row["id"]),
        driver_name=row["name"],
        jobs=row["jobs"],
        work_share=round(row["jobs"] / jobs_of_all, 4) if jobs_of_all else 0.0,
        online_s=online_s,
        busy_s=row["busy_s"],
        idle_s=max(0, online_s - row["busy_s"]),
        pay_minor=row["pay_minor"],
        pay_per_hour_minor=row["pay_minor"] * 3_600 // online_s if online_s >= ONLINE_MIN_S else None,
        accepted=row["accepted"],
        declined=row["declined"],
        expired=row["expired"],
        acceptance=round(row["accepted"] / asked, 4) if asked else None,
    )


ROUTES = (Route("GET", "/api/v1/dispatch/fairness", get_fairness, Permission.PLATFORM_READ, Rate.READ),)
