"""What viewers get: a snapshot, then facts in order, and the newest positions: customers at once, boards now and then.

Viewers of the same topic share a group: a message is encoded once per encoding, whatever their number. Facts are
numbered and never dropped; positions are latest-wins per driver, so a slow viewer gets fewer and newer ones, and is
closed when its facts pile up past a bound.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final
from uuid import UUID

from kernel import keys, metrics
from kernel.access import Principal
from kernel.log import get_logger
from kernel.redis import AWAY
from tracking.fix import unpack
from tracking.groups import Group, Moves, Outlet, Slot, View, Viewer, Watching, offset_of
from tracking.hub import Hub
from tracking.outgoing import Frame
from tracking.ports import Views
from tracking.recovery import Facts, read_fact
from tracking.wire import CLOSE_TOO_SLOW, Delta, Look, Numbers, Positions, Resumed, Since, Snapshot

TICK_S: Final = 0.02
BOARD_TICK_S: Final = 0.25
"""Boards get positions so often: markers glide from fix to fix, so fewer and fuller frames look the same."""
FACTS_WAITING_MAX: Final = 500
SLOW_S: Final = 0.2

_POSITION_FRAMES: Final = metrics.viewer_frames.labels("positions")
_FACT_FRAMES: Final = metrics.viewer_frames.labels("facts")
log = get_logger(__name__)


class Streams:
    """All viewers of this process."""

    def __init__(self, hub: Hub, facts: Facts, views: Views) -> None:
        self._hub = hub
        self._facts = facts
        self._views = views
        self._groups: dict[str, Group] = {}
        self._watching = Watching()
        self._by_operator: defaultdict[UUID, set[Group]] = defaultdict(set)
        self._dirty: set[Group] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._position_frames = 0

    async def join(self, outlet: Outlet, principal: Principal, since: Since | None) -> Viewer:
        """Send the first frames and keep the viewer up to date from then on.

        Order matters: listen first, then read the head, then take the snapshot; whatever came meanwhile follows it.
        """
        topic = self._views.topic(principal)
        group = await self._group(topic, principal.operator())
        viewer = Viewer(outlet, principal, group)
        group.viewers.add(viewer)
        try:
            await self._catch_up(group, viewer, since)
        except BaseException:
            await self.leave(viewer)
            raise
        return viewer

    async def leave(self, viewer: Viewer) -> None:
        """Forget a viewer; the last one of a topic closes its group."""
        group = viewer.group
        if viewer in group.viewers:
            group.viewers.discard(viewer)
            if not group.viewers:
                await self._close(group)

    def look(self, viewer: Viewer, look: Look) -> None:
        """Narrow a board's positions to what its screen can show; all that is on it comes at once."""
        group = viewer.group
        if not group.board:
            return
        viewer.view, viewer.looked, viewer.in_step = View(look), True, False
        self._touch(group)

    def forget(self, driver: bytes) -> None:
        """A driver's positions were erased: nobody is shown the last one again."""
        name, groups = self._watching.of(driver) or ("", ())
        for group in groups:
            group.forget(name)

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
        waiting = [frame for frame in viewer.facts if offset_of(frame) > viewer.offset]
        viewer.facts = first + waiting
        viewer.in_step = False
        viewer.offset = max([viewer.offset, *(offset_of(frame) for frame in waiting)])
        viewer.joined = True
        self._drain(viewer)

    async def _group(self, topic: str, operator_id: UUID) -> Group:
        group = self._groups.get(topic)
        if group is not None:
            return group
        group = self._groups[topic] = Group(topic, operator_id, self._watching)

        def on_fact(payload: bytes) -> None:
            group.facts.append(read_fact(payload))
            self._touch(group)

        def on_missed() -> None:
            group.resync = True
            self._touch(group)

        group.receive = on_fact
        await self._hub.subscribe(keys.facts_channel(topic), on_fact, on_missed)
        first_of_operator = not self._by_operator[operator_id]
        self._by_operator[operator_id].add(group)
        if first_of_operator:
            await self._hub.subscribe(keys.positions_channel(operator_id), self._on_positions, lambda: None)
        return group

    async def _close(self, group: Group) -> None:
        self._groups.pop(group.topic, None)
        self._dirty.discard(group)
        group.close()
        await self._hub.unsubscribe(keys.facts_channel(group.topic), group.receive)
        group.receive = None  # it holds the group
        others = self._by_operator[group.operator_id]
        others.discard(group)
        if not others:
            del self._by_operator[group.operator_id]
            await self._hub.unsubscribe(keys.positions_channel(group.operator_id), self._on_positions)

    def _on_positions(self, payload: bytes) -> None:
        for driver, (t_ms, lat, lng, _, speed, heading, _) in unpack(payload):
            if (watched := self._watching.of(driver)) is None:
                continue
            name, groups = watched
            slot = (name, lat, lng, heading, speed, t_ms)
            for group in groups:
                if group.board or group.facts or group.resync:
                    group.moved[name] = slot
                    self._dirty.add(group)
                else:  # one driver and those who wait for him: nothing more would come with a tick
                    self._show(group, Moves([slot]))
        self._count_frames()
        if self._dirty:
            self._wake.set()

    def _count_frames(self) -> None:
        _POSITION_FRAMES.inc(self._position_frames)
        self._position_frames = 0

    def _touch(self, group: Group) -> None:
        self._dirty.add(group)
        self._wake.set()

    async def run(self) -> None:
        """Send what came in, tick by tick, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            dirty, self._dirty = self._dirty, set()
            for group in dirty:
                if group.resync:
                    await self._resync(group)
                self._flush(group)
            self._count_frames()
            await asyncio.sleep(TICK_S)

    async def refresh_numbers(self) -> None:
        """Count anew for every board that somebody looks at."""
        for group in list(self._groups.values()):
            principal = next((viewer.principal for viewer in group.viewers), None)
            numbers = None if principal is None else await self._views.numbers(principal)
            if numbers is not None:
                group.numbers = Frame(Numbers(numbers))
                self._touch(group)

    def _flush(self, group: Group) -> None:
        for fact in group.facts:
            group.apply(fact.changes)
            frame = Frame(Delta(fact.offset, fact.changes))
            for viewer in group.viewers:
                if not viewer.joined or fact.offset > viewer.offset or fact.epoch != viewer.epoch:
                    viewer.facts.append(frame)
                    viewer.in_step = False
                if viewer.joined and (fact.epoch != viewer.epoch or fact.offset > viewer.offset + 1):
                    group.resync = True
                elif viewer.joined:
                    viewer.offset = max(viewer.offset, fact.offset)
        if group.facts:
            group.facts = []
        if group.resync:
            self._touch(group)
        else:
            self._show(group, self._due_moves(group))

    def _show(self, group: Group, moves: Moves) -> None:
        """Send what moved, and how many there are of everything."""
        shared = Frame(Positions(moves.seen_by(None))) if moves else None
        numbers, group.numbers = group.numbers, None
        for viewer in group.viewers:
            if viewer.in_step and viewer.outlet.has_room():
                if shared is not None:
                    self._position_frames += 1
                    viewer.outlet.write(shared)
            else:
                self._send(viewer, moves, shared)
            if numbers is not None and viewer.joined and not (viewer.closing or viewer.facts or viewer.slots):
                viewer.outlet.write(numbers)

    def _due_moves(self, group: Group) -> Moves:
        """Return what moved; nothing while it is too soon for a board."""
        if group.board and group.moved:
            now_s = asyncio.get_running_loop().time()
            if now_s < group.due_s:
                self._touch_after(group, group.due_s - now_s)
                return Moves([])
            group.due_s = now_s + BOARD_TICK_S
        return group.take_moves()

    def _due(self, group: Group) -> None:
        group.waiting = False
        self._touch(group)

    def _send(self, viewer: Viewer, moves: Moves, shared: Frame | None) -> None:
        """Send facts, then positions: the frame that is everybody's, or what this viewer's screen can show."""
        viewer.in_step = False
        if not viewer.joined or viewer.closing:
            return
        if len(viewer.facts) > FACTS_WAITING_MAX:
            self._drop(viewer, CLOSE_TOO_SLOW)
            return
        frame = shared
        if viewer.looked and viewer.view is not None:  # once a tick, however often he looks
            viewer.looked = False
            _hold(viewer, viewer.group.on_screen(viewer.view))
        if not self._drain(viewer):
            _hold(viewer, moves.seen_by(viewer.view))
            self._touch_after(viewer.group, SLOW_S)
            return
        if viewer.slots:
            _hold(viewer, moves.seen_by(viewer.view))
            drivers = viewer.group.drivers
            frame = Frame(Positions([slot for name, slot in viewer.slots.items() if name in drivers]))
            viewer.slots = None
        elif viewer.view is not None:
            seen = moves.seen_by(viewer.view)
            frame = Frame(Positions(seen)) if seen else None
        if frame is not None:
            self._position_frames += 1
            viewer.outlet.write(frame)
        viewer.in_step = viewer.view is None

    def _drain(self, viewer: Viewer) -> bool:
        """Send waiting facts while the viewer reads; say whether there is room for more."""
        outlet, sent = viewer.outlet, 0
        if not viewer.facts:
            return outlet.has_room()
        for frame in viewer.facts:
            if not outlet.has_room():
                break
            outlet.write(frame)
            sent += 1
        _FACT_FRAMES.inc(sent)
        del viewer.facts[:sent]
        return not viewer.facts and outlet.has_room()

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
                self._touch_after(group, SLOW_S)
                return

    def _drop(self, viewer: Viewer, code: int) -> None:
        viewer.closing = True
        log.info("viewer_dropped", code=code)
        task = asyncio.create_task(viewer.outlet.close(code))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _touch_after(self, group: Group, after_s: float) -> None:
        """Come back to a group later, unless somebody will anyway."""
        if not group.waiting:
            group.waiting = True
            asyncio.get_running_loop().call_later(after_s, self._due, group)


def _hold(viewer: Viewer, slots: list[Slot]) -> None:
    """Keep the newest of each driver for a viewer who reads too slowly."""
    if slots:
        viewer.slots = {**(viewer.slots or {}), **{slot[0]: slot for slot in slots}}
