"""The dispatcher: snapshot → plan → commit, once a second and as soon as something changed, for each operator.

One dispatcher works at a time on an operator (a lock), but correctness does not rest on that: each offer is committed
with a version check, and the database itself refuses a second holder of a delivery.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatch import offers, policy, zones
from dispatch.alerts import Alert, AlertCode, settle
from dispatch.decisions import OFFER_LEAD_S, keep_decision, note, note_open, terms
from dispatch.delivery import BEFORE_PICKUP, WITH_DRIVER
from dispatch.engine.bundles import Trip
from dispatch.engine.candidates import Exclusion
from dispatch.engine.explain import Candidate, Explanation
from dispatch.engine.problem import REACH_MAX_S, Problem
from dispatch.offer import MISSED_MAX
from dispatch.planner import Planner
from dispatch.policy import Mode, Policies, Policy
from dispatch.standin import StandIn
from dispatch.unassigned import OpenCode, UnassignedReason
from dispatch.worker import Answer, LiveDriver, LiveStop, OpenJob, Question
from geo.point import Point
from geo.travel import Vehicle
from kernel import metrics
from kernel.clock import Clock, to_ms
from kernel.db import AWAY, Connection, Database, Reason, Record, one
from kernel.log import get_logger
from tracking.live import STALE_AFTER_MS, LivePositions

log = get_logger(__name__)

PERIOD_S: Final = 1.0
OF_PLANNER: Final = (AlertCode.PLANNER_DOWN, AlertCode.TRAVEL_TIMES_DOWN)
SETTLE_S: Final = 0.05
LEAD_S: Final = 900
JOBS_MAX: Final = 500
MANUAL: Final = UnassignedReason(OpenCode.MANUAL)
ZONE_PAUSED: Final = UnassignedReason(OpenCode.ZONE_PAUSED)
TOLD_MAX: Final = 100
"""How many deliveries of a manual business are marked as such in one tick."""
HELD_MAX_S: Final = 900
"""No delivery is held longer than this, also when the clock was turned back meanwhile."""
NEAREST_COUNT: Final = 24
TICKS_KEPT: Final = 600
FAIRNESS_WINDOW_H: Final = 8

_DELIVERY: Final = """
SELECT d.id, d.operator_id, d.business_id, d.version, d.ready_at, d.promised_at, d.uses_shared_pool, d.created_at,
       d.driver_pay_minor, d.tip_minor, d.currency, d.distance_m, d.unassigned_reason, d.driver_id,
       d.pinned_driver_id, d.kept_from, d.needs, d.size, d.pickup_until, d.dropoff_from, b.name AS business_name,
       p.lat AS p_lat, p.lng AS p_lng, p.name AS p_name, p.address AS p_address,
       q.lat AS q_lat, q.lng AS q_lng, q.address AS q_address,
       ARRAY(SELECT o.driver_id FROM offer_deliveries od JOIN offers o ON o.id = od.offer_id
             WHERE od.delivery_id = d.id AND o.status IN ('declined', 'expired')
             AND o.answered_at > $2::timestamptz
                 - make_interval(secs => coalesce((b.policy->>'decline_cooldown_s')::int, $3))) AS declined
FROM deliveries d
JOIN businesses b ON b.id = d.business_id
JOIN stops p ON p.business_id = d.business_id AND p.delivery_id = d.id AND p.kind = 'pickup'
JOIN stops q ON q.business_id = d.business_id AND q.delivery_id = d.id AND q.kind = 'dropoff'
"""

_JOBS: Final = f"""{_DELIVERY}
WHERE d.operator_id = $1 AND d.status = 'pending'
  AND greatest(d.ready_at, d.dropoff_from - make_interval(secs => {REACH_MAX_S})) <= $4
  AND (d.pinned_driver_id IS NOT NULL OR coalesce(b.policy->>'mode', $5) <> 'manual')
  AND (d.retry_at IS NULL OR d.retry_at NOT BETWEEN $2 AND $2 + make_interval(secs => {HELD_MAX_S}))
  AND NOT EXISTS (SELECT FROM stores s
                  WHERE s.business_id = d.business_id AND s.id = d.store_id AND s.closed_since IS NOT NULL)
ORDER BY d.unassigned_reason IS NOT NULL,
  row_number() OVER (PARTITION BY d.business_id, d.unassigned_reason IS NOT NULL ORDER BY d.created_at, d.id),
  d.created_at, d.id
LIMIT {JOBS_MAX}
"""

_FOR_A_DISPATCHER: Final = f"""{_DELIVERY}
WHERE d.operator_id = $1 AND d.status = 'pending' AND d.pinned_driver_id IS NULL
  AND coalesce(b.policy->>'mode', $4) = 'manual' AND d.unassigned_reason IS DISTINCT FROM $5
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
       (SELECT count(*) FROM deliveries d
        WHERE d.driver_id = dr.id AND d.status = 'delivered' AND d.finished_at > $2) AS jobs_done,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
            'delivery_id', d.id, 'business_id', d.business_id, 'kind', s.kind, 'lat', s.lat, 'lng', s.lng,
            'ready_s', extract(epoch FROM d.ready_at), 'promised_s', extract(epoch FROM d.promised_at), 'size', d.size
          ) ORDER BY s.route_position, s.id), '[]')
        FROM stops s JOIN deliveries d ON d.business_id = s.business_id AND d.id = s.delivery_id
        WHERE s.driver_id = dr.id AND s.done_at IS NULL AND d.status = ANY($3)) AS route
FROM driver_profiles dr WHERE dr.operator_id = $1 AND dr.state IN ('available', 'busy') ORDER BY dr.id
"""


class Dispatcher:
    """Gives work to drivers, operator by operator."""

    def __init__(
        self,
        db: Database,
        live: LivePositions,
        planner: Planner,
        clock: Clock,
        *,
        on_alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._db = db
        self._live = live
        self._planner = StandIn(planner)
        self._clock = clock
        self._on_alive = on_alive
        self._wake = asyncio.Event()
        self._told: dict[UUID, list[AlertCode]] = {}
        self.tick_ms: deque[float] = deque(maxlen=TICKS_KEPT)
        """How long the last ticks that had work took, in milliseconds."""

    def wake(self) -> None:
        """Something changed: do not wait for the next period."""
        self._wake.set()

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PERIOD_S):
                    await self._wake.wait()
                await asyncio.sleep(SETTLE_S)
            self._wake.clear()
            async with self._db.platform_tx(Reason.DISPATCH_TICK, readonly=True) as con:
                operators = [row["id"] for row in await con.fetch("SELECT id FROM operators ORDER BY id")]
            for operator_id in operators:
                await self._survive(operator_id)
            self._on_alive()

    async def _survive(self, operator_id: UUID) -> None:
        """Tick; what goes wrong with one operator is told and does not reach the others."""
        try:
            await self.tick(operator_id)
        except AWAY:
            raise  # the database is away for everybody
        except Exception as error:
            metrics.ticks_failed.inc()
            log.error("tick_failed", operator_id=str(operator_id), exc_info=error)

    async def tick(self, operator_id: UUID) -> int:
        """Look, plan and send offers once for one operator; return how many were sent."""
        started = time.perf_counter()
        async with self._db.platform_connection(Reason.DISPATCH_TICK) as lease:
            name = f"dispatch:{operator_id}"
            if not await lease.fetchval("SELECT pg_try_advisory_lock(hashtext($1))", name):
                return 0
            try:
                sent = await self._tick(operator_id)
            finally:
                if not lease.is_closed():
                    await lease.execute("SELECT pg_advisory_unlock(hashtext($1))", name)
        if sent is not None:
            self.tick_ms.append((time.perf_counter() - started) * 1000)
        return sent or 0

    async def _tick(self, operator_id: UUID) -> int | None:
        now = self._clock.now()
        with metrics.tick_seconds.labels("snapshot").time():
            async with self._db.platform_tx(Reason.DISPATCH_TICK, readonly=True) as con:
                policies = await policy.load(con, operator_id)
                usual = policies.operator
                asked = (operator_id, now, usual.decline_cooldown_s)
                waiting = await con.fetch(_JOBS, *asked, now + timedelta(seconds=LEAD_S), usual.mode.value)
                manual = await con.fetch(_FOR_A_DISPATCHER, *asked, usual.mode.value, MANUAL)
                jobs, paused = await zones.without_paused(con, operator_id, waiting, now)
                bound = await con.fetch(_BEFORE_PICKUP, *asked, [s.value for s in BEFORE_PICKUP]) if jobs else []
                drivers = await self._on_shift(con, operator_id, policies, now) if jobs else []
            for rows, reason in ((manual, MANUAL), (paused, ZONE_PAUSED)):
                for row in (row for row in rows if row["unassigned_reason"] != msgspec.to_builtins(reason)):
                    async with self._db.platform_tx(Reason.DISPATCH_TICK) as con:
                        await note(con, row, reason, None, now)
            if not jobs:
                return None
            joining = _joinable(jobs, bound, drivers, policies)
            kept = [row for rows in joining.values() for row in rows]
            question = await self._question(operator_id, jobs, kept, drivers, policies, now)
        with metrics.tick_seconds.labels("plan").time():
            answer = await self._planner.answer(question)
        await self._tell_alerts(operator_id, answer, now)
        if answer is None:
            return None
        with metrics.tick_seconds.labels("commit").time():
            return await self._commit(operator_id, jobs, question, answer, policies, now)

    async def question_about(self, operator_id: UUID, delivery_id: UUID) -> Question:
        """Return what a tick would ask about one delivery alone, were it not pinned; raises `not_found`."""
        now = self._clock.now()
        async with self._db.platform_tx(Reason.DISPATCHER, readonly=True) as con:
            policies = await policy.load(con, operator_id)
            asked = (operator_id, now, policies.operator.decline_cooldown_s, delivery_id)
            job = one(await con.fetchrow(f"{_DELIVERY} WHERE d.operator_id = $1 AND d.id = $4", *asked), "delivery")
            drivers = await self._on_shift(con, operator_id, policies, now)
        question = await self._question(operator_id, [job], [], drivers, policies, now)
        free = msgspec.structs.replace(question.jobs[0], pinned_to=None)
        return msgspec.structs.replace(question, jobs=(free,))

    async def _on_shift(self, con: Connection, operator_id: UUID, policies: Policies, now: datetime) -> list[Record]:
        return await con.fetch(
            _DRIVERS,
            operator_id,
            now - timedelta(hours=FAIRNESS_WINDOW_H),
            [s.value for s in WITH_DRIVER],
            now - timedelta(seconds=policies.operator.decline_cooldown_s),
            MISSED_MAX,
        )

    async def _tell_alerts(self, operator_id: UUID, answer: Answer | None, now: datetime) -> None:
        """Raise or end what this process knows about its planner, when that is another than before."""
        down = [AlertCode.PLANNER_DOWN] if self._planner.down else []
        if answer is not None and answer.travel_down:
            down.append(AlertCode.TRAVEL_TIMES_DOWN)
        if self._told.get(operator_id) == down or (answer is None and not down):
            return
        async with self._db.platform_tx(Reason.DISPATCH_TICK) as con:
            await settle(con, operator_id, OF_PLANNER, [Alert(code) for code in down], now)
        self._told[operator_id] = down

    async def _question(
        self,
        operator_id: UUID,
        jobs: list[Record],
        kept: list[Record],
        drivers: list[Record],
        policies: Policies,
        now: datetime,
    ) -> Question:
        pickups = [Point(row["p_lat"], row["p_lng"]) for row in jobs]
        asked = [row for row in drivers if row["has_offer"]]
        able = [row for row in drivers if not row["has_offer"] and row["missed"] < MISSED_MAX]
        found = await self._live.nearest(operator_id, pickups, count=NEAREST_COUNT + len(asked))
        near = {driver for place in found for driver, _ in place} | {row["pinned_driver_id"] for row in jobs}
        wanted = [row for row in able if row["id"] in near or row["pool"] == "dedicated"] or able
        seen = await self._live.positions(operator_id, [row["id"] for row in wanted])
        oldest_ms = to_ms(now) - STALE_AFTER_MS
        fresh = [row for row in wanted if row["id"] in seen and seen[row["id"]].t_ms >= oldest_ms]
        bound: dict[UUID, list[UUID]] = {}
        for row in kept:
            bound.setdefault(row["driver_id"], []).append(row["id"])
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
                    route=() if row["id"] in bound else tuple(_stop(stop, now) for stop in row["route"]),
                    takes_on_the_way=all(
                        policies.of(UUID(stop["business_id"])).several_stores for stop in row["route"]
                    ),
                    keeps=tuple(bound.get(row["id"], ())),
                )
                for row in fresh
            ),
            jobs=tuple(
                OpenJob(
                    id=row["id"],
                    business_id=row["business_id"],
                    pickup=Point(row["p_lat"], row["p_lng"]),
                    dropoff=Point(row["q_lat"], row["q_lng"]),
                    ready_in_s=_seconds_to(row["ready_at"], now),
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
            epoch_s=round(PERIOD_S),
            lead_s=OFFER_LEAD_S,
            left_out={reason: count for reason, count in left_out.items() if count},
            weights=policies.operator.weights,
            business_weights=policies.weights(),
        )

    async def _commit(
        self,
        operator_id: UUID,
        jobs: list[Record],
        question: Question,
        answer: Answer,
        policies: Policies,
        now: datetime,
    ) -> int:
        """Offer what can't wait; say on the board what is planned and what nobody can take."""
        sent = 0
        explained = {why.job: why for why in answer.explanations if why.job < len(jobs)}
        for route in answer.plan.routes:
            if not route.commit:
                continue
            new = [job for job in route.trips[0].jobs if job < len(jobs)]
            if not new:
                continue
            rows = [jobs[job] for job in new]
            why = [explained.pop(job) for job in new]
            chosen = why[0].chosen
            assert chosen is not None
            its = policies.of(rows[0]["business_id"])
            trip = route.trips[0]
            stops = _stops(trip, answer.problem, question.drivers[route.driver])
            joins = [answer.problem.jobs[job].id for job in trip.jobs if job >= len(jobs)]
            several = _others(its, why[0]) if len(stops) == 2 else []
            async with self._db.platform_tx(Reason.DISPATCH_TICK) as con:
                offer_of = await offers.send(
                    con,
                    operator_id=operator_id,
                    asked={who.driver_id: terms(rows, stops, joins, who) for who in (chosen, *several)},
                    deliveries=[(row["id"], row["version"]) for row in rows],
                    ttl_s=its.offer_ttl_s,
                    now=self._clock.now(),
                )
                if offer_of:
                    offer_id = offer_of.get(chosen.driver_id, next(iter(offer_of.values())))
                    for row, explanation in zip(rows, why, strict=True):
                        await keep_decision(con, operator_id, row, explanation, offer_id, now)
                    sent += len(offer_of)
        for explanation in explained.values():
            async with self._db.platform_tx(Reason.DISPATCH_TICK) as con:
                await note_open(con, operator_id, jobs[explanation.job], explanation, now)
        return sent


def _stop(stop: dict[str, Any], now: datetime) -> LiveStop:
    return LiveStop(
        delivery_id=UUID(stop["delivery_id"]),
        kind=stop["kind"],
        at=Point(stop["lat"], stop["lng"]),
        ready_in_s=round(stop["ready_s"] - now.timestamp()),
        promised_in_s=round(stop["promised_s"] - now.timestamp()),
        size=stop["size"],
    )


def _takes_on_the_way(driver: Record, policies: Policies) -> bool:
    return all(policies.of(UUID(stop["business_id"])).several_stores for stop in driver["route"])


def _stops(trip: Trip, problem: Problem, driver: LiveDriver) -> list[tuple[str, UUID]]:
    """Return a trip's stops in their order as (kind, delivery), with those that the driver has already between them."""
    jobs = [problem.jobs[job] for job in trip.jobs]
    pickups = [("pickup", job.id) for job in sorted(jobs, key=lambda job: job.pickup != trip.pickup)]
    doors = [("dropoff", job.id) for job in jobs]
    if trip.amid is None:
        return pickups + doors
    his = [(stop.kind, stop.delivery_id) for stop in driver.route]
    before_pickup, before_door = trip.amid
    return his[:before_pickup] + pickups + his[before_pickup:before_door] + doors + his[before_door:]


def _seconds_to(at: datetime, now: datetime) -> int:
    return round((at - now).total_seconds())


def _others(its: Policy, why: Explanation) -> list[Candidate]:
    """Return who else is asked for a delivery that several are asked for: the next best with nothing else planned."""
    if its.mode is not Mode.OFFER_TO_SEVERAL:
        return []
    return [who for who in why.runners_up if not who.took_other_job][: its.offer_to_count - 1]


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
