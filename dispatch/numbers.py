"""A board's numbers: how it goes right now and how the last hour went, as far as the viewer may see.

What can be counted from the tables is counted when asked. How many drivers were free and how many had work is nowhere
kept: each minute one is written down, for an hour, in Redis, where losing it costs a sparkline and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from kernel import keys
from kernel.clock import Clock
from kernel.db import Connection, Database, Reason
from kernel.ids import earliest
from kernel.redis import Redis

HOUR: Final = timedelta(hours=1)
LOOKED_BACK: Final = timedelta(hours=12)
"""A delivery that was made longer ago and ended within the hour does not count."""
MINUTES_KEPT: Final = 60
KEPT_S: Final = 2 * 3600

_OPEN: Final = "status NOT IN ('delivered', 'canceled', 'failed', 'returned')"

_COUNTS: Final = f"""
SELECT count(*) FILTER (WHERE {_OPEN}) AS open,
       count(*) FILTER (WHERE status IN ('pending', 'offered')) AS unassigned,
       count(*) FILTER (WHERE {_OPEN} AND promised_at < $2) AS overdue,
       count(*) FILTER (WHERE status = 'delivered') AS delivered,
       count(*) FILTER (WHERE status = 'delivered' AND finished_at <= promised_at) AS in_time,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM coalesce(assigned_at, $2) - created_at))
         FILTER (WHERE coalesce(assigned_at, $2) > $3 AND status <> 'canceled') AS wait_s
FROM deliveries WHERE {{whose}} AND ({_OPEN} OR (id >= $4 AND finished_at > $3))
"""

_STAFF: Final = f"""
WITH staff AS (
  SELECT operator_id AS scope_id, state FROM driver_profiles
  UNION ALL
  SELECT a.business_id, dr.state FROM driver_business_assignments a JOIN driver_profiles dr ON dr.id = a.driver_id
), work AS (
  SELECT operator_id AS scope_id FROM deliveries WHERE {_OPEN}
  UNION ALL SELECT business_id FROM deliveries WHERE {_OPEN}
), staffed AS (
  SELECT scope_id, count(*) FILTER (WHERE state = 'available') AS free, count(*) FILTER (WHERE state = 'busy') AS busy
  FROM staff WHERE state IN ('available', 'busy') GROUP BY scope_id
), worked AS (SELECT scope_id, count(*) AS open FROM work GROUP BY scope_id)
SELECT scope_id, coalesce(open, 0) AS open, coalesce(free, 0) AS free, coalesce(busy, 0) AS busy
FROM staffed FULL JOIN worked USING (scope_id)
"""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(tuple[int, int, int, int]).decode


class BoardNumbers:
    """Counts, and keeps each minute's staffing for an hour."""

    def __init__(self, db: Database, redis: Redis, clock: Clock) -> None:
        self._db = db
        self._redis = redis
        self._clock = clock

    async def note_staffing(self) -> None:
        """Write down this minute of every operator and business; several processes may, the last one counts."""
        minute = _minute(self._clock.now())
        async with self._db.platform_tx(Reason.BOARD, readonly=True) as con:
            rows = await con.fetch(_STAFF)
        pipe = self._redis.pipeline(transaction=False)
        for row in rows:
            key = keys.staffing(row["scope_id"])
            pipe.hset(key, str(minute % MINUTES_KEPT), _pack((minute, row["open"], row["free"], row["busy"])))
            pipe.expire(key, KEPT_S)
        await pipe.execute()

    async def read(self, con: Connection, scope_id: UUID, *, of_operator: bool) -> dict[str, Any]:
        """Return a board's numbers, as far as the transaction sees.

        `wait_s_p50`: from made to accepted, of what was accepted within the hour or still waits. `in_time_share`: of
        what was delivered within the hour and of what is overdue now. `utilisation`: busy of busy and available driver
        minutes. Shares are 0..1, or None with nothing to judge. `hour`: `[unix minute, open, busy share or None]`.
        """
        now = self._clock.now()
        whose = "operator_id = $1" if of_operator else "business_id = $1"
        row = await con.fetchrow(_COUNTS.format(whose=whose), scope_id, now, now - HOUR, earliest(now - LOOKED_BACK))
        assert row is not None
        minutes = await self._hour(scope_id, _minute(now))
        judged = row["delivered"] + row["overdue"]
        return {
            "open": row["open"],
            "unassigned": row["unassigned"],
            "delivered": row["delivered"],
            "in_time_share": round(row["in_time"] / judged, 3) if judged else None,
            "wait_s_p50": None if row["wait_s"] is None else round(row["wait_s"]),
            "utilisation": _share(sum(busy for *_, busy in minutes), sum(free + busy for *_, free, busy in minutes)),
            "hour": [[minute, opened, _share(busy, free + busy)] for minute, opened, free, busy in minutes],
        }

    async def _hour(self, scope_id: UUID, minute: int) -> Sequence[tuple[int, int, int, int]]:
        kept = (_unpack(packed) for packed in await self._redis.hvals(keys.staffing(scope_id)))
        return sorted(one for one in kept if one[0] > minute - MINUTES_KEPT)


def _minute(at: datetime) -> int:
    return int(at.timestamp()) // 60


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None
