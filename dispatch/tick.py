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
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from dispatch import markets, offers, planned, snapshot
from dispatch.alerts import Alert, AlertCode, settle
from dispatch.decisions import Outcome, keep_decision, note, note_open, terms
from dispatch.engine.bundles import Trip
from dispatch.engine.explain import Candidate, Explanation
from dispatch.engine.problem import Problem
from dispatch.eta_models import Models
from dispatch.planner import Planner
from dispatch.policy import Mode, Policy
from dispatch.snapshot import EPOCH_S, Snapshot
from dispatch.standin import StandIn
from dispatch.worker import Answer, LiveDriver, Question
from kernel import metrics
from kernel.clock import Clock
from kernel.db import AWAY, Database, Reason
from kernel.log import get_logger
from tracking.live import LivePositions

log = get_logger(__name__)

OF_PLANNER: Final = (AlertCode.PLANNER_DOWN, AlertCode.TRAVEL_TIMES_DOWN)
SETTLE_S: Final = 0.05
TICKS_KEPT: Final = 600


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
        self._models = Models()
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
                async with asyncio.timeout(EPOCH_S):
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
        await planned.offer_due(self._db, self._live, operator_id, now)
        with metrics.tick_seconds.labels("snapshot").time():
            seen = await snapshot.take(self._db, self._live, self._models, operator_id, now)
        for row, reason in seen.held:
            if row["unassigned_reason"] != msgspec.to_builtins(reason):
                async with self._db.platform_tx(Reason.DISPATCH_TICK) as con:
                    await note(con, row, reason, None, now)
        if seen.question is None:
            return None
        questions = markets.split(seen.question)
        with metrics.tick_seconds.labels("plan").time():
            answers = await self._planner.answer(questions)
        await self._tell_alerts(operator_id, answers, now)
        if answers is None:
            return None
        with metrics.tick_seconds.labels("commit").time():
            pairs = zip(questions, answers, strict=True)
            return sum([await self._commit(operator_id, seen, question, answer, now) for question, answer in pairs])

    async def question_about(self, operator_id: UUID, delivery_id: UUID) -> Question:
        """Return what a tick would ask about one delivery alone, were it not pinned; raises `not_found`."""
        return await snapshot.about_one(self._db, self._live, self._models, operator_id, delivery_id, self._clock.now())

    async def _tell_alerts(self, operator_id: UUID, answers: list[Answer] | None, now: datetime) -> None:
        """Raise or end what this process knows about its planner, when that is another than before."""
        down = [AlertCode.PLANNER_DOWN] if self._planner.down else []
        if answers is not None and any(answer.travel_down for answer in answers):
            down.append(AlertCode.TRAVEL_TIMES_DOWN)
        if self._told.get(operator_id) == down or (answers is None and not down):
            return
        async with self._db.platform_tx(Reason.DISPATCH_TICK) as con:
            await settle(con, operator_id, OF_PLANNER, [Alert(code) for code in down], now)
        self._told[operator_id] = down

    async def _commit(
        self, operator_id: UUID, seen: Snapshot, question: Question, answer: Answer, now: datetime
    ) -> int:
        """Offer what can't wait; say on the board what is planned and what nobody can take."""
        sent = 0
        waiting = {row["id"]: row for row in seen.jobs}
        names = [job.id for job in question.jobs]
        explained = {names[why.job]: why for why in answer.explanations if names[why.job] in waiting}
        for route in answer.plan.routes:
            trip = route.trips[0]
            new = [names[job] for job in trip.jobs if names[job] in waiting]
            if not route.commit or not new:
                continue
            rows = [waiting[name] for name in new]
            why = [explained.pop(name) for name in new]
            chosen = why[0].chosen
            assert chosen is not None
            its = seen.policies.of(rows[0]["business_id"])
            stops = _stops(trip, answer.problem, question.drivers[route.driver])
            joins = [names[job] for job in trip.jobs if names[job] not in waiting]
            several = _others(its, why[0]) if len(stops) == 2 else []
            async with self._db.platform_tx(Reason.DISPATCH_TICK) as con:
                offer_of = await offers.send(
                    con,
                    operator_id=operator_id,
                    asked={who.driver_id: terms(rows, stops, joins, who.to_pickup_s) for who in (chosen, *several)},
                    deliveries=[(row["id"], row["version"]) for row in rows],
                    ttl_s=its.offer_ttl_s,
                    now=self._clock.now(),
                )
                if offer_of:
                    offer_id = offer_of.get(chosen.driver_id, next(iter(offer_of.values())))
                    for row, explanation in zip(rows, why, strict=True):
                        await keep_decision(
                            con, row, Outcome.OFFERED, chosen.driver_id, explanation, now, offer_id=offer_id
                        )
                    sent += len(offer_of)
        for name, explanation in explained.items():
            async with self._db.platform_tx(Reason.DISPATCH_TICK) as con:
                await note_open(con, waiting[name], explanation, now)
        return sent


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


def _others(its: Policy, why: Explanation) -> list[Candidate]:
    """Return who else is asked for a delivery that several are asked for: the next best with nothing else planned."""
    if its.mode is not Mode.OFFER_TO_SEVERAL:
        return []
    return [who for who in why.runners_up if not who.took_other_job][: its.offer_to_count - 1]
