"""How long positions are kept: days that no operator needs go whole, what one alone needs no more goes by rows.

Erasing one driver's positions leaves a mark with its time: what his phones still send from before then is not kept.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from kernel import keys
from kernel.clock import to_ms
from kernel.db import Connection, Database, Reason
from kernel.redis import Redis
from tracking.fix import unpack_position
from tracking.live import INDEXED_S, MINUTE_MS

LATE_DAYS_MAX: Final = 9
"""Days that late fixes may still reach (seven, and what waits to be written) keep their place, if not their rows."""
ROWS_MAX: Final = 10_000

_OF_ONE: Final = """
DELETE FROM driver_locations WHERE driver_id = $1 AND recorded_at = ANY(ARRAY(
  SELECT recorded_at FROM driver_locations
  WHERE driver_id = $1 AND (recorded_at <= $2 OR received_at <= $2) LIMIT $3))
"""
_REJECTED: Final = """
DELETE FROM rejected_fixes r USING operators o
WHERE o.id = r.operator_id AND r.received_at < $1::timestamptz - make_interval(days => o.positions_kept_days)
"""


async def forget_old(db: Database, now: datetime) -> None:
    """Forget what is older than the operators want, whole days by UTC; what failed is done the next time."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    async with db.platform_tx(Reason.HOUSEKEEPING) as con:
        operators = await con.fetch("SELECT id, positions_kept_days FROM operators")
        if not operators:
            return
        longest = max(row["positions_kept_days"] for row in operators)
        dropped_before = today - timedelta(days=max(longest, LATE_DAYS_MAX))
        await con.execute("SELECT drop_location_partitions($1)", dropped_before.date())
        await con.execute(_REJECTED, today)
    for row in operators:
        day = today - timedelta(days=row["positions_kept_days"] + 1)
        while day >= dropped_before:
            await _forget_day(db, row["id"], day)
            day -= timedelta(days=1)


async def _forget_day(db: Database, operator_id: UUID, day: datetime) -> None:
    async with db.platform_tx(Reason.HOUSEKEEPING, readonly=True) as con:
        rows = await con.fetch(
            """SELECT id FROM driver_profiles d WHERE operator_id = $1 AND EXISTS (
                 SELECT FROM driver_locations l
                 WHERE l.driver_id = d.id AND l.recorded_at >= $2 AND l.recorded_at < $3)""",
            operator_id,
            day,
            day + timedelta(days=1),
        )
    for row in rows:
        async with db.platform_tx(Reason.HOUSEKEEPING) as con:
            await con.execute(
                "DELETE FROM driver_locations WHERE driver_id = $1 AND recorded_at >= $2 AND recorded_at < $3",
                row["id"],
                day,
                day + timedelta(days=1),
            )


async def mark_erased(con: Connection, *, operator_id: UUID, driver_id: UUID, at: datetime) -> None:
    """Keep nothing more of a driver from before `at`: waits for history to finish what it writes. Platform path."""
    await con.execute("SELECT pg_advisory_xact_lock(hashtext($1))", f"history:{operator_id}")
    await con.execute("UPDATE driver_profiles SET positions_erased_at = $2 WHERE id = $1", driver_id, at)


async def erase_history(db: Database, driver_id: UUID, at: datetime) -> int:
    """Delete a driver's positions up to `at`; return how many there were. After `mark_erased`, none comes again."""
    erased = 0
    async with db.platform_tx(Reason.ERASURE) as con:
        await con.execute("DELETE FROM rejected_fixes WHERE driver_id = $1 AND received_at <= $2", driver_id, at)
    while True:
        async with db.platform_tx(Reason.ERASURE) as con:
            done = int((await con.execute(_OF_ONE, driver_id, at, ROWS_MAX)).removeprefix("DELETE "))
        erased += done
        if done < ROWS_MAX:
            return erased


async def erase_live(redis: Redis, operator_id: UUID, driver_id: UUID, at: datetime) -> None:
    """Take out of Redis and of every process what tells where a driver was, unless his last position came after `at`.

    His fence starts anew: what it tells twice is one event.
    """
    packed = await redis.hget(keys.positions(operator_id), driver_id.bytes)
    if packed is not None:
        seen = unpack_position(driver_id, packed)
        if min(seen.t_ms, seen.received_ms) > to_ms(at):
            return
        await redis.hdel(keys.positions(operator_id), driver_id.bytes)
        minute = seen.received_ms // MINUTE_MS
        for heard in range(minute - INDEXED_S // 60, minute + 1):
            await redis.zrem(keys.geo_index(operator_id, heard), driver_id.hex)
    await redis.hdel(keys.fences(operator_id), driver_id.bytes)
    await redis.spublish(keys.erased_channel(), driver_id.bytes)
