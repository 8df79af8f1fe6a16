"""The lookout: every few seconds it compares what is with what should be, and raises or ends alerts.

It also does the one thing that can't wait for a person: work that a silent driver has not picked up yet goes to
somebody else. With food aboard nothing is taken away: that is the dispatcher's decision.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from dispatch import service
from dispatch.alerts import Alert, AlertCode, count_open, settle
from dispatch.delivery import BEFORE_PICKUP, DeliveryStatus
from dispatch.snapshot import LEAD_S
from dispatch.unassigned import OpenCode
from kernel.clock import Clock, JumpWatch, from_ms
from kernel.db import Connection, Database, Reason, Record
from kernel.ids import Kind, show
from tracking.fix import Position
from tracking.live import LivePositions
from tracking.presence import Ears

VANISHED_AFTER_S: Final = 300
DECLINES_WINDOW_S: Final = 600
DECLINED_OFTEN: Final = 3
OFFERS_MIN: Final = 10
LOST_SHARE: Final = 0.6
TAKEN_BACK: Final = "driver_vanished"
"""The reason kept in a delivery's history when a silent driver lost it."""

ABOARD: Final = frozenset(
    {DeliveryStatus.PICKED_UP, DeliveryStatus.EN_ROUTE_TO_DROPOFF, DeliveryStatus.ARRIVED_AT_DROPOFF}
)
CODES: Final = (
    AlertCode.NO_DRIVERS,
    AlertCode.MASS_DECLINE,
    AlertCode.UNDELIVERABLE,
    AlertCode.STORE_CLOSED,
    AlertCode.DRIVER_VANISHED,
)

_NO_DRIVERS: Final = """
SELECT d.business_id, count(*) AS waiting FROM deliveries d
WHERE d.operator_id = $1 AND d.status = 'pending' AND d.ready_at <= $2 AND NOT EXISTS (
  SELECT FROM driver_profiles dr WHERE dr.operator_id = $1 AND dr.state IN ('available', 'busy')
    AND (dr.pool <> 'dedicated' AND d.uses_shared_pool OR EXISTS (
      SELECT FROM driver_business_assignments a WHERE a.driver_id = dr.id AND a.business_id = d.business_id)))
GROUP BY d.business_id
"""

_CLOSED: Final = """
SELECT s.id, s.business_id, s.name, s.closed_reason, count(*) FILTER (WHERE d.status = 'pending') AS waiting,
       array_remove(array_agg(DISTINCT d.driver_id), NULL) AS driver_ids
FROM stores s JOIN deliveries d ON d.business_id = s.business_id AND d.store_id = s.id
WHERE d.operator_id = $1 AND s.closed_since IS NOT NULL AND d.status = ANY($2)
GROUP BY s.id
"""

_LOST: Final = """
SELECT d.id, d.business_id, d.attempts, count(*) AS lost
FROM deliveries d JOIN offer_deliveries od ON od.business_id = d.business_id AND od.delivery_id = d.id
JOIN offers o ON o.id = od.offer_id
WHERE d.operator_id = $1 AND d.status IN ('pending', 'offered') AND o.status IN ('declined', 'expired')
  AND o.answered_at > $2
GROUP BY d.id HAVING count(*) >= $3
"""

_ANSWERS: Final = """
SELECT count(*) AS answered, count(*) FILTER (WHERE status <> 'accepted') AS lost FROM offers
WHERE operator_id = $1 AND status IN ('accepted', 'declined', 'expired') AND answered_at > $2
"""

_UNDELIVERABLE: Final = """
SELECT id, business_id FROM deliveries
WHERE operator_id = $1 AND status = 'pending' AND unassigned_reason ->> 'code' = $2
"""

_CARRYING: Final = """
SELECT d.id, d.business_id, d.status, d.driver_id, d.assigned_at, dr.name, dr.phone
FROM deliveries d JOIN driver_profiles dr ON dr.id = d.driver_id
WHERE d.operator_id = $1 AND d.status = ANY($2) ORDER BY d.id
"""


class Lookout:
    """Looks at every operator."""

    def __init__(self, db: Database, live: LivePositions, clock: Clock, *, jumps: JumpWatch | None = None) -> None:
        self._db = db
        self._live = live
        self._ears = Ears(clock, jumps)

    async def look(self) -> None:
        """Look once at everything; several processes may."""
        now = self._ears.listen()
        async with self._db.platform_tx(Reason.LOOKOUT, readonly=True) as con:
            operators = [row["id"] for row in await con.fetch("SELECT id FROM operators ORDER BY id")]
        for operator_id in operators:
            silent = await self._silent(operator_id, now)
            for row, _ in silent:
                if row["status"] in BEFORE_PICKUP:
                    await self._take_back(row, now)
            async with self._db.platform_tx(Reason.LOOKOUT) as con:
                if not await con.fetchval("SELECT pg_try_advisory_xact_lock(hashtext($1))", f"lookout:{operator_id}"):
                    continue
                found = [*await _of_deliveries(con, operator_id, now), *_vanished(silent)]
                await settle(con, operator_id, CODES, found, now)
        async with self._db.platform_tx(Reason.LOOKOUT, readonly=True) as con:
            await count_open(con)
        self._ears.listened()

    async def _silent(self, operator_id: UUID, now: datetime) -> list[tuple[Record, Position | None]]:
        """Return the deliveries of drivers whose phone was silent too long, and where he was seen last.

        Silence counts from the last fix, from the assignment, and from when this process could hear at all.
        """
        async with self._db.platform_tx(Reason.LOOKOUT, readonly=True) as con:
            rows = await con.fetch(_CARRYING, operator_id, [status.value for status in BEFORE_PICKUP | ABOARD])
        seen = await self._live.positions(operator_id, sorted({row["driver_id"] for row in rows}))
        silent = []
        for row in rows:
            position = seen.get(row["driver_id"])
            heard_at = self._ears.heard_at(now, position, row["assigned_at"])
            if now - heard_at > timedelta(seconds=VANISHED_AFTER_S):
                silent.append((row, position))
        return silent

    async def _take_back(self, seen: Record, now: datetime) -> None:
        async with self._db.platform_tx(Reason.LOOKOUT) as con:
            row = await service.lock(con, seen["id"])
            if row["driver_id"] != seen["driver_id"] or DeliveryStatus(row["status"]) not in BEFORE_PICKUP:
                return
            await con.execute(
                "UPDATE deliveries SET kept_from = array_append(kept_from, $2) WHERE id = $1",
                row["id"],
                row["driver_id"],
            )
            await service.unassign(con, row, reason=TAKEN_BACK, at=now, source="system")


async def _of_deliveries(con: Connection, operator_id: UUID, now: datetime) -> list[Alert]:
    """Return what is wrong with the work that waits."""
    found = [
        Alert(AlertCode.NO_DRIVERS, row["business_id"], data={"waiting": row["waiting"]})
        for row in await con.fetch(_NO_DRIVERS, operator_id, now + timedelta(seconds=LEAD_S))
    ]
    concerned = ["pending", *(status.value for status in BEFORE_PICKUP)]
    for row in await con.fetch(_CLOSED, operator_id, concerned):
        data = {
            "name": row["name"],
            "reason": row["closed_reason"],
            "waiting": row["waiting"],
            "driver_ids": sorted(show(Kind.DRIVER, driver_id) for driver_id in row["driver_ids"]),
        }
        found.append(Alert(AlertCode.STORE_CLOSED, row["business_id"], (Kind.STORE, row["id"]), data))
    since = now - timedelta(seconds=DECLINES_WINDOW_S)
    for row in await con.fetch(_LOST, operator_id, since, DECLINED_OFTEN):
        subject = (Kind.DELIVERY, row["id"])
        found.append(Alert(AlertCode.MASS_DECLINE, row["business_id"], subject, {"lost": row["lost"]}))
    answers = await con.fetchrow(_ANSWERS, operator_id, since)
    assert answers is not None
    if answers["answered"] >= OFFERS_MIN and answers["lost"] >= LOST_SHARE * answers["answered"]:
        found.append(Alert(AlertCode.MASS_DECLINE, data={"lost": answers["lost"], "answered": answers["answered"]}))
    for row in await con.fetch(_UNDELIVERABLE, operator_id, OpenCode.NO_WAY.value):
        found.append(Alert(AlertCode.UNDELIVERABLE, row["business_id"], (Kind.DELIVERY, row["id"])))
    return found


def _vanished(silent: list[tuple[Record, Position | None]]) -> list[Alert]:
    """Return an alert for each business whose food is aboard a silent driver."""
    aboard: dict[tuple[UUID, UUID], list[tuple[Record, Position | None]]] = defaultdict(list)
    for row, position in silent:
        if row["status"] in ABOARD:
            aboard[row["business_id"], row["driver_id"]].append((row, position))
    found = []
    for (business_id, driver_id), rows in aboard.items():
        row, position = rows[0]
        data: dict[str, Any] = {
            "name": row["name"],
            "phone": row["phone"],
            "delivery_ids": [show(Kind.DELIVERY, one["id"]) for one, _ in rows],
            "last_seen": position and {"lat": position.lat, "lng": position.lng, "at": from_ms(position.received_ms)},
        }
        found.append(Alert(AlertCode.DRIVER_VANISHED, business_id, (Kind.DRIVER, driver_id), data))
    return found
