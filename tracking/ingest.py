"""Fixes become durable in batches: one Redis transaction a tick for all sockets of the process, then the acks.

A fix is durable once it is in the operator's stream (an append-only file in Valkey) on its way to history. The same
transaction moves the live positions, the geo index and the devices' durable sequence numbers, and publishes the batch.
With Redis away fixes wait here, bounded, and nobody is told that they are safe.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from kernel import keys, metrics
from kernel.clock import Clock
from kernel.log import get_logger
from kernel.redis import AWAY, Redis
from tracking.fences import Fences
from tracking.filters import KEPT, FilterState, Verdict, judge
from tracking.fix import HistoryRow, Position, history_row, pack_rows, position_of, unpack_position
from tracking.wire import WireFix

TICK_S: Final = 0.02
RETRY_S: Final = 0.25
WAITING_FIXES_MAX: Final = 200_000
DRIVERS_KNOWN_MAX: Final = 200_000

log = get_logger(__name__)


class Overloaded(Exception):
    """Too many fixes wait for Redis: send them again later."""


@dataclass(slots=True)
class Entry:
    """One frame on its way: when it is safe, `durable` is called with its `seq` and the count of fixes by rejection."""

    operator_id: UUID
    driver_id: UUID
    device_id: str
    seq: int
    durable: Callable[[int, Mapping[str, int]], None]
    rows: list[HistoryRow] = field(default_factory=list)
    live: list[Position] = field(default_factory=list)
    rejected: dict[str, int] = field(default_factory=dict)


class Ingest:
    """The one writer of live positions in this process."""

    def __init__(self, redis: Redis, fences: Fences, clock: Clock) -> None:
        self._redis = redis
        self._fences = fences
        self._clock = clock
        self._filters: dict[UUID, FilterState] = {}
        self._waiting: list[Entry] = []
        self._waiting_fixes = 0
        self._wake = asyncio.Event()
        self._to_fence: list[tuple[UUID, list[Position]]] = []
        self._fence_wake = asyncio.Event()

    async def meet(self, operator_id: UUID, driver_id: UUID, device_id: str) -> int:
        """Learn where a driver was last seen, from whatever process; return the device's durable sequence number."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.hget(keys.positions(operator_id), driver_id.bytes)
        pipe.hget(keys.durable_seqs(operator_id), _device_field(driver_id, device_id))
        packed, seq = await pipe.execute()
        known = self._filters.get(driver_id, FilterState())
        if packed is not None:
            seen = unpack_position(driver_id, packed)
            if known.last is None or seen.t_ms > known.last.t:
                last = WireFix(seen.t_ms, seen.lat, seen.lng, seen.accuracy_m, seen.speed_mps, seen.heading_deg)
                self._filters[driver_id] = FilterState(last=last, recent=known.recent)
        if len(self._filters) > DRIVERS_KNOWN_MAX:
            self._filters.pop(next(iter(self._filters)))
        return int(seq or 0)

    def add(self, entry: Entry, fixes: Sequence[WireFix]) -> None:
        """Judge a frame's fixes and put them into the next batch; raises `Overloaded` before anything is judged."""
        if self._waiting_fixes + len(fixes) > WAITING_FIXES_MAX:
            raise Overloaded
        now_ms = self._clock.now_ms()
        state = self._filters.get(entry.driver_id, FilterState())
        for fix in fixes:
            state, verdict = judge(state, fix, now_ms)
            if verdict not in KEPT:
                entry.rejected[verdict.value] = entry.rejected.get(verdict.value, 0) + 1
                metrics.fixes_rejected.labels(verdict.value).inc()
                continue
            entry.rows.append(history_row(entry.driver_id, fix, now_ms))
            if verdict is Verdict.LIVE:
                entry.live.append(position_of(entry.driver_id, fix, now_ms))
        self._filters[entry.driver_id] = state
        self._waiting_fixes += len(fixes)
        self._waiting.append(entry)
        self._wake.set()

    async def run(self) -> None:
        """Flush batch after batch, until cancelled: the first fix at once, the rest of a tick together."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.flush()
            await asyncio.sleep(TICK_S)

    async def flush(self) -> None:
        """Make all that waits durable; keeps trying while Redis is away."""
        batch, self._waiting = self._waiting, []
        self._waiting_fixes = 0
        by_operator: dict[UUID, list[Entry]] = defaultdict(list)
        for entry in batch:
            by_operator[entry.operator_id].append(entry)
        for operator_id, entries in by_operator.items():
            with metrics.ingest_seconds.time():
                await self._write_until_done(operator_id, entries)
            for entry in entries:
                entry.durable(entry.seq, entry.rejected)

    async def _write_until_done(self, operator_id: UUID, entries: list[Entry]) -> None:
        held = sum(len(entry.rows) for entry in entries)
        self._waiting_fixes += held
        try:
            while True:
                try:
                    await self._write(operator_id, entries)
                except AWAY as error:
                    log.warning("redis_away", waiting_fixes=self._waiting_fixes, error=str(error))
                    await asyncio.sleep(RETRY_S)
                else:
                    return
        finally:
            self._waiting_fixes -= held

    async def _write(self, operator_id: UUID, entries: list[Entry]) -> None:
        rows = [row for entry in entries for row in entry.rows]
        live = [position for entry in entries for position in entry.live]
        newest: dict[UUID, Position] = {}
        for position in live:
            kept = newest.get(position.driver_id)
            if kept is None or position.t_ms > kept.t_ms:
                newest[position.driver_id] = position
        pipe = self._redis.pipeline(transaction=True)
        pipe.sadd(keys.operators(), operator_id.bytes)
        if rows:
            pipe.xadd(keys.fix_stream(operator_id), {b"b": pack_rows(rows)})
        if newest:
            index: list[float | str] = []
            for position in newest.values():
                index += (position.lng, position.lat, position.driver_id.hex)
            pipe.geoadd(keys.geo_index(operator_id), index)
            packed = {driver.bytes: position.pack() for driver, position in newest.items()}
            pipe.hset(keys.positions(operator_id), mapping=packed)
            moved = [(driver.bytes, p.lat, p.lng, p.heading_deg, p.speed_mps, p.t_ms) for driver, p in newest.items()]
            pipe.publish(keys.positions_channel(operator_id), pack_rows(moved))
        seqs: dict[bytes, int] = {}
        for entry in entries:
            if entry.seq:
                device = _device_field(entry.driver_id, entry.device_id)
                seqs[device] = max(entry.seq, seqs.get(device, 0))
        if seqs:
            pipe.hset(keys.durable_seqs(operator_id), mapping=seqs)
        await pipe.execute()
        metrics.fixes_in.inc(len(rows))
        metrics.ingest_batch.observe(len(rows))
        if live:
            self._to_fence.append((operator_id, live))
            self._fence_wake.set()

    async def run_fences(self) -> None:
        """Step the arrival fences behind the acks, until cancelled."""
        while True:
            await self._fence_wake.wait()
            while self._to_fence:
                operator_id, live = self._to_fence[0]
                await self._fences.step(operator_id, live)
                self._to_fence.pop(0)
            self._fence_wake.clear()


def _device_field(driver_id: UUID, device_id: str) -> bytes:
    return driver_id.bytes + device_id.encode()
