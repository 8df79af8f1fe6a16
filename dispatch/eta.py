"""When it will be there: each open delivery's arrival times, told to people only when they change enough to matter."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from dispatch.delivery import BEFORE_PICKUP, WITH_DRIVER
from dispatch.planner import Planner, PlannerAway
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
STOP_SERVICE_S: Final = 60
ARRIVED: Final = {"p": "arrived_at_pickup", "q": "arrived_at_dropoff"}

_ACTIVE: Final = """
SELECT d.id, d.operator_id, d.business_id, d.version, d.status, d.driver_id, d.ready_at, d.eta_dropoff_p50,
       dr.vehicle, p.lat AS p_lat, p.lng AS p_lng, q.lat AS q_lat, q.lng AS q_lng,
       p.route_position AS p_position, q.route_position AS q_position
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
        by_driver: dict[UUID, list[Record]] = {}
        for row in rows:
            if row["driver_id"] in seen:
                by_driver.setdefault(row["driver_id"], []).append(row)
        routes = {driver_id: _stops(own) for driver_id, own in by_driver.items()}
        legs: list[tuple[Point, Point, Vehicle]] = []
        for driver_id, stops in routes.items():
            here = Point(seen[driver_id].lat, seen[driver_id].lng)
            for row, kind in stops:
                there = Point(row[f"{kind}_lat"], row[f"{kind}_lng"])
                legs.append((here, there, Vehicle(row["vehicle"])))
                here = there
        try:
            seconds = iter(await self._planner.leg_seconds(legs))
        except PlannerAway:  # what people were told stays; the dispatcher raises the alert
            return 0
        changed = 0
        now = self._clock.now()
        for stops in routes.values():
            chain = []
            for position, (row, kind) in enumerate(stops):
                travel_s = next(seconds)
                arrived = position == 0 and row["status"] == ARRIVED[kind]
                not_before_s = round((row["ready_at"] - now).total_seconds()) if kind == "p" else 0
                last = position == len(stops) - 1
                chain.append(Leg(0 if arrived else travel_s, not_before_s, 0 if last else STOP_SERVICE_S))
            etas = {(row["id"], kind): eta for (row, kind), eta in zip(stops, eta_chain(chain), strict=True)}
            for row, kind in stops:
                if kind == "q":
                    pickup = None if row["status"] == "arrived_at_pickup" else etas.get((row["id"], "p"))
                    changed += await self._keep(row, pickup, etas[row["id"], "q"], now)
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


def _stops(rows: list[Record]) -> list[tuple[Record, str]]:
    """Return a driver's stops still to serve, in order: (delivery, `p` for its pickup or `q` for its door)."""
    stops = [(row["q_position"] or 0, row, "q") for row in rows]
    stops += [(row["p_position"] or 0, row, "p") for row in rows if row["status"] in BEFORE_PICKUP]
    return [(row, kind) for _, row, kind in sorted(stops, key=lambda stop: (stop[0], stop[2], stop[1]["id"]))]


def matters(shown: datetime | None, fresh: datetime, now: datetime) -> bool:
    """Say whether people should be told: the arrival moved by over two minutes and a fifth of what is left."""
    if shown is None:
        return True
    moved_s = abs((fresh - shown).total_seconds())
    return moved_s > max(CHANGE_MIN_S, CHANGE_SHARE * max(0.0, (shown - now).total_seconds()))
