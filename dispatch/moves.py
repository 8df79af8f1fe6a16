"""Where idle drivers had better wait: told on their phones when the operator wants it, and theirs to decline.

Work comes from where it came from lately. Nobody who has work is told anything, nobody is sent to a closed or paused
place, and who declines hears no more of it in this shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatch import policy, snapshot
from dispatch.engine.reposition import expected
from dispatch.eta_models import Models
from dispatch.planner import Planner, PlannerAway
from dispatch.worker import Question
from dispatch.zones import hit_by
from geo.point import Point
from kernel.clock import Clock
from kernel.db import Connection, Database, Reason, Record, one
from kernel.events import EventType, event
from kernel.ids import Kind, new_id, show
from kernel.outbox import emit
from tenancy.stores import is_open
from tracking.live import LivePositions

LOOK_BACK: Final = timedelta(days=1)
"""So long orders tell where the next ones come from: a few hours have too few of them, and a day has every hour."""
TTL: Final = timedelta(minutes=15)

_WORK: Final = """
SELECT d.business_id, d.uses_shared_pool, p.name, p.lat AS p_lat, p.lng AS p_lng,
       p.lat AS q_lat, p.lng AS q_lng, s.closed_since, s.opening_hours, s.time_zone, count(*) AS orders
FROM deliveries d
JOIN stops p ON p.business_id = d.business_id AND p.delivery_id = d.id AND p.kind = 'pickup'
LEFT JOIN stores s ON s.business_id = d.business_id AND s.id = d.store_id
WHERE d.operator_id = $1 AND d.created_at > $3 AND d.created_at <= $2
GROUP BY d.business_id, d.uses_shared_pool, p.name, p.lat, p.lng, s.closed_since, s.opening_hours, s.time_zone
ORDER BY orders DESC, p.name
"""

_PAUSED: Final = """
SELECT business_id, area FROM paused_zones WHERE operator_id = $1 AND ended_at IS NULL AND (until IS NULL OR until > $2)
"""

_MAY_BE_TOLD: Final = """
SELECT dr.id FROM driver_profiles dr
WHERE dr.operator_id = $1 AND dr.state = 'available'
  AND NOT EXISTS (SELECT FROM offers o WHERE o.driver_id = dr.id AND o.status = 'sent')
  AND NOT EXISTS (SELECT FROM planned_routes r WHERE r.driver_id = dr.id)
  AND NOT EXISTS (SELECT FROM driver_moves m WHERE m.driver_id = dr.id AND (
        m.ended_at IS NULL OR m.sent_at > $2::timestamptz - make_interval(secs => $3)
        OR m.declined_at >= (SELECT s.started_at FROM driver_shifts s
                             WHERE s.driver_id = dr.id AND s.ended_at IS NULL)))
"""

_OVER: Final = """
UPDATE driver_moves m SET ended_at = $2
WHERE m.operator_id = $1 AND m.ended_at IS NULL AND (
  m.expires_at <= $2 OR NOT $3
  OR NOT EXISTS (SELECT FROM driver_profiles dr WHERE dr.id = m.driver_id AND dr.state = 'available')
  OR EXISTS (SELECT FROM offers o WHERE o.driver_id = m.driver_id AND o.status = 'sent')
  OR NOT (m.lat, m.lng) IN (SELECT * FROM unnest($4::float8[], $5::float8[])))
RETURNING *
"""


class Moves:
    """Tells idle drivers of operators that want it where work comes from."""

    def __init__(self, db: Database, live: LivePositions, planner: Planner, clock: Clock) -> None:
        self._db = db
        self._live = live
        self._planner = planner
        self._clock = clock
        self._models = Models()

    async def look(self) -> None:
        """End what is over, and tell who may be told; two processes that do so at the same time harm nothing."""
        async with self._db.platform_tx(Reason.DRIVER_MOVES, readonly=True) as con:
            operators = [row["id"] for row in await con.fetch("SELECT id FROM operators ORDER BY id")]
        for operator_id in operators:
            await self._look(operator_id)

    async def _look(self, operator_id: UUID) -> None:
        now = self._clock.now()
        async with self._db.platform_tx(Reason.DRIVER_MOVES) as con:
            wanted = (await policy.load(con, operator_id)).operator
            work = await _work(con, operator_id, now) if wanted.moves else []
            where = [row["p_lat"] for row in work], [row["p_lng"] for row in work]
            for row in await con.fetch(_OVER, operator_id, now, wanted.moves, *where):
                await _tell(con, row, EventType.DRIVER_MOVE_ENDED, now)
            told = await con.fetch(_MAY_BE_TOLD, operator_id, now, wanted.moves_every_s) if work else []
        may = {row["id"] for row in told}
        if not may:
            return
        whole = await snapshot.about_all(self._db, self._live, self._models, operator_id, now)
        for question, names in _questions(whole, work):
            if may.isdisjoint(driver.id for driver in question.drivers):
                continue
            try:
                answer = await self._planner.answer(question)
            except PlannerAway:
                return  # work comes first, and the dispatcher says that the planner is down
            numbers = [number for number, _ in answer.problem.demand]
            for move in answer.plan.moves:
                driver_id = question.drivers[move.driver].id
                if driver_id in may:
                    at = question.demand[numbers.index(move.place)][0]
                    await self._suggest(operator_id, driver_id, names[at], at, move.saves_s, now)

    async def _suggest(
        self, operator_id: UUID, driver_id: UUID, name: str, at: Point, saves_s: int, now: datetime
    ) -> None:
        async with self._db.platform_tx(Reason.DRIVER_MOVES) as con:
            row = await con.fetchrow(
                """INSERT INTO driver_moves (id, operator_id, driver_id, name, lat, lng, saves_s, sent_at, expires_at)
                   SELECT $1, $2, dr.id, $4, $5, $6, $7, $8, $9 FROM driver_profiles dr
                   WHERE dr.id = $3 AND dr.state = 'available'
                     AND NOT EXISTS (SELECT FROM offers o WHERE o.driver_id = dr.id AND o.status = 'sent')
                   ON CONFLICT DO NOTHING RETURNING *""",
                new_id(),
                operator_id,
                driver_id,
                name,
                at.lat,
                at.lng,
                saves_s,
                now,
                now + TTL,
            )
            if row is not None:
                await _tell(con, row, EventType.DRIVER_MOVE_SUGGESTED, now)


async def open_for(con: Connection, driver_id: UUID) -> dict[str, Any] | None:
    """Return where a driver was told that work comes from, while he is idle and it holds."""
    row = await con.fetchrow(
        """SELECT m.* FROM driver_moves m JOIN driver_profiles dr ON dr.id = m.driver_id
           WHERE m.driver_id = $1 AND m.ended_at IS NULL AND dr.state = 'available'""",
        driver_id,
    )
    plain: dict[str, Any] | None = None if row is None else msgspec.to_builtins(public(row))
    return plain


async def decline(con: Connection, driver_id: UUID, move_id: UUID, now: datetime) -> None:
    """The driver would rather stay; twice is fine. In a driver's transaction; raises `not_found`."""
    sent = "SELECT * FROM driver_moves WHERE id = $1 AND driver_id = $2 FOR UPDATE"
    row = one(await con.fetchrow(sent, move_id, driver_id), "move")
    if row["declined_at"] is None:
        await con.execute(
            "UPDATE driver_moves SET declined_at = $2, ended_at = coalesce(ended_at, $2) WHERE id = $1", move_id, now
        )
        await _tell(con, row, EventType.DRIVER_MOVE_ENDED, now)


def public(row: Record) -> dict[str, Any]:
    """Return a suggestion as its driver sees it."""
    return {
        "id": show(Kind.MOVE, row["id"]),
        "name": row["name"],
        "lat": row["lat"],
        "lng": row["lng"],
        "saves_s": row["saves_s"],
        "sent_at": row["sent_at"],
        "expires_at": row["expires_at"],
    }


async def _work(con: Connection, operator_id: UUID, now: datetime) -> list[Record]:
    """Return where work came from lately and may come from now, most first: open stores outside paused zones."""
    came = await con.fetch(_WORK, operator_id, now, now - LOOK_BACK)
    work = [row for row in came if row["opening_hours"] is None or is_open(row, now)]
    pauses = await con.fetch(_PAUSED, operator_id, now)
    if not pauses or not work:
        return work
    return [row for row, hits in zip(work, hit_by(pauses, work), strict=True) if not hits]


def _questions(whole: Question, work: Sequence[Record]) -> list[tuple[Question, dict[Point, str]]]:
    """Return what to ask about the pool, and about each set of businesses' own drivers: they wait for other work."""
    groups: dict[frozenset[UUID] | None, list[int]] = {}
    for number, driver in enumerate(whole.drivers):
        key = frozenset(driver.business_priority) if driver.pool == "dedicated" else None
        groups.setdefault(key, []).append(number)
    found = []
    for businesses, numbers in groups.items():
        theirs = [row for row in work if _concerns(row["business_id"], row["uses_shared_pool"], businesses)]
        if not theirs:
            continue
        orders: dict[Point, int] = {}
        names: dict[Point, str] = {}
        for row in theirs:
            at = Point(row["p_lat"], row["p_lng"])
            orders[at] = orders.get(at, 0) + row["orders"]
            names.setdefault(at, row["name"])
        question = msgspec.structs.replace(
            whole,
            drivers=tuple(whole.drivers[number] for number in numbers),
            jobs=tuple(job for job in whole.jobs if _concerns(job.business_id, job.uses_shared_pool, businesses)),
            demand=tuple(expected(orders).items()),
        )
        found.append((question, names))
    return found


def _concerns(business_id: UUID, uses_shared_pool: bool, businesses: frozenset[UUID] | None) -> bool:
    return uses_shared_pool if businesses is None else business_id in businesses


async def _tell(con: Connection, row: Record, kind: EventType, now: datetime) -> None:
    await emit(
        con,
        event(
            kind,
            at=now,
            operator_id=row["operator_id"],
            driver_id=row["driver_id"],
            subject=row["driver_id"],
            data=public(row),
        ),
    )
