"""Position history: durable batches leave the streams and are copied into the day's partition.

A batch leaves its stream only after its rows are committed, and a row's key is (driver, fix time): written at least
once, kept exactly once. Several processes may run a writer; a lock per operator lets one work at a time.
"""

from __future__ import annotations

import asyncio
import io
from typing import Any, Final
from uuid import UUID, uuid5

from kernel import keys, metrics
from kernel.clock import from_ms
from kernel.db import Database, Reason
from kernel.redis import Redis
from tracking.copying import COLUMNS, copy_input, copy_row
from tracking.fix import DAY_MS, pack, unpack
from tracking.retention import erase_live
from tracking.wire import WireFix

PERIOD_S: Final = 0.5
BATCHES_MAX: Final = 500
REJECTED_PER_DRIVER_MAX: Final = 200
_INSERT_REJECTED: Final = """
INSERT INTO rejected_fixes (id, driver_id, operator_id, received_at, reason, raw)
SELECT r.* FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[], $6::jsonb[])
  AS r(id, driver_id, operator_id, received_at, reason, raw) LEFT JOIN driver_profiles d ON d.id = r.driver_id
WHERE d.positions_erased_at IS NULL OR (r.received_at > d.positions_erased_at AND r.reason <> 'too_old')
ON CONFLICT DO NOTHING
"""
_FORGET_REJECTED: Final = """
DELETE FROM rejected_fixes r USING (
  SELECT id, row_number() OVER (PARTITION BY driver_id ORDER BY received_at DESC, id DESC) AS place
  FROM rejected_fixes WHERE driver_id = ANY($1)) kept
WHERE kept.id = r.id AND kept.place > $2
"""
_STAGE: Final = "CREATE TEMP TABLE IF NOT EXISTS fixes_in (LIKE driver_locations) ON COMMIT DELETE ROWS"
_INSERT: Final = """
INSERT INTO driver_locations SELECT f.* FROM fixes_in f LEFT JOIN driver_profiles d ON d.id = f.driver_id
WHERE d.positions_erased_at IS NULL OR least(f.recorded_at, f.received_at) > d.positions_erased_at
ON CONFLICT DO NOTHING
"""
_ERASED: Final = """
SELECT DISTINCT d.id, d.positions_erased_at FROM fixes_in f JOIN driver_profiles d ON d.id = f.driver_id
WHERE least(f.recorded_at, f.received_at) <= d.positions_erased_at
"""


class HistoryWriter:
    """Drains the streams of all operators."""

    def __init__(self, db: Database, redis: Redis) -> None:
        self._db = db
        self._redis = redis
        self._days: set[int] = set()

    async def run(self) -> None:
        """Drain again and again, until cancelled."""
        while True:
            if not await self.drain():
                await asyncio.sleep(PERIOD_S)

    async def drain(self) -> int:
        """Move one round of batches to history; return how many fixes were moved."""
        moved, failure = 0, None
        for operator in await self._redis.smembers(keys.operators()):
            try:
                moved += await self._drain_operator(UUID(bytes=operator))
            except Exception as error:  # one operator's trouble is not the next one's
                failure = error
                self._days.clear()  # a day's partition may have gone
        if failure is not None:
            raise failure
        return moved

    async def _drain_operator(self, operator_id: UUID) -> int:
        stream = keys.fix_stream(operator_id)
        found = await self._redis.xrange(stream, count=BATCHES_MAX)
        if not found:
            return 0
        entries = [(entry_id, _of_today(operator_id, fields)) for entry_id, fields in found]
        count = sum(int(fields[b"count"]) for _, fields in entries)
        rejected = [
            _rejected(entry_id, number, operator_id, row)
            for entry_id, fields in entries
            if b"unplaced" in fields
            for number, row in enumerate(unpack(fields[b"unplaced"]))
        ]
        async with self._db.platform_tx(Reason.HISTORY_WRITE) as con:
            if not await con.fetchval("SELECT pg_try_advisory_xact_lock(hashtext($1))", f"history:{operator_id}"):
                return 0
            days = {day for _, fields in entries for day in unpack(fields[b"days"])} - self._days
            for day in days:  # remembered once this is committed
                await con.execute("SELECT make_location_partition($1)", from_ms(day * DAY_MS).date())
            await con.execute(_STAGE)
            source = io.BytesIO(copy_input(fields[b"rows"] for _, fields in entries))
            await con.copy_to_table("fixes_in", source=source, columns=COLUMNS, format="binary")
            await con.execute(_INSERT)
            erased = await con.fetch(_ERASED)
            if rejected:
                await con.execute(_INSERT_REJECTED, *map(list, zip(*rejected, strict=True)))
                await con.execute(_FORGET_REJECTED, list({row[1] for row in rejected}), REJECTED_PER_DRIVER_MAX)
        self._days |= days
        for driver in erased:  # a late fix of an erased time may have become the last that is known
            await erase_live(self._redis, operator_id, driver["id"], driver["positions_erased_at"])
        await self._redis.xdel(stream, *(entry_id for entry_id, _ in entries))
        metrics.history_rows.inc(count)
        return count


def _of_today(operator_id: UUID, fields: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Return an entry as it is written today: a server before 0.2 may have left some whose rows were not made yet."""
    if b"b" not in fields:
        return fields
    rows, days = [], set()
    for driver, t_ms, received_ms, lat, lng, accuracy_m, speed_mps, heading_deg, source, verdict, ahead_ms in unpack(
        fields[b"b"]
    ):
        fix = WireFix(t_ms, lat, lng, accuracy_m, speed_mps, heading_deg, src=source)
        rows.append(copy_row(driver, operator_id.bytes, fix, received_ms, verdict, ahead_ms))
        days.add(t_ms // DAY_MS)
    unplaced = {b"unplaced": fields[b"r"]} if b"r" in fields else {}
    return {b"rows": b"".join(rows), b"count": b"%d" % len(rows), b"days": pack(sorted(days)), **unplaced}


def _rejected(entry_id: bytes, number: int, operator_id: UUID, row: list[Any]) -> tuple[Any, ...]:
    """Return a row whose id follows from the stream's entry: written again it is the same."""
    driver, received_ms, reason, raw = row
    row_id = uuid5(operator_id, f"{entry_id!r}:{number}")
    return row_id, UUID(bytes=driver), operator_id, from_ms(received_ms), reason, raw
