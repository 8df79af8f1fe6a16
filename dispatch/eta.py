"""When it will be there: each open delivery's arrival times, told to people only when they change enough to matter.

What was learned corrects each ride, kitchen and hand-over, and past errors the sum.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatch import delays
from dispatch.delivery import BEFORE_PICKUP, WITH_DRIVER, DeliveryStatus
from dispatch.eta_models import Model, Models
from dispatch.eta_predictions import Notebook, Prediction
from dispatch.learning import StopKind
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
ARRIVED: Final = {StopKind.PICKUP: "arrived_at_pickup", StopKind.DROPOFF: "arrived_at_dropoff"}
RIDING: Final = {StopKind.PICKUP: "en_route_to_pickup", StopKind.DROPOFF: "en_route_to_dropoff"}
UNDER_WAY: Final = BEFORE_PICKUP | {DeliveryStatus.PICKED_UP, DeliveryStatus.EN_ROUTE_TO_DROPOFF}
"""While a delivery is one of these its arrival is to come: it may be noted, and told that it is late."""
LEARNED: Final = "+learned"
"""Stands after the provider's name in `eta_source` where own deliveries corrected it."""

_ACTIVE: Final = """
SELECT d.id, d.operator_id, d.business_id, d.store_id, d.version, d.status, d.driver_id, d.ready_at, d.was_ready_at,
       d.promised_at, d.delay_told_s, d.eta_dropoff_p50,
       dr.vehicle, p.lat AS p_lat, p.lng AS p_lng, q.lat AS q_lat, q.lng AS q_lng,
       p.route_position AS p_position, q.route_position AS q_position
FROM deliveries d
JOIN driver_profiles dr ON dr.id = d.driver_id
JOIN stops p ON p.business_id = d.business_id AND p.delivery_id = d.id AND p.kind = 'pickup'
JOIN stops q ON q.business_id = d.business_id AND q.delivery_id = d.id AND q.kind = 'dropoff'
WHERE d.status = ANY($1) ORDER BY d.operator_id, d.id
"""


class Told(msgspec.Struct, frozen=True):
    """What one delivery's customer may be told: the arrivals, and what they were made of."""

    row: Record
    pickup: Eta | None
    dropoff: Eta
    source: str


class EtaKeeper:
    """Recomputes the arrival times of deliveries under way."""

    def __init__(self, db: Database, live: LivePositions, planner: Planner, clock: Clock) -> None:
        self._db = db
        self._live = live
        self._planner = planner
        self._clock = clock
        self._models = Models()
        self._notebook = Notebook()

    async def refresh(self) -> int:
        """Look at every open delivery; return for how many people were told something new."""
        now = self._clock.now()
        async with self._db.platform_tx(Reason.LIVE_ETA, readonly=True) as con:
            rows = await con.fetch(_ACTIVE, [status.value for status in WITH_DRIVER])
            seeking = await delays.seeking(con, now)
            by_operator: dict[UUID, list[Record]] = {}
            for row in rows:
                by_operator.setdefault(row["operator_id"], []).append(row)
            models = {operator_id: await self._models.of(con, operator_id) for operator_id in by_operator}
        changed = 0
        for operator_id, active in by_operator.items():
            changed += await self._refresh(operator_id, models[operator_id], active)
        self._notebook.forget_all_but({row["id"] for row in rows})
        for row, late_s in seeking:
            async with self._db.platform_tx(Reason.LIVE_ETA) as con:
                changed += await delays.tell(con, row, late_s, now)
        return changed

    async def _refresh(self, operator_id: UUID, model: Model, rows: list[Record]) -> int:
        seen = await self._live.positions(operator_id, [row["driver_id"] for row in rows])
        by_driver: dict[UUID, list[Record]] = {}
        for row in rows:
            if row["driver_id"] in seen:
                by_driver.setdefault(row["driver_id"], []).append(row)
        routes = {driver_id: _stops(own) for driver_id, own in by_driver.items()}
        ways: list[tuple[Point, Point, Vehicle]] = []
        riding: list[bool] = []
        for driver_id, stops in routes.items():
            here = Point(seen[driver_id].lat, seen[driver_id].lng)
            for number, (row, kind) in enumerate(stops):
                there = _place(row, kind)
                ways.append((here, there, Vehicle(row["vehicle"])))
                riding.append(not number and row["status"] == RIDING[kind])
                here = there
        try:
            times = await self._planner.leg_seconds(ways)
        except PlannerAway:  # what people were told stays; the dispatcher raises the alert
            return 0
        now = self._clock.now()
        local = model.local(now)
        rides = iter(
            0
            if here == there
            else (model.learned.left_s if under_way else model.learned.ride_s)(times.source, vehicle, local, provider_s)
            for (here, there, vehicle), under_way, provider_s in zip(ways, riding, times.seconds, strict=True)
        )
        told: list[Told] = []
        noted: list[Prediction] = []
        for stops in routes.values():
            legs = [_leg(model, stop, next(rides), now, first=number == 0) for number, stop in enumerate(stops)]
            self._walk(model, stops, legs, times.source, now, told, noted)
        if noted:
            async with self._db.platform_tx(Reason.LIVE_ETA) as con:
                await self._notebook.write(con, noted)
        return sum([await self._keep(one, now) for one in told])

    def _walk(
        self,
        model: Model,
        stops: list[tuple[Record, StopKind]],
        legs: list[Leg],
        source: str,
        now: datetime,
        told: list[Told],
        noted: list[Prediction],
    ) -> None:
        """Add what the customers on one driver's route may be told, and what is worth noting of it."""
        estimates = eta_chain(legs)
        corrected = _in_order([model.learned.spread.corrected(estimate) for estimate in estimates])
        pickups = {row["id"]: eta for (row, kind), eta in zip(stops, corrected, strict=True) if kind is StopKind.PICKUP}
        source += LEARNED if model.version else ""
        for number, (row, kind) in enumerate(stops):
            if kind is StopKind.PICKUP:
                continue
            pickup = None if row["status"] == ARRIVED[StopKind.PICKUP] else pickups.get(row["id"])
            told.append(Told(row, pickup, corrected[number], source))
            phase = "to_pickup" if row["status"] in BEFORE_PICKUP else "to_dropoff"
            if row["status"] in UNDER_WAY and self._notebook.wants(row["id"], phase, now):
                made = (model.version, legs[: number + 1], estimates[number].p50_s, corrected[number])
                noted.append(Prediction.of(row, phase, now, source, *made))

    async def _keep(self, told: Told, now: datetime) -> bool:
        row, expected_at = told.row, now + timedelta(seconds=told.dropoff.p50_s)
        news = matters(row["eta_dropoff_p50"], expected_at, now)
        late_s = delays.worth_telling(row, expected_at) if row["status"] in UNDER_WAY else None
        if not news and late_s is None:
            return False
        pickup_range: tuple[Any, Any] = (None, None) if told.pickup is None else shown_range(now, told.pickup)
        async with self._db.platform_tx(Reason.LIVE_ETA) as con:
            kept = await con.fetchrow(
                """UPDATE deliveries SET eta_pickup_p50 = $3, eta_pickup_p90 = $4, eta_dropoff_p50 = $5,
                     eta_dropoff_p90 = $6, eta_source = $7, delay_told_s = coalesce($8, delay_told_s)
                   WHERE id = $1 AND version = $2 AND delay_told_s IS NOT DISTINCT FROM $9 RETURNING *""",
                row["id"],
                row["version"],
                *pickup_range,
                *shown_range(now, told.dropoff),
                told.source,
                late_s,
                row["delay_told_s"],
            )
            if kept is None:
                return False
            if news:
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
            if late_s is not None:
                await emit(con, delays.delayed(kept, late_s, now))
        return True


def matters(shown: datetime | None, fresh: datetime, now: datetime) -> bool:
    """Say whether people should be told: the arrival moved by over two minutes and a fifth of what is left."""
    if shown is None:
        return True
    moved_s = abs((fresh - shown).total_seconds())
    return moved_s > max(CHANGE_MIN_S, CHANGE_SHARE * max(0.0, (shown - now).total_seconds()))


def _leg(model: Model, stop: tuple[Record, StopKind], ride_s: int, now: datetime, *, first: bool) -> Leg:
    """Return a stop's leg; at the first stop of a route the driver may have arrived."""
    row, kind = stop
    learned, travel_s = model.learned, 0 if first and row["status"] == ARRIVED[kind] else ride_s
    if kind is StopKind.DROPOFF:
        return Leg(travel_s, 0, learned.hand_over_s(kind, row["business_id"]))
    ready_in_s = 0
    if row["was_ready_at"] is None:
        late_s = learned.ready_late_s(row["store_id"], model.local(row["ready_at"]))
        ready_in_s = round((row["ready_at"] - now).total_seconds()) + late_s
    return Leg(travel_s, ready_in_s, learned.hand_over_s(kind, row["store_id"]))


def _in_order(etas: list[Eta]) -> list[Eta]:
    """Return the arrivals with none before that at the stop ahead of it."""
    found: list[Eta] = []
    for eta in etas:
        ahead = found[-1] if found else eta
        found.append(Eta(max(ahead.p50_s, eta.p50_s), max(ahead.p90_s, eta.p90_s)))
    return found


def _stops(rows: list[Record]) -> list[tuple[Record, StopKind]]:
    """Return a driver's stops still to serve, in order, each with its delivery."""
    stops = [(row["q_position"] or 0, row, StopKind.DROPOFF) for row in rows]
    stops += [(row["p_position"] or 0, row, StopKind.PICKUP) for row in rows if row["status"] in BEFORE_PICKUP]
    return [(row, kind) for _, row, kind in sorted(stops, key=lambda s: (s[0], s[2] is StopKind.DROPOFF, s[1]["id"]))]


def _place(row: Record, kind: StopKind) -> Point:
    column = "p" if kind is StopKind.PICKUP else "q"
    return Point(row[f"{column}_lat"], row[f"{column}_lng"])
