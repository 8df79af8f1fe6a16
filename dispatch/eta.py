"""When it will be there: each open delivery's arrival times, told to people only when they change enough to matter."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from dispatch.delivery import WITH_DRIVER
from dispatch.planner import Planner
from geo.eta import Eta, Leg, eta_chain, shown_range
from geo.point import Point
from geo.travel import Vehicle
from kernel.clock import Clock
from kernel.db import Database, Reason, Record
from kernel.events import EventType, event
from kernel.outbox import emit
from tracking.live import LivePositions

CHANGE_MIN_S: Final = 120
CHANGE_SHARE: Final = 0.2
PICKUP_SERVICE_S: Final = 60
BEFORE_PICKUP: Final = ("assigned", "en_route_to_pickup", "arrived_at_pickup")

_ACTIVE: Final = """
SELECT d.id, d.operator_id, d.business_id, d.version, d.status, d.driver_id, d.ready_at, d.eta_dropoff_p50,
       dr.vehicle, p.lat AS p_lat, p.lng AS p_lng, q.lat AS q_lat, q.lng AS q_lng
FROM deliveries d
JOIN driver_profiles dr ON dr.id = d.driver_id
JOIN stops p ON p.business_id = d.business_id AND p.delivery_id = d.id AND p.kind = 'pickup'
JOIN stops q ON q.business_id = d.business_id AND q.delivery_id = d.id AND q.kind = 'dropoff'
WHERE d.status = ANY($1) ORDER BY d.operator_id, d.id
"""


class EtaKeeper:
    """Recomputes the arrival times of deliveries under way."""

    def __init__(self, db: Database, live: LivePositions, planner: Planner, clock: Clock, source: str) -> None:
        self._db = db
        self._live = live
        self._planner = planner
        self._clock = clock
        self._source = source

    async def refresh(self) -> int:
        """Look at every delivery under way; return how many arrival times changed for people."""
        async with self._db.platform_tx(Reason.LIVE_ETA, readonly=True) as con:
            rows = await con.fetch(_ACTIVE, [status.value for status in WITH_DRIVER])
        changed = 0
        by_operator: dict[UUID, list[Record]] = {}
        for row in rows:
            by_operator.setdefault(row["operator_id"], []).append(row)
        for operator_id, active in by_operator.items():
            changed += await self._refresh(operator_id, active)
        return changed

    async def _refresh(self, operator_id: UUID, rows: list[Record]) -> int:
        seen = await self._live.positions(operator_id, [row["driver_id"] for row in rows])
        located = [row for row in rows if row["driver_id"] in seen]
        legs: list[tuple[Point, Point, Vehicle]] = []
        for row in located:
            here = Point(seen[row["driver_id"]].lat, seen[row["driver_id"]].lng)
            pickup, dropoff = Point(row["p_lat"], row["p_lng"]), Point(row["q_lat"], row["q_lng"])
            vehicle = Vehicle(row["vehicle"])
            if row["status"] in BEFORE_PICKUP:
                legs += [(here, pickup, vehicle), (pickup, dropoff, vehicle)]
            else:
                legs.append((here, dropoff, vehicle))
        seconds = iter(await self._planner.leg_seconds(legs))
        changed = 0
        now = self._clock.now()
        for row in located:
            if row["status"] in BEFORE_PICKUP:
                there = row["status"] == "arrived_at_pickup"
                ready_in_s = round((row["ready_at"] - now).total_seconds())
                travel_s = next(seconds)
                first = Leg(0 if there else travel_s, ready_in_s, PICKUP_SERVICE_S)
                etas = eta_chain([first, Leg(next(seconds))])
                changed += await self._keep(row, None if there else etas[0], etas[1], now)
            else:
                there = row["status"] == "arrived_at_dropoff"
                travel_s = next(seconds)
                changed += await self._keep(row, None, eta_chain([Leg(0 if there else travel_s)])[0], now)
        return changed

    async def _keep(self, row: Record, pickup: Eta | None, dropoff: Eta, now: datetime) -> bool:
        if not matters(row["eta_dropoff_p50"], now + timedelta(seconds=dropoff.p50_s), now):
            return False
        pickup_range: tuple[Any, Any] = (None, None) if pickup is None else shown_range(now, pickup)
        async with self._db.platform_tx(Reason.LIVE_ETA) as con:
            kept = await con.fetchval(
                """UPDATE deliveries SET eta_pickup_p50 = $3, eta_pickup_p90 = $4, eta_dropoff_p50 = $5,
                     eta_dropoff_p90 = $6, eta_source = $7 WHERE id = $1 AND version = $2 RETURNING 1""",
                row["id"],
                row["version"],
                *pickup_range,
                *shown_range(now, dropoff),
                self._source,
            )
            if not kept:
                return False
            await emit(
                con,
                event(
                    EventType.DELIVERY_ETA_CHANGED,
                    at=now,
                    operator_id=row["operator_id"],
                    business_id=row["business_id"],
                    subject=row["id"],
                    sequence=row["version"],
                ),
            )
        return True


def matters(shown: datetime | None, fresh: datetime, now: datetime) -> bool:
    """Say whether people should be told: the arrival moved by over two minutes and a fifth of what is left."""
    if shown is None:
        return True
    moved_s = abs((fresh - shown).total_seconds())
    return moved_s > max(CHANGE_MIN_S, CHANGE_SHARE * max(0.0, (shown - now).total_seconds()))
