"""What a tick looks at: the deliveries that wait, the drivers on shift and what each has, as one question.

A delivery that is not to be dispatched now (a dispatcher decides, its zone is paused) is held, and is told why.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatch import policy, zones
from dispatch.decisions import OFFER_LEAD_S
from dispatch.delivery import BEFORE_PICKUP, WITH_DRIVER
from dispatch.engine.candidates import Exclusion
from dispatch.engine.problem import REACH_MAX_S
from dispatch.eta_models import Model, Models
from dispatch.learning import StopKind
from dispatch.offer import MISSED_MAX
from dispatch.policy import Policies, Policy
from dispatch.rows import AT_CLOSED_STORE, BOTH_ENDS
from dispatch.unassigned import OpenCode, UnassignedReason
from dispatch.worker import STOP_SERVICE_S, LiveDriver, LiveStop, OpenJob, Question
from geo.point import Point
from geo.travel import Vehicle
from kernel.clock import to_ms
from kernel.db import Connection, Database, Reason, Record, one
from tracking.live import STALE_AFTER_MS, LivePositions

EPOCH_S: Final = 1
"""How often the engine is asked."""
LEAD_S: Final = 900
JOBS_MAX: Final = 500
MANUAL: Final = UnassignedReason(OpenCode.MANUAL)
ZONE_PAUSED: Final = UnassignedReason(OpenCode.ZONE_PAUSED)
STORE_CLOSED: Final = UnassignedReason(OpenCode.STORE_CLOSED)
TOLD_MAX: Final = 100
"""How many deliveries of manual businesses, and of closed stores, are marked as such in one tick."""
HELD_MAX_S: Final = 900
"""No delivery is held longer than this, also when the clock was turned back meanwhile."""
NEAREST_COUNT: Final = 24
FAIRNESS_WINDOW_H: Final = 8

_DELIVERY: Final = f"""
SELECT d.id, d.operator_id, d.business_id, d.store_id, d.version, d.ready_at, d.was_ready_at, d.promised_at,
       d.uses_shared_pool, d.created_at, d.driver_pay_minor, d.tip_minor, d.currency, d.distance_m, d.unassigned_reason,
       d.driver_id, d.pinned_driver_id, d.kept_from, d.needs, d.size, d.pickup_until, d.dropoff_from,
       b.name AS business_name,
       p.lat AS p_lat, p.lng AS p_lng, p.name AS p_name, p.address AS p_address, p.arrived_at AS p_arrived_at,
       q.lat AS q_lat, q.lng AS q_lng, q.address AS q_address,
       ARRAY(SELECT o.driver_id FROM offer_deliveries od JOIN offers o ON o.id = od.offer_id
             WHERE od.delivery_id = d.id AND o.status IN ('declined', 'expired')
             AND o.answered_at > $2::timestamptz
                 - make_interval(secs => coalesce((b.policy->>'decline_cooldown_s')::int, $3))) AS declined
FROM deliveries d
JOIN businesses b ON b.id = d.business_id
{BOTH_ENDS}
"""

_TURN: Final = """
CASE WHEN d.unassigned_reason IS NOT NULL THEN uuid_hash_extended(d.id, extract(epoch FROM $2)::bigint) END,
d.created_at, d.id"""
"""New work in the order it came; what was looked at in vain takes turns, another order each second."""

_JOBS: Final = f"""{_DELIVERY}
WHERE d.operator_id = $1 AND d.status = 'pending' AND d.planned_route_id IS NULL
  AND (d.was_ready_at IS NOT NULL OR d.ready_at <= $4)
  AND (d.dropoff_from IS NULL OR d.dropoff_from - make_interval(secs => {REACH_MAX_S}) <= $4)
  AND (d.pinned_driver_id IS NOT NULL OR coalesce(b.policy->>'mode', $5) <> 'manual')
  AND (d.retry_at IS NULL OR d.retry_at NOT BETWEEN $2 AND $2 + make_interval(secs => {HELD_MAX_S}))
  AND NOT {AT_CLOSED_STORE}
ORDER BY d.unassigned_reason IS NOT NULL,
  row_number() OVER (PARTITION BY d.business_id, d.unassigned_reason IS NOT NULL ORDER BY {_TURN}), {_TURN}
LIMIT $6
"""

_FOR_A_DISPATCHER: Final = f"""{_DELIVERY}
WHERE d.operator_id = $1 AND d.status = 'pending' AND d.pinned_driver_id IS NULL
  AND coalesce(b.policy->>'mode', $4) = 'manual' AND d.unassigned_reason IS DISTINCT FROM $5
  AND NOT {AT_CLOSED_STORE}
ORDER BY d.created_at LIMIT {TOLD_MAX}
"""

_AT_CLOSED_STORES: Final = f"""{_DELIVERY}
WHERE d.operator_id = $1 AND d.status = 'pending' AND d.unassigned_reason IS DISTINCT FROM $4
  AND {AT_CLOSED_STORE}
ORDER BY d.created_at LIMIT {TOLD_MAX}
"""

_BEFORE_PICKUP: Final = f"""{_DELIVERY}
WHERE d.operator_id = $1 AND d.status = ANY($4) ORDER BY d.driver_id, d.id
"""

_DRIVERS: Final = """
SELECT dr.id, dr.vehicle, dr.pool, dr.state, dr.skills,
       EXISTS (SELECT FROM offers o WHERE o.driver_id = dr.id AND o.status = 'sent') AS has_offer,
       (SELECT count(*) FILTER (WHERE last.status = 'expired') FROM (
          SELECT o.status FROM offers o WHERE o.driver_id = dr.id AND o.status IN ('accepted', 'declined', 'expired')
            AND o.answered_at > greatest($4, dr.state_since) ORDER BY o.answered_at DESC LIMIT $5) last) AS missed,
       (SELECT coalesce(jsonb_object_agg(a.business_id, a.priority), '{}')
        FROM driver_business_assignments a WHERE a.driver_id = dr.id) AS priorities,
       (SELECT min(r.start_at) FROM planned_routes r WHERE r.driver_id = dr.id) AS planned_from,
       (SELECT count(*) FROM deliveries d
        WHERE d.driver_id = dr.id AND d.status = 'delivered' AND d.finished_at > $2) AS jobs_done,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
            'delivery_id', d.id, 'business_id', d.business_id, 'kind', s.kind, 'lat', s.lat, 'lng', s.lng,
            'store_id', d.store_id, 'ready_s', extract(epoch FROM coalesce(d.was_ready_at, d.ready_at)),
            'was_ready', d.was_ready_at IS NOT NULL, 'promised_s', extract(epoch FROM d.promised_at), 'size', d.size
          ) ORDER BY s.route_position, s.id), '[]')
        FROM stops s JOIN deliveries d ON d.business_id = s.business_id AND d.id = s.delivery_id
        WHERE s.driver_id = dr.id AND s.done_at IS NULL AND d.status = ANY($3)) AS route
FROM driver_profiles dr WHERE dr.operator_id = $1 AND dr.state IN ('available', 'busy') ORDER BY dr.id
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One operator as of now: what waits for a driver, what is held and why, and what to ask the engine."""

    policies: Policies
    jobs: list[Record]
    held: list[tuple[Record, UnassignedReason]]
    question: Question | None


async def take(db: Database, live: LivePositions, models: Models, operator_id: UUID, now: datetime) -> Snapshot:
    """Look at one operator; there is no question when nothing waits. Platform path."""
    async with db.platform_tx(Reason.DISPATCH_TICK, readonly=True) as con:
        policies = await policy.load(con, operator_id)
        usual = policies.operator
        asked = (operator_id, now, usual.decline_cooldown_s)
        waiting = await _waiting(con, asked, usual)
        manual = await con.fetch(_FOR_A_DISPATCHER, *asked, usual.mode.value, MANUAL)
        closed = await con.fetch(_AT_CLOSED_STORES, *asked, STORE_CLOSED)
        jobs, paused = await zones.without_paused(con, operator_id, waiting, now)
        bound = await con.fetch(_BEFORE_PICKUP, *asked, [s.value for s in BEFORE_PICKUP]) if jobs else []
        drivers = await _on_shift(con, operator_id, policies, now) if jobs else []
        model = await models.of(con, operator_id)
    held = [(row, STORE_CLOSED) for row in closed]
    held += [(row, MANUAL) for row in manual] + [(row, ZONE_PAUSED) for row in paused]
    kept = [row for rows in _joinable(jobs, bound, drivers, policies).values() for row in rows]
    question = await _question(live, operator_id, jobs, kept, drivers, policies, model, now) if jobs else None
    return Snapshot(policies, jobs, held, question)


async def about_one(
    db: Database, live: LivePositions, models: Models, operator_id: UUID, delivery_id: UUID, now: datetime
) -> Question:
    """Return what a tick would ask about one delivery alone, were it not pinned; raises `not_found`. Platform path."""
    async with db.platform_tx(Reason.DISPATCHER, readonly=True) as con:
        policies = await policy.load(con, operator_id)
        asked = (operator_id, now, policies.operator.decline_cooldown_s, delivery_id)
        job = one(await con.fetchrow(f"{_DELIVERY} WHERE d.operator_id = $1 AND d.id = $4", *asked), "delivery")
        drivers = await _on_shift(con, operator_id, policies, now)
        model = await models.of(con, operator_id)
    question = await _question(live, operator_id, [job], [], drivers, policies, model, now)
    free = msgspec.structs.replace(question.jobs[0], pinned_to=None)
    return msgspec.structs.replace(question, jobs=(free,))


async def about_all(db: Database, live: LivePositions, models: Models, operator_id: UUID, now: datetime) -> Question:
    """Return what a tick would ask, of all drivers on shift, near the work or not. Platform path."""
    async with db.platform_tx(Reason.DRIVER_MOVES, readonly=True) as con:
        policies = await policy.load(con, operator_id)
        asked = (operator_id, now, policies.operator.decline_cooldown_s)
        waiting = await _waiting(con, asked, policies.operator)
        jobs, _ = await zones.without_paused(con, operator_id, waiting, now)
        drivers = await _on_shift(con, operator_id, policies, now)
        model = await models.of(con, operator_id)
    return await _question(live, operator_id, jobs, [], drivers, policies, model, now, everybody=True)


async def _waiting(con: Connection, asked: tuple[UUID, datetime, int], usual: Policy) -> list[Record]:
    """Return what waits for a driver, the oldest first; of very much not all, and not always the same."""
    until = asked[1] + timedelta(seconds=LEAD_S)
    rows = await con.fetch(_JOBS, *asked, until, usual.mode.value, JOBS_MAX)
    return sorted(rows, key=lambda row: (row["created_at"], row["id"]))


async def _on_shift(con: Connection, operator_id: UUID, policies: Policies, now: datetime) -> list[Record]:
    return await con.fetch(
        _DRIVERS,
        operator_id,
        now - timedelta(hours=FAIRNESS_WINDOW_H),
        [s.value for s in WITH_DRIVER],
        now - timedelta(seconds=policies.operator.decline_cooldown_s),
        MISSED_MAX,
    )


async def _question(
    live: LivePositions,
    operator_id: UUID,
    jobs: list[Record],
    kept: list[Record],
    drivers: list[Record],
    policies: Policies,
    model: Model,
    now: datetime,
    *,
    everybody: bool = False,
) -> Question:
    pickups = [Point(row["p_lat"], row["p_lng"]) for row in jobs]
    asked = [row for row in drivers if row["has_offer"]]
    able = [row for row in drivers if not row["has_offer"] and row["missed"] < MISSED_MAX]
    found = await live.nearest(operator_id, pickups, count=NEAREST_COUNT + len(asked), now_ms=to_ms(now))
    near = {driver for place in found for driver, _ in place} | {row["pinned_driver_id"] for row in jobs}
    wanted = [row for row in able if everybody or row["id"] in near or row["pool"] == "dedicated"] or able
    seen = await live.positions(operator_id, [row["id"] for row in wanted])
    oldest_ms = to_ms(now) - STALE_AFTER_MS
    fresh = [row for row in wanted if row["id"] in seen and seen[row["id"]].t_ms >= oldest_ms]
    bound: dict[UUID, list[UUID]] = {}
    waits_s: dict[UUID, int] = {}
    for row in kept:
        bound.setdefault(row["driver_id"], []).append(row["id"])
        if row["p_arrived_at"] is not None:
            waits_s[row["driver_id"]] = max(waits_s.get(row["driver_id"], 0), -_seconds_to(row["p_arrived_at"], now))
    limits = policies.operator.vehicles
    left_out = {
        Exclusion.BUSY.value: len(asked),
        Exclusion.STALE_POSITION.value: len(wanted) - len(fresh),
        Exclusion.NOT_ANSWERING.value: len(drivers) - len(asked) - len(able),
    }
    return Question(
        now_ms=to_ms(now),
        drivers=tuple(
            LiveDriver(
                id=row["id"],
                at=Point(seen[row["id"]].lat, seen[row["id"]].lng),
                vehicle=Vehicle(row["vehicle"]),
                pool=row["pool"],
                business_priority={UUID(key): value for key, value in row["priorities"].items()},
                jobs_done=row["jobs_done"],
                skills=frozenset(row["skills"]),
                capacity=limits[Vehicle(row["vehicle"])].capacity,
                distance_m_max=limits[Vehicle(row["vehicle"])].distance_m_max,
                off_in_s=None if row["planned_from"] is None else _seconds_to(row["planned_from"], now),
                route=() if row["id"] in bound else tuple(_stop(stop, model, now) for stop in row["route"]),
                takes_on_the_way=all(policies.of(UUID(stop["business_id"])).several_stores for stop in row["route"]),
                keeps=tuple(bound.get(row["id"], ())),
                waits_s=waits_s.get(row["id"], 0),
            )
            for row in fresh
        ),
        jobs=tuple(
            OpenJob(
                id=row["id"],
                business_id=row["business_id"],
                pickup=Point(row["p_lat"], row["p_lng"]),
                dropoff=Point(row["q_lat"], row["q_lng"]),
                ready_in_s=_ready_in_s(
                    model, row["store_id"], row["was_ready_at"] or row["ready_at"], row["was_ready_at"] is not None, now
                ),
                promised_in_s=_seconds_to(row["promised_at"], now),
                uses_shared_pool=row["uses_shared_pool"],
                waited_s=max(0, round((now - row["created_at"]).total_seconds())),
                stack_max=policies.of(row["business_id"]).stack_max,
                declined=frozenset((*row["declined"], *row["kept_from"])),
                pinned_to=row["pinned_driver_id"],
                needs=frozenset(row["needs"]),
                size=row["size"],
                distance_m=row["distance_m"],
                pickup_until_in_s=row["pickup_until"] and _seconds_to(row["pickup_until"], now),
                dropoff_from_in_s=row["dropoff_from"] and _seconds_to(row["dropoff_from"], now),
                several_stores=policies.of(row["business_id"]).several_stores,
            )
            for row in (*jobs, *kept)
        ),
        epoch_s=EPOCH_S,
        lead_s=OFFER_LEAD_S,
        left_out={reason: count for reason, count in left_out.items() if count},
        weights=policies.operator.weights,
        business_weights=policies.weights(),
        pickup_service_s=model.learned.hand_over_s(StopKind.PICKUP, prior_s=STOP_SERVICE_S),
        dropoff_service_s=model.learned.hand_over_s(StopKind.DROPOFF, prior_s=STOP_SERVICE_S),
        rides=model.learned.rides(model.local(now)),
    )


def _joinable(
    jobs: list[Record], bound: list[Record], drivers: list[Record], policies: Policies
) -> dict[UUID, list[Record]]:
    """Return the drivers on their way to a store with nothing aboard, where more work waits, and what they have.

    They are not diverted and lose nothing, but may be asked to take more at the same store.
    """
    waiting = {(row["p_lat"], row["p_lng"]) for row in jobs}
    stops_left = {row["id"]: len(row["route"]) for row in drivers}
    mine: dict[UUID, list[Record]] = {}
    for row in bound:
        mine.setdefault(row["driver_id"], []).append(row)
    return {
        driver_id: rows
        for driver_id, rows in mine.items()
        if {(row["p_lat"], row["p_lng"]) for row in rows} <= waiting
        and len({(row["p_lat"], row["p_lng"]) for row in rows}) == 1
        and stops_left.get(driver_id) == 2 * len(rows)
        and len(rows) < min(policies.of(row["business_id"]).stack_max for row in rows)
    }


def _stop(stop: dict[str, Any], model: Model, now: datetime) -> LiveStop:
    store_id = stop["store_id"] and UUID(stop["store_id"])
    ready_at = datetime.fromtimestamp(stop["ready_s"], UTC)
    return LiveStop(
        delivery_id=UUID(stop["delivery_id"]),
        kind=stop["kind"],
        at=Point(stop["lat"], stop["lng"]),
        ready_in_s=_ready_in_s(model, store_id, ready_at, stop["was_ready"], now),
        promised_in_s=round(stop["promised_s"] - now.timestamp()),
        size=stop["size"],
    )


def _ready_in_s(model: Model, store_id: UUID | None, ready_at: datetime, was_ready: bool, now: datetime) -> int:
    """Return when goods will be ready: a store that was late at this hour will be late again.

    What was ready is: also by a clock that was set back since.
    """
    if was_ready:
        return min(0, _seconds_to(ready_at, now))
    return _seconds_to(ready_at, now) + model.learned.ready_late_s(store_id, model.local(ready_at))


def _seconds_to(at: datetime, now: datetime) -> int:
    return round((at - now).total_seconds())
