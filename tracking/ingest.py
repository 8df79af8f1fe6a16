"""Fixes become durable in batches: one Redis transaction a tick for all phones of an operator, then the acks.

A fix is durable once it is in the operator's stream (an append-only file in Valkey) on its way to history. The same
transaction moves the live positions, the geo index and the devices' durable sequence numbers, and publishes the batch.
With Redis away fixes wait here, bounded, and nobody is told that they are safe; each operator waits for its own shard.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final
from uuid import UUID

import msgspec

from kernel import keys, metrics
from kernel.clock import Clock
from kernel.log import get_logger
from kernel.redis import AWAY, Command, Redis, Shards
from tracking import dots
from tracking.copying import copy_row
from tracking.device_clock import DeviceClock
from tracking.devices_met import DevicesMet
from tracking.fences import Fences
from tracking.filters import ACCEPTED, IN_HISTORY, FilterState, Verdict, judge
from tracking.filters_kept import Filters
from tracking.fix import DAY_MS, RejectedRow, pack, rejected_row, unpack_position
from tracking.live import INDEXED_S, MINUTE_MS
from tracking.wire import WireFix

TICK_S: Final = 0.02
FENCES_EVERY_S: Final = 0.25
"""Fences look so often: who arrives a quarter of a second later has still arrived, at the time of his fix."""
RETRY_S: Final = 0.25
WAITING_FIXES_MAX: Final = 200_000
DRIVERS_KNOWN_MAX: Final = 200_000
REJECTED_KEPT_MAX: Final = 10
"""Of one frame; the others are only counted."""

LIVE: Final = Verdict.LIVE
NOTHING: Final[Mapping[str, int]] = {}
Durable = Callable[[int, Mapping[str, int]], None]
"""Told, once a frame is safe, its sequence number and the count of its fixes by rejection."""

log = get_logger(__name__)


class Overloaded(Exception):
    """Too many fixes wait for Redis: send them again later."""


class _Driver:
    """What this process knows of one driver."""

    __slots__ = ("dot_ms", "filters")

    def __init__(self) -> None:
        self.saw(None)

    def saw(self, last: WireFix | None) -> None:
        """Begin anew after the fix that is shown now."""
        self.filters = FilterState(last)
        self.dot_ms = -1 if last is None else last.t


@dataclass(slots=True, eq=False)
class Source:
    """One device of one driver, met: frames come from it."""

    operator_id: UUID
    driver_id: UUID
    operator: bytes
    driver: bytes
    """The ids' 16 bytes."""
    device: bytes
    """Names the device in Redis."""
    durable_seq: int
    """Its highest durable frame when it was met."""
    clock: DeviceClock
    known: _Driver


@dataclass(slots=True)
class _Batch:
    """What goes with an operator's next transaction."""

    fixes: int = 0
    rows: list[bytes] = field(default_factory=list)
    days: set[int] = field(default_factory=set)
    unplaced: list[RejectedRow] = field(default_factory=list)
    newest: dict[bytes, tuple[WireFix, int]] = field(default_factory=dict)
    """Driver → the fix that moves the dot, and when it was received."""
    seqs: dict[bytes, int] = field(default_factory=dict)
    ahead_ms: dict[bytes, int] = field(default_factory=dict)
    """Device → how far its clock is ahead, where that is news."""
    believed: dict[bytes, list[WireFix]] = field(default_factory=dict)
    frames: list[tuple[Durable, int, Mapping[str, int]]] = field(default_factory=list)


class Ingest:
    """The one writer of live positions in this process."""

    def __init__(self, redis: Redis, shards: Shards, fences: Fences, filters: Filters, clock: Clock) -> None:
        self._redis = redis
        self._devices = DevicesMet(redis)
        self._shards = shards
        self._fences = fences
        self._filters = filters
        self._clock = clock
        self._drivers: dict[UUID, _Driver] = {}
        self._clocks: dict[bytes, DeviceClock] = {}
        self._batches: dict[bytes, _Batch] = {}
        """By the 16 bytes of an operator's id, like what follows."""
        self._waiting_fixes = 0
        self._writing: set[bytes] = set()
        self._stuck: set[bytes] = set()
        """Operators whose last write went wrong: what waits for them is bounded, and costs nobody else a fix."""
        self._wake = asyncio.Event()
        self._to_fence: dict[UUID, dict[bytes, list[WireFix]]] = {}
        self._fence_wake = asyncio.Event()

    async def meet(self, operator_id: UUID, driver_id: UUID, device_id: str, clock_ms: int = 0) -> Source:
        """Learn of a driver and his device what whatever process knows.

        `clock_ms` is what the device's clock shows now, 0 for unknown.
        """
        device = driver_id.bytes + device_id.encode()
        met = await self._devices.meet(operator_id, driver_id, device_id, self._clock.now_ms())
        await self._redis.sadd(keys.operators(), operator_id.bytes)
        await self._filters.meet(driver_id.bytes)
        known = self._drivers.setdefault(driver_id, _Driver())
        if met.position is not None:
            seen = unpack_position(driver_id, met.position)
            if seen.t_ms > known.dot_ms:
                known.saw(WireFix(seen.t_ms, seen.lat, seen.lng, seen.accuracy_m, seen.speed_mps, seen.heading_deg))
        clock = self._clocks.setdefault(device, DeviceClock(met.ahead_ms))
        clock.told(clock_ms, self._clock.now_ms())
        if len(self._drivers) > DRIVERS_KNOWN_MAX:
            del self._drivers[next(iter(self._drivers))]
        if len(self._clocks) > DRIVERS_KNOWN_MAX:
            del self._clocks[next(iter(self._clocks))]
        return Source(operator_id, driver_id, operator_id.bytes, driver_id.bytes, device, met.durable_seq, clock, known)

    def forget(self, driver: bytes) -> None:
        """A driver's positions were erased: what his last fixes were is not remembered either."""
        known = self._drivers.get(UUID(bytes=driver))
        if known is not None:
            known.saw(None)

    def add(self, source: Source, seq: int, fixes: Sequence[WireFix], durable: Durable) -> None:
        """Judge a frame's fixes and put them into the next batch; raises `Overloaded` before anything is judged.

        `durable` is called when the frame is safe; `seq` 0 is remembered for no device.
        """
        if self._waiting_fixes + len(fixes) > WAITING_FIXES_MAX and source.operator in self._stuck:
            raise Overloaded
        batch = self._batches.get(source.operator)
        if batch is None:
            batch = self._batches[source.operator] = _Batch()
            self._wake.set()
        rejected = self._judge(batch, source, fixes) if fixes else NOTHING
        if seq > batch.seqs.get(source.device, 0):
            batch.seqs[source.device] = seq
        batch.frames.append((durable, seq, rejected))
        batch.fixes += len(fixes)
        self._waiting_fixes += len(fixes)

    def _judge(self, batch: _Batch, source: Source, fixes: Sequence[WireFix]) -> Mapping[str, int]:
        """Put fixes into a batch by what becomes of them; return how many were rejected for what."""
        now_ms, driver, operator, known = self._clock.now_ms(), source.driver, source.operator, source.known
        clock = source.clock
        clock.frame(fixes[0].t if len(fixes) == 1 else max(map(_time_of, fixes)), now_ms)
        ahead_ms = clock.ahead_ms
        if ahead_ms != clock.kept_ms:
            batch.ahead_ms[source.device] = clock.kept_ms = ahead_ms
        limits = self._filters.limits(driver)
        state, rows, days = known.filters, batch.rows, batch.days
        rejected: dict[str, int] | None = None
        unplaced = 0
        for raw in fixes:
            fix = raw if not ahead_ms else msgspec.structs.replace(raw, t=raw.t - ahead_ms)
            verdict = judge(state, fix, now_ms, limits)
            if verdict is LIVE:
                rows.append(copy_row(driver, operator, fix, now_ms, "live", ahead_ms))
                days.add(fix.t // DAY_MS)
                continue
            if verdict in IN_HISTORY:
                rows.append(copy_row(driver, operator, fix, now_ms, verdict.value, ahead_ms))
                days.add(fix.t // DAY_MS)
            elif verdict is not Verdict.DUPLICATE and unplaced < REJECTED_KEPT_MAX:
                batch.unplaced.append(rejected_row(driver, raw, now_ms, verdict.value))
                unplaced += 1
            if verdict not in ACCEPTED:
                rejected = rejected or {}
                rejected[verdict.value] = rejected.get(verdict.value, 0) + 1
                metrics.fixes_rejected.labels(verdict.value).inc()
        shown = state.shown
        if shown is not None and shown.t > known.dot_ms:
            known.dot_ms = shown.t
            batch.newest[driver] = (shown, now_ms)
        if state.believed:
            batch.believed.setdefault(driver, []).extend(state.believed)
            state.believed.clear()
        return rejected or NOTHING

    async def run(self) -> None:
        """Write batch after batch, until cancelled: the first fix at once, the rest of a tick together."""
        self._writing.clear()
        self._waiting_fixes = sum(batch.fixes for batch in self._batches.values())
        self._wake.set()
        async with asyncio.TaskGroup() as writers:
            while True:
                await self._wake.wait()
                self._wake.clear()
                for operator in self._batches.keys() - self._writing:
                    self._writing.add(operator)
                    writers.create_task(self._write_on(operator))

    async def _write_on(self, operator: bytes) -> None:
        """Write an operator's batches, a tick apart, until nothing comes any more."""
        operator_id = UUID(bytes=operator)
        while (batch := self._batches.pop(operator, None)) is not None:
            with metrics.ingest_seconds.time():
                await self._write_until_done(operator_id, batch)
            self._waiting_fixes -= batch.fixes
            metrics.fixes_in.inc(len(batch.rows))
            metrics.ingest_batch.observe(len(batch.rows))
            for durable, seq, rejected in batch.frames:
                durable(seq, rejected)
            self._show_fences(operator_id, batch.believed)
            await asyncio.sleep(TICK_S)
        self._writing.discard(operator)

    async def _write_until_done(self, operator_id: UUID, batch: _Batch) -> None:
        commands = _commands(operator_id, batch)
        while True:
            try:
                await self._shards.write(keys.fix_stream(operator_id), *commands)
            except AWAY as error:
                log.warning("redis_away", waiting_fixes=self._waiting_fixes, error=f"{type(error).__name__}: {error}")
            except Exception:  # whatever it is: nothing was acknowledged, and nothing may be lost
                log.exception("batch_refused", waiting_fixes=self._waiting_fixes)
            else:
                self._stuck.discard(operator_id.bytes)
                return
            self._stuck.add(operator_id.bytes)
            await asyncio.sleep(RETRY_S)

    def _show_fences(self, operator_id: UUID, believed: dict[bytes, list[WireFix]]) -> None:
        """Let the fences see fixes, after those that wait already."""
        if believed:
            waiting = self._to_fence.setdefault(operator_id, {})
            for driver, fixes in believed.items():
                waiting.setdefault(driver, []).extend(fixes)
            self._fence_wake.set()

    async def run_fences(self) -> None:
        """Let the fences see what is believed, behind the acks, until cancelled."""
        while True:
            await self._fence_wake.wait()
            self._fence_wake.clear()
            for operator_id in list(self._to_fence):
                believed = self._to_fence.pop(operator_id)
                try:
                    await self._fences.step(operator_id, believed)
                except BaseException:  # seen again by the next look, behind the other operators'
                    newer = self._to_fence.pop(operator_id, {})
                    self._show_fences(operator_id, believed)
                    self._show_fences(operator_id, newer)
                    raise
            await asyncio.sleep(FENCES_EVERY_S)


def _commands(operator_id: UUID, batch: _Batch) -> list[Command]:
    """Return a batch as one transaction."""
    commands: list[Command] = []
    if batch.rows or batch.unplaced:
        entry: Command = (b"rows", b"".join(batch.rows), b"count", len(batch.rows), b"days", pack(sorted(batch.days)))
        if batch.unplaced:
            entry += (b"unplaced", pack(batch.unplaced))
        commands.append(("XADD", keys.fix_stream(operator_id), "*", *entry))
    if batch.newest:
        heard: dict[int, list[float | bytes | str]] = defaultdict(list)
        for driver, (fix, received_ms) in batch.newest.items():
            heard[received_ms // MINUTE_MS] += (fix.lng, fix.lat, driver.hex())
        for minute, places in heard.items():
            index = keys.geo_index(operator_id, minute)
            commands += (("GEOADD", index, *places), ("EXPIRE", index, INDEXED_S))
        commands += dots.moves(operator_id, batch.newest)
    for key, told in ((keys.durable_seqs(operator_id), batch.seqs), (keys.clocks_ahead(operator_id), batch.ahead_ms)):
        if told:
            commands.append(("HSET", key, *(word for pair in told.items() for word in pair)))
    return commands


_time_of = attrgetter("t")
