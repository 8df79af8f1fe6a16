"""When it will be there: each open delivery's arrival times, told to people only when they change enough to matter.

What was learned corrects each ride, kitchen and hand-over, and past errors the sum. A delivery that will miss its
promise is told of once, and again when it gets five minutes worse; one that nobody has, by the rule of `risk`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatch.delivery import BEFORE_PICKUP, WITH_DRIVER, DeliveryStatus
from dispatch.eta_models import Model, Models
from dispatch.eta_predictions import Notebook, Prediction
from dispatch.learning import StopKind
from dispatch.planner import Planner, PlannerAway
from dispatch.risk import SEEKING, risk_of
from dispatch.service import public
from dispatch.worker import LegTimes
from geo.eta import Eta, Leg, eta_chain, shown_range
from geo.point import Point
from geo.travel import Vehicle
from kernel.clock import Clock
from kernel.db import Database, Reason, Record
from kernel.events import Event, EventType, event
from kernel.outbox import emit
from tracking.live import LivePositions

CHANGE_MIN_S: Final = 120
CHANGE_SHARE: Final = 0.2
WORSE_BY_S: Final = 300
ARRIVED: Final = {StopKind.PICKUP: "arrived_at_pickup", StopKind.DROPOFF: "arrived_at_dropoff"}
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


_SEEKING: Final = "SELECT * FROM deliveries WHERE status = ANY($1) AND promised_at < $2 ORDER BY id"
SEEKING_AHEAD_S: Final = 7_200
"""A promise further away than this is not missed for want of a driver now."""


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
        """Look at every delivery under way; return how many arrival times changed for people."""
        async with self._db.platform_tx(Reason.LIVE_ETA, readonly=True) as con:
            rows = await con.fetch(_ACTIVE, [status.value for status in WITH_DRIVER])
            soon = self._clock.now() + timedelta(seconds=SEEKING_AHEAD_S)
            seeking = await con.fetch(_SEEKING, [status.value for status in SEEKING], soon)
            models = {row["operator_id"]: await self._models.of(con, row["operator_id"]) for row in _firsts(rows)}
        changed = 0
        for operator_id, model in models.items():
            changed += await self._refresh(
                operator_id, model, [row for row in rows if row["operator_id"] == operator_id]
            )
        self._notebook.forget_all_but({row["id"] for row in rows})
        return changed + sum([await self._tell_of_nobody(row) for row in seeking])

    async def _tell_of_nobody(self, row: Record) -> bool:
        """Tell the delay of a delivery without a driver, when even one at the store would be too late."""
        now, risk = self._clock.now(), risk_of(row)
        assert risk is not None
        late_s = _worth_telling(row, round((now - risk["from"]).total_seconds()))
        if late_s is None:
            return False
        async with self._db.platform_tx(Reason.LIVE_ETA) as con:
            kept = await con.fetchrow(
                """UPDATE deliveries SET delay_told_s = $3
                   WHERE id = $1 AND version = $2 AND delay_told_s IS NOT DISTINCT FROM $4 RETURNING *""",
                row["id"],
                row["version"],
                late_s,
                row["delay_told_s"],
            )
            if kept is not None:
                await emit(con, _delayed(kept, late_s, now))
        return kept is not None

    async def _refresh(self, operator_id: UUID, model: Model, rows: list[Record]) -> int:
        seen = await self._live.positions(operator_id, [row["driver_id"] for row in rows])
        by_driver: dict[UUID, list[Record]] = {}
        for row in rows:
            if row["driver_id"] in seen:
                by_driver.setdefault(row["driver_id"], []).append(row)
        routes = {driver_id: _stops(own) for driver_id, own in by_driver.items()}
        ways: list[tuple[Point, Point, Vehicle]] = []
        for driver_id, stops in routes.items():
            here = Point(seen[driver_id].lat, seen[driver_id].lng)
            for row, kind in stops:
                there = _place(row, kind)
                ways.append((here, there, Vehicle(row["vehicle"])))
                here = there
        try:
            times = await self._planner.leg_seconds(ways)
        except PlannerAway:  # what people were told stays; the dispatcher raises the alert
            return 0
        now = self._clock.now()
        legs = _learned_legs(model, [stop for stops in routes.values() for stop in stops], ways, times, now)
        told: list[Told] = []
        noted: list[Prediction] = []
        for stops in routes.values():
            self._walk(model, stops, [next(legs) for _ in stops], times.source, now, told, noted)
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
        row = told.row
        news = matters(row["eta_dropoff_p50"], now + timedelta(seconds=told.dropoff.p50_s), now)
        late_s = None
        if row["status"] in UNDER_WAY:
            expected_at = now + timedelta(seconds=told.dropoff.p50_s)
            late_s = _worth_telling(row, round((expected_at - row["promised_at"]).total_seconds()))
        if not news and late_s is None:
            return False
        pickup_range: tuple[Any, Any] = (None, None) if told.pickup is None else shown_range(now, told.pickup)
        dropoff_range = shown_range(now, told.dropoff)
        async with self._db.platform_tx(Reason.LIVE_ETA) as con:
            kept = await con.fetchrow(
                """UPDATE deliveries SET eta_pickup_p50 = $3, eta_pickup_p90 = $4, eta_dropoff_p50 = $5,
                     eta_dropoff_p90 = $6, eta_source = $7, delay_told_s = coalesce($8, delay_told_s)
                   WHERE id = $1 AND version = $2 AND delay_told_s IS NOT DISTINCT FROM $9 RETURNING *""",
                row["id"],
                row["version"],
                *pickup_range,
                *dropoff_range,
                told.source,
                late_s,
                row["delay_told_s"],
            )
            if kept is None:
                return False
            if news:
                await emit(con, _event(EventType.DELIVERY_ETA_CHANGED, kept, now))
            if late_s is not None:
                await emit(con, _delayed(kept, late_s, now))
        return True


def matters(shown: datetime | None, fresh: datetime, now: datetime) -> bool:
    """Say whether people should be told: the arrival moved by over two minutes and a fifth of what is left."""
    if shown is None:
        return True
    moved_s = abs((fresh - shown).total_seconds())
    return moved_s > max(CHANGE_MIN_S, CHANGE_SHARE * max(0.0, (shown - now).total_seconds()))


def _worth_telling(row: Record, late_s: int) -> int | None:
    """Return how late it will be when that is news: it was in time, or is five minutes worse than was told."""
    told_s: int | None = row["delay_told_s"]
    return late_s if late_s > (0 if told_s is None else told_s + WORSE_BY_S) else None


def _learned_legs(
    model: Model,
    stops: list[tuple[Record, StopKind]],
    ways: list[tuple[Point, Point, Vehicle]],
    times: LegTimes,
    now: datetime,
) -> Iterator[Leg]:
    """Return each stop's leg: what the provider says, as what was learned corrects it."""
    local, learned = model.local(now), model.learned
    for (row, kind), (here, there, vehicle), provider_s in zip(stops, ways, times.seconds, strict=True):
        gone = here == there or row["status"] == ARRIVED[kind]
        travel_s = 0 if gone else learned.ride_s(times.source, vehicle, local, provider_s)
        if kind is StopKind.DROPOFF:
            yield Leg(travel_s, 0, learned.hand_over_s(kind, row["business_id"]))
            continue
        ready_in_s = 0
        if row["was_ready_at"] is None:
            late_s = learned.ready_late_s(row["store_id"], model.local(row["ready_at"]))
            ready_in_s = round((row["ready_at"] - now).total_seconds()) + late_s
        yield Leg(travel_s, ready_in_s, learned.hand_over_s(kind, row["store_id"]))


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


def _firsts(rows: list[Record]) -> list[Record]:
    """Return one row of each operator."""
    return list({row["operator_id"]: row for row in rows}.values())


def _delayed(row: Record, late_s: int, now: datetime) -> Event:
    expected = row["driver_id"] and {"p50": row["eta_dropoff_p50"], "p90": row["eta_dropoff_p90"]}
    data = {"object": public(row), "late_s": late_s, "expected": expected}
    return _event(EventType.DELIVERY_DELAYED, row, now, data)


def _event(kind: EventType, row: Record, now: datetime, data: dict[str, Any] | None = None) -> Event:
    return event(
        kind,
        at=now,
        operator_id=row["operator_id"],
        business_id=row["business_id"],
        subject=row["id"],
        sequence=row["version"],
        data=data,
    )
