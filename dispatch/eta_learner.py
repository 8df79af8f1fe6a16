"""Learns from deliveries that ended, a batch at a time: read, ask for the provider's times, then save at once.

A delivery teaches once: the mark that it did commits with what was learned, on the very version it was learned from.
"""

from __future__ import annotations

from uuid import UUID

from dispatch.eta_lessons import Driving, drivings, estimates, finished, ride_lessons, sane, settle, stop_lessons
from dispatch.eta_models import Models, save
from dispatch.learning import Lesson, learn
from dispatch.planner import Planner, PlannerAway
from geo.point import as_array
from geo.travel import CrowFlies
from kernel.clock import Clock
from kernel.db import AWAY, Database, Reason
from kernel.log import get_logger
from tracking.driven import driven

log = get_logger(__name__)


class EtaLearner:
    """Learns for every operator; several processes may, and what one of them learned the others drop."""

    def __init__(self, db: Database, planner: Planner, clock: Clock) -> None:
        self._db = db
        self._planner = planner
        self._clock = clock
        self._models = Models()

    async def learn(self) -> int:
        """Learn from one batch of each operator; return from how many deliveries."""
        async with self._db.platform_tx(Reason.LIVE_ETA, readonly=True) as con:
            operators = [row["id"] for row in await con.fetch("SELECT id FROM operators ORDER BY id")]
        return sum([await self._survive(operator_id) for operator_id in operators])

    async def _survive(self, operator_id: UUID) -> int:
        """Learn; what goes wrong with one operator is told and does not reach the others."""
        try:
            return await self._learn(operator_id)
        except AWAY:
            raise  # the database is away for everybody
        except Exception as error:
            log.error("eta_learning_failed", operator_id=str(operator_id), exc_info=error)
            return 0

    async def _learn(self, operator_id: UUID) -> int:
        now = self._clock.now()
        async with self._db.platform_tx(Reason.LIVE_ETA, readonly=True) as con:
            # The model before the rows: whoever reads rows that have taught since has an old version too.
            model = await self._models.of(con, operator_id)
            rows = await finished(con, operator_id, now)
            if not rows:
                return 0
            delivery_ids = list(dict.fromkeys(row["id"] for row in rows))
            rides = drivings(rows)
            paths = await driven(con, [(ride.driver_id, ride.since, ride.until) for ride in rides])
            arrivals = await estimates(con, delivery_ids)
        rides = [ride for ride, path in zip(rides, paths, strict=True) if sane(ride, path)]
        try:
            lessons = await self._of_rides(rides, model.time_zone)
        except PlannerAway:  # they are there next time
            return 0
        learned = learn(model.learned, [*lessons, *stop_lessons(rows), *arrivals])
        async with self._db.platform_tx(Reason.LIVE_ETA) as con:
            if not await save(con, operator_id, learned, after=model.version, now=now):
                return 0
            await settle(con, delivery_ids)
        log.info("eta_learned", deliveries=len(delivery_ids), rides=len(rides), arrivals=len(arrivals))
        return len(delivery_ids)

    async def _of_rides(self, rides: list[Driving], time_zone: str) -> list[Lesson]:
        """Return what rides teach about the provider, and about the straight line that stands in for it."""
        times = await self._planner.leg_seconds([(ride.start, ride.end, ride.vehicle) for ride in rides])
        lessons = ride_lessons(rides, times.seconds, times.source, time_zone)
        if times.source != CrowFlies.source:
            lessons += ride_lessons(rides, [_crow_s(ride) for ride in rides], CrowFlies.source, time_zone)
        return lessons


def _crow_s(ride: Driving) -> int:
    return int(CrowFlies().seconds(as_array([ride.start]), as_array([ride.end]), ride.vehicle)[0, 0])
