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
from functools import lru_cache
from operator import attrgetter
from typing import Final
from uuid import UUID

import msgspec

from kernel import keys, metrics
from kernel.clock import Clock
from kernel.log import get_logger
from kernel.redis import AWAY, Redis, Shards
from tracking import dots
from tracking.device_clock import DeviceClock
from tracking.fences import Fences
from tracking.filters import ACCEPTED, IN_HISTORY, FilterState, Verdict, judge
from tracking.filters_kept import Filters
from tracking.fix import (
    HistoryRow,
    Position,
    RejectedRow,
    history_row,
    pack_rows,
    position_of,
    rejected_row,
    unpack_position,
)
from tracking.live import INDEXED_S, MINUTE_MS
from tracking.wire import WireFix

TICK_S: Final = 0.02
RETRY_S: Final = 0.25
WAITING_FIXES_MAX: Final = 200_000
DRIVERS_KNOWN_MAX: Final = 200_000
REJECTED_KEPT_MAX: Final = 10
"""Of one frame; the others are only counted."""

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
    live: Position | None = None
    believed: Sequence[WireFix] = ()
    unplaced: Sequence[RejectedRow] = ()
    ahead_ms: int | None = None
    """How far the device's clock is ahead, when that is news."""

    rejected: dict[str, int] = field(default_factory=dict)


class _Driver:
    """What this process knows of one driver."""

    __slots__ = ("dot_ms", "filters")

    def __init__(self, last: WireFix | None = None) -> None:
        self.filters = FilterState(last)
        self.dot_ms = -1 if last is None else last.t


class Ingest:
    """The one writer of live positions in this process."""

    def __init__(self, redis: Redis, shards: Shards, fences: Fences, filters: Filters, clock: Clock) -> None:
        self._redis = redis
        self._shards = shards
        self._fences = fences
        self._filters = filters
        self._clock = clock
        self._drivers: dict[UUID, _Driver] = {}
        self._clocks: dict[bytes, DeviceClock] = {}
        self._waiting: list[Entry] = []
        self._waiting_fixes = 0
        self._wake = asyncio.Event()
        self._to_fence: list[tuple[UUID, dict[UUID, list[WireFix]]]] = []
        self._fence_wake = asyncio.Event()

    async def meet(self, operator_id: UUID, driver_id: UUID, device_id: str, clock_ms: int = 0) -> int:
        """Learn of a driver and his device what whatever process knows; return the device's durable sequence number.

        `clock_ms` is what the device's clock shows now, 0 for unknown.
        """
        device = _device_field(driver_id, device_id)
        pipe = self._redis.pipeline(transaction=False)
        pipe.hget(keys.positions(operator_id), driver_id.bytes)
        pipe.hget(keys.durable_seqs(operator_id), device)
        pipe.hget(keys.clocks_ahead(operator_id), device)
        pipe.sadd(keys.operators(), operator_id.bytes)
        packed, seq, ahead_ms, _ = await pipe.execute()
        await self._filters.meet(operator_id, driver_id)
        known = self._drivers.get(driver_id)
        if packed is not None:
            seen = unpack_position(driver_id, packed)
            if known is None or seen.t_ms > known.dot_ms:
                last = WireFix(seen.t_ms, seen.lat, seen.lng, seen.accuracy_m, seen.speed_mps, seen.heading_deg)
                self._drivers[driver_id] = _Driver(last)
        if device not in self._clocks:
            self._clocks[device] = DeviceClock(int(ahead_ms or 0))
        self._clocks[device].told(clock_ms, self._clock.now_ms())
        if len(self._drivers) > DRIVERS_KNOWN_MAX:
            del self._drivers[next(iter(self._drivers))]
        if len(self._clocks) > DRIVERS_KNOWN_MAX:
            del self._clocks[next(iter(self._clocks))]
        return int(seq or 0)

    def forget(self, driver: bytes) -> None:
        """A driver's positions were erased: what his last fixes were is not remembered either."""
        self._drivers.pop(UUID(bytes=driver), None)

    def add(self, entry: Entry, fixes: Sequence[WireFix]) -> None:
        """Judge a frame's fixes and put them into the next batch; raises `Overloaded` before anything is judged."""
        if self._waiting_fixes + len(fixes) > WAITING_FIXES_MAX:
            raise Overloaded
        if fixes:
            self._judge(entry, fixes)
        self._waiting_fixes += len(fixes)
        self._waiting.append(entry)
        self._wake.set()

    def _judge(self, entry: Entry, fixes: Sequence[WireFix]) -> None:
        now_ms, driver_id = self._clock.now_ms(), entry.driver_id
        driver = self._drivers.get(driver_id)
        if driver is None:
            driver = self._drivers[driver_id] = _Driver()
        ahead_ms = self._look_at_clock(entry, fixes, now_ms)
        limits = self._filters.limits(entry.operator_id, driver_id)
        state, rows = driver.filters, entry.rows
        for raw in fixes:
            fix = raw if not ahead_ms else msgspec.structs.replace(raw, t=raw.t - ahead_ms)
            verdict = judge(state, fix, now_ms, limits)
            if verdict is Verdict.LIVE:
                rows.append(history_row(driver_id, fix, now_ms, "live", ahead_ms))
                continue
            if verdict in IN_HISTORY:
                rows.append(history_row(driver_id, fix, now_ms, verdict.value, ahead_ms))
            elif verdict is not Verdict.DUPLICATE and len(entry.unplaced) < REJECTED_KEPT_MAX:
                entry.unplaced = (*entry.unplaced, rejected_row(driver_id, raw, now_ms, verdict.value))
            if verdict not in ACCEPTED:
                entry.rejected[verdict.value] = entry.rejected.get(verdict.value, 0) + 1
                metrics.fixes_rejected.labels(verdict.value).inc()
        shown = state.shown
        if shown is not None and shown.t > driver.dot_ms:
            driver.dot_ms = shown.t
            entry.live = position_of(driver_id, shown, now_ms)
        entry.believed, state.believed = state.believed, []

    def _look_at_clock(self, entry: Entry, fixes: Sequence[WireFix], now_ms: int) -> int:
        device = _device_field(entry.driver_id, entry.device_id)
        clock = self._clocks.get(device)
        if clock is None:
            clock = self._clocks[device] = DeviceClock()
        before_ms = clock.kept_ms
        clock.frame(fixes[0].t if len(fixes) == 1 else max(map(_time_of, fixes)), now_ms)
        if clock.ahead_ms != before_ms:
            entry.ahead_ms = clock.kept_ms = clock.ahead_ms
        return clock.ahead_ms

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
        unplaced = [row for entry in entries for row in entry.unplaced]
        newest: dict[UUID, Position] = {}
        for entry in entries:
            position = entry.live
            if position is not None:
                kept = newest.get(position.driver_id)
                if kept is None or position.t_ms > kept.t_ms:
                    newest[position.driver_id] = position
        pipe = await self._shards.begin(keys.fix_stream(operator_id))
        if rows or unplaced:
            batch = {b"b": pack_rows(rows)}
            if unplaced:
                batch[b"r"] = pack_rows(unplaced)
            pipe.xadd(keys.fix_stream(operator_id), batch)
        if newest:
            heard: dict[int, list[float | str]] = defaultdict(list)
            for position in newest.values():
                heard[position.received_ms // MINUTE_MS] += (position.lng, position.lat, position.driver_id.hex)
            for minute, places in heard.items():
                pipe.geoadd(keys.geo_index(operator_id, minute), places)
                pipe.expire(keys.geo_index(operator_id, minute), INDEXED_S)
            dots.move(pipe, operator_id, list(newest.values()))
        seqs: dict[bytes, int] = {}
        ahead_ms: dict[bytes, int] = {}
        for entry in entries:
            if entry.seq or entry.ahead_ms is not None:
                device = _device_field(entry.driver_id, entry.device_id)
                if entry.seq:
                    seqs[device] = max(entry.seq, seqs.get(device, 0))
                if entry.ahead_ms is not None:
                    ahead_ms[device] = entry.ahead_ms
        if seqs:
            pipe.hset(keys.durable_seqs(operator_id), mapping=seqs)
        if ahead_ms:
            pipe.hset(keys.clocks_ahead(operator_id), mapping=ahead_ms)
        await self._shards.commit(pipe)
        metrics.fixes_in.inc(len(rows))
        metrics.ingest_batch.observe(len(rows))
        believed: dict[UUID, list[WireFix]] = defaultdict(list)
        for entry in entries:
            if entry.believed:
                believed[entry.driver_id] += entry.believed
        if believed:
            self._to_fence.append((operator_id, believed))
            self._fence_wake.set()

    async def run_fences(self) -> None:
        """Let the fences see what is believed, behind the acks, until cancelled."""
        while True:
            await self._fence_wake.wait()
            while self._to_fence:
                operator_id, believed = self._to_fence[0]
                await self._fences.step(operator_id, believed)
                self._to_fence.pop(0)
            self._fence_wake.clear()


_time_of = attrgetter("t")


@lru_cache(maxsize=DRIVERS_KNOWN_MAX)
def _device_field(driver_id: UUID, device_id: str) -> bytes:
    return driver_id.bytes + device_id.encode()
