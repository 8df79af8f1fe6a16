"""What viewers get: a snapshot, then facts in order, and the newest positions, one packed frame a tick.

Viewers of the same topic share a group: a message is encoded once per encoding, whatever their number. Facts are
numbered and never dropped; positions are latest-wins per driver, so a slow viewer gets fewer and newer ones, and is
closed when its facts pile up past a bound. A group passes on positions only of the drivers in its own object:
visibility is decided where the object is made, and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from uuid import UUID

from kernel import ids, keys, metrics
from kernel.access import Principal
from kernel.ids import Kind
from kernel.log import get_logger
from kernel.redis import AWAY
from tracking.fix import unpack_rows
from tracking.hub import Hub
from tracking.ports import Views
from tracking.recovery import Fact, Facts, read_fact
from tracking.wire import CLOSE_TOO_SLOW, Codec, Delta, Numbers, Positions, Resumed, Since, Snapshot, ViewerDown

TICK_S: Final = 0.02
FACTS_WAITING_MAX: Final = 500
BUFFER_BYTES_MAX: Final = 64 * 1024

Slot = tuple[str, float, float, float | None, float | None, int]
log = get_logger(__name__)


class Outlet(Protocol):
    """One viewer's way out: a WebSocket or an event stream."""

    codec: Codec

    def buffered_bytes(self) -> int:
        """Return how much waits in the transport."""

    async def send(self, frame: bytes) -> None:
        """Write one encoded frame."""

    async def close(self, code: int) -> None:
        """Close with a code."""


class Frame:
    """One message, encoded at most once per encoding."""

    __slots__ = ("_encoded", "message")

    def __init__(self, message: ViewerDown) -> None:
        self.message = message
        self._encoded: dict[bool, bytes] = {}

    def encoded(self, codec: Codec) -> bytes:
        """Return the message's bytes for an encoding."""
        if codec.binary not in self._encoded:
            self._encoded[codec.binary] = codec.encode(self.message)
        return self._encoded[codec.binary]


@dataclass(slots=True, eq=False)
class Viewer:
    """One open view."""

    outlet: Outlet
    principal: Principal
    epoch: str = ""
    offset: int = -1
    facts: deque[Frame] = field(default_factory=deque)
    slots: dict[str, Slot] = field(default_factory=dict)
    joined: bool = False
    closing: bool = False


class Group:
    """All viewers of one topic."""

    def __init__(self, topic: str, operator_id: UUID) -> None:
        self.topic = topic
        self.operator_id = operator_id
        self.viewers: set[Viewer] = set()
        self.drivers: set[str] = set()
        self.moved: dict[str, Slot] = {}
        self.numbers: Frame | None = None
        self.facts: list[Fact] = []
        self.resync = False

    def learn(self, view: dict[str, Any]) -> None:
        """Take from a whole object which drivers it shows."""
        if view["kind"] == "tracking":
            self.drivers = {view["driver"]["id"]} if view.get("driver") else set()
        else:
            self.drivers = {driver["id"] for driver in view["drivers"]}

    def apply(self, changes: list[dict[str, Any]]) -> None:
        """Take from a delta which drivers came and went."""
        for change in changes:
            if change["kind"] == "driver":
                self.drivers.add(change["id"])
            elif change["kind"] == "gone":
                self.drivers.discard(change["id"])
            elif change["kind"] == "tracking":
                self.learn(change)


class Streams:
    """All viewers of this process."""

    def __init__(self, hub: Hub, facts: Facts, views: Views) -> None:
        self._hub = hub
        self._facts = facts
        self._views = views
        self._groups: dict[str, Group] = {}
        self._by_operator: dict[UUID, set[Group]] = defaultdict(set)
        self._receivers: dict[str, Any] = {}
        self._wake = asyncio.Event()

    async def join(self, outlet: Outlet, principal: Principal, since: Since | None) -> Viewer:
        """Send the first frames and keep the viewer up to date from then on.

        Order matters: listen first, then read the head, then take the snapshot; whatever came meanwhile follows it.
        """
        topic = self._views.topic(principal)
        group = await self._group(topic, principal.operator())
        viewer = Viewer(outlet, principal)
        group.viewers.add(viewer)
        try:
            await self._catch_up(group, viewer, since)
        except BaseException:
            await self.leave(viewer)
            raise
        return viewer

    async def leave(self, viewer: Viewer) -> None:
        """Forget a viewer; the last one of a topic closes its group."""
        for group in list(self._groups.values()):
            if viewer in group.viewers:
                group.viewers.discard(viewer)
                if not group.viewers:
                    await self._close(group)

    async def _catch_up(self, group: Group, viewer: Viewer, since: Since | None) -> None:
        epoch, offset = await self._facts.head(group.topic)
        missing = await self._facts.since(group.topic, since.epoch, since.offset) if since else None
        view = await self._views.view(viewer.principal)
        group.learn(view)
        first: list[Frame] = []
        if since is not None and missing is not None:
            first.append(Frame(Resumed(since.epoch, since.offset)))
            first += [Frame(Delta(fact.offset, fact.changes)) for fact in missing]
            viewer.epoch, viewer.offset = since.epoch, missing[-1].offset if missing else since.offset
        else:
            first.append(Frame(Snapshot(epoch, offset, view)))
            viewer.epoch, viewer.offset = epoch, offset
        waiting = [frame for frame in viewer.facts if _offset(frame) > viewer.offset]
        viewer.facts.clear()
        viewer.facts.extend(first + waiting)
        viewer.offset = max([viewer.offset, *(_offset(frame) for frame in waiting)])
        viewer.joined = True
        await self._drain(viewer)

    async def _group(self, topic: str, operator_id: UUID) -> Group:
        group = self._groups.get(topic)
        if group is not None:
            return group
        group = self._groups[topic] = Group(topic, operator_id)

        def on_fact(payload: bytes) -> None:
            group.facts.append(read_fact(payload))
            self._wake.set()

        def on_missed() -> None:
            group.resync = True
            self._wake.set()

        self._receivers[topic] = on_fact
        await self._hub.subscribe(keys.facts_channel(topic), on_fact, on_missed)
        first_of_operator = not self._by_operator[operator_id]
        self._by_operator[operator_id].add(group)
        if first_of_operator:
            self._receivers[operator_id.hex] = receive = self._position_receiver(operator_id)
            await self._hub.subscribe(keys.positions_channel(operator_id), receive, lambda: None)
        return group

    async def _close(self, group: Group) -> None:
        self._groups.pop(group.topic, None)
        await self._hub.unsubscribe(keys.facts_channel(group.topic), self._receivers.pop(group.topic))
        others = self._by_operator[group.operator_id]
        others.discard(group)
        if not others:
            del self._by_operator[group.operator_id]
            receive = self._receivers.pop(group.operator_id.hex)
            await self._hub.unsubscribe(keys.positions_channel(group.operator_id), receive)

    def _position_receiver(self, operator_id: UUID) -> Any:
        def on_positions(payload: bytes) -> None:
            for driver, lat, lng, heading, speed, t_ms in unpack_rows(payload):
                name = ids.show(Kind.DRIVER, UUID(bytes=driver))
                slot: Slot = (name, lat, lng, heading, speed, t_ms)
                for group in self._by_operator[operator_id]:
                    if name in group.drivers:
                        group.moved[name] = slot
            self._wake.set()

        return on_positions

    async def run(self) -> None:
        """Send what came in, tick by tick, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            for group in list(self._groups.values()):
                await self._flush(group)
            await asyncio.sleep(TICK_S)

    async def refresh_numbers(self) -> None:
        """Count anew for every board that somebody looks at."""
        for group in list(self._groups.values()):
            principal = next((viewer.principal for viewer in group.viewers), None)
            numbers = None if principal is None else await self._views.numbers(principal)
            if numbers is not None:
                group.numbers = Frame(Numbers(numbers))
                self._wake.set()

    async def _flush(self, group: Group) -> None:
        if group.resync:
            await self._resync(group)
        facts, group.facts = group.facts, []
        for fact in facts:
            group.apply(fact.changes)
            frame = Frame(Delta(fact.offset, fact.changes))
            for viewer in group.viewers:
                if not viewer.joined or fact.offset > viewer.offset or fact.epoch != viewer.epoch:
                    viewer.facts.append(frame)
                if viewer.joined and (fact.epoch != viewer.epoch or fact.offset > viewer.offset + 1):
                    group.resync = True
                elif viewer.joined:
                    viewer.offset = max(viewer.offset, fact.offset)
        if group.resync:
            self._wake.set()
            return
        moved = {name: slot for name, slot in group.moved.items() if name in group.drivers}
        group.moved = {}
        shared = Frame(Positions(list(moved.values()))) if moved else None
        numbers, group.numbers = group.numbers, None
        for viewer in list(group.viewers):
            await self._send(viewer, moved, shared, group.drivers)
            if numbers is not None and viewer.joined and not (viewer.closing or viewer.facts or viewer.slots):
                await viewer.outlet.send(numbers.encoded(viewer.outlet.codec))

    async def _send(self, viewer: Viewer, moved: dict[str, Slot], shared: Frame | None, drivers: set[str]) -> None:
        if not viewer.joined or viewer.closing:
            return
        if len(viewer.facts) > FACTS_WAITING_MAX:
            await self._drop(viewer, CLOSE_TOO_SLOW)
            return
        if not await self._drain(viewer):
            viewer.slots.update(moved)
            self._wake_later()
            return
        if viewer.slots:
            slots, viewer.slots = viewer.slots | moved, {}
            shared = Frame(Positions([slot for name, slot in slots.items() if name in drivers]))
        if shared is not None:
            metrics.viewer_frames.labels("positions").inc()
            await viewer.outlet.send(shared.encoded(viewer.outlet.codec))

    async def _drain(self, viewer: Viewer) -> bool:
        """Send waiting facts while the viewer reads; say whether there is room for more."""
        while viewer.facts:
            if viewer.outlet.buffered_bytes() > BUFFER_BYTES_MAX:
                return False
            frame = viewer.facts.popleft()
            metrics.viewer_frames.labels(type(frame.message).__name__.lower()).inc()
            await viewer.outlet.send(frame.encoded(viewer.outlet.codec))
        return viewer.outlet.buffered_bytes() <= BUFFER_BYTES_MAX

    async def _resync(self, group: Group) -> None:
        """Something may have been missed: give every viewer what its offset lacks, or a new snapshot."""
        group.resync = False
        group.facts.clear()
        for viewer in [v for v in group.viewers if v.joined and not v.closing]:
            viewer.facts.clear()
            try:
                await self._catch_up(group, viewer, Since(viewer.epoch, viewer.offset))
            except AWAY:
                group.resync = True
                self._wake_later()
                return

    async def _drop(self, viewer: Viewer, code: int) -> None:
        viewer.closing = True
        log.info("viewer_dropped", code=code)
        await viewer.outlet.close(code)

    def _wake_later(self) -> None:
        asyncio.get_running_loop().call_later(10 * TICK_S, self._wake.set)


def _offset(frame: Frame) -> int:
    message = frame.message
    return message.offset if isinstance(message, Delta) else -1
