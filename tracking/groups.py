"""Viewers of one topic, and which drivers each may see move: the part of the streams that needs no event loop.

A group passes on positions only of the drivers in its own object: visibility is decided where the object is made, and
nowhere else. A board's viewer narrows that down to what is on its screen, in steps that its zoom can show.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from uuid import UUID

from kernel.access import Principal
from kernel.ids import Kind, parse
from tracking.outgoing import Frame
from tracking.recovery import Fact
from tracking.wire import Delta, Look

HEARD_EVERY_MS: Final = 30_000
"""A board hears of every driver so often, on its screen or not: who is silent must not be confused with who is away."""
METERS_PER_DEGREE: Final = 111_195.0

Slot = tuple[str, float, float, float | None, float | None, int]
"""What goes out of a position: driver id, latitude, longitude, heading, speed in m/s, device time in ms."""


class Outlet(Protocol):
    """One viewer's way out: a WebSocket or an event stream."""

    def has_room(self) -> bool:
        """Say whether the viewer reads: not too much waits in the transport."""

    def write(self, frame: Frame) -> None:
        """Write one frame; never waits."""

    async def close(self, code: int) -> None:
        """Close with a code."""


class View:
    """What a board shows of its map: a box, and the least movement that its zoom can show."""

    __slots__ = ("_east", "_lat_step", "_lng_step", "_north", "_south", "_west")

    def __init__(self, look: Look) -> None:
        self._south, self._west, self._north, self._east = look.box
        self._lat_step = look.step_m / METERS_PER_DEGREE
        middle = math.radians((self._south + self._north) / 2)
        self._lng_step = self._lat_step / max(0.01, math.cos(middle))

    def holds(self, slot: Slot) -> bool:
        """Say whether a place is on the screen."""
        lat, lng = slot[1], slot[2]
        if not self._south <= lat <= self._north:
            return False
        if self._west <= self._east:
            return self._west <= lng <= self._east
        return lng >= self._west or lng <= self._east  # the box crosses the date line

    def shows(self, before: Slot | None, now: Slot) -> bool:
        """Say whether a movement can be seen: it touches the screen and is no smaller than a step."""
        if before is None:
            return self.holds(now)
        if not (self.holds(now) or self.holds(before)):
            return False
        if not self._lat_step:
            return True
        return (now[1] // self._lat_step, now[2] // self._lng_step) != (
            before[1] // self._lat_step,
            before[2] // self._lng_step,
        )


@dataclass(slots=True, eq=False)
class Viewer:
    """One open view."""

    outlet: Outlet
    in_step: bool = field(default=False, init=False)
    """He has had everything so far, and gets the frame that is everybody's: nothing else of him has to be looked at."""
    principal: Principal
    group: Group
    epoch: str = ""
    offset: int = -1
    facts: list[Frame] = field(default_factory=list)
    slots: dict[str, Slot] | None = None
    """What a viewer who reads too slowly will get when he reads again: the newest of each driver."""
    view: View | None = None
    looked: bool = False
    """He has just said what his screen shows."""
    joined: bool = False
    closing: bool = False


class Group:
    """All viewers of one topic."""

    __slots__ = (
        "_heard_ms", "_watching", "board", "drivers", "due_s", "facts", "moved", "numbers", "operator_id", "places",
        "receive", "resync", "topic", "viewers", "waiting",
    )  # fmt: skip

    def __init__(self, topic: str, operator_id: UUID, watching: Watching) -> None:
        self.topic = topic
        self.operator_id = operator_id
        self._watching = watching
        self.board = False
        self.viewers: set[Viewer] = set()
        self.drivers: set[str] = set()
        self.moved: dict[str, Slot] = {}
        self.places: dict[str, Slot] = {}
        """Of a board: where each driver was last shown."""
        self._heard_ms: dict[str, int] = {}
        self.due_s = 0.0
        """Not before this time of the loop does a board get positions again."""
        self.numbers: Frame | None = None
        self.facts: list[Fact] = []
        self.waiting = False
        """A timer will come back to this group."""
        self.receive: Any = None
        self.resync = False

    def learn(self, view: dict[str, Any]) -> None:
        """Take from a whole object which drivers it shows."""
        self.board = view["kind"] == "board"
        shown = view["drivers"] if self.board else [view["driver"]] if view.get("driver") else []
        names = {driver["id"] for driver in shown}
        for name in self.drivers - names:
            self._hide(name)
        for driver in shown:
            self._show(driver)

    def apply(self, changes: list[dict[str, Any]]) -> None:
        """Take from a delta which drivers came and went."""
        for change in changes:
            if change["kind"] == "driver":
                self._show(change)
            elif change["kind"] == "gone":
                self._hide(change["id"])
            elif change["kind"] == "tracking":
                self.learn(change)

    def _show(self, driver: dict[str, Any]) -> None:
        name, place = driver["id"], driver.get("position")
        if self.board and place is not None:
            known = self.places.get(name)
            if known is None or known[5] < place["t"]:
                self.places[name] = (name, place["lat"], place["lng"], None, None, place["t"])
            # his place has just been told; from here on everybody's turn comes at a time of his own
            self._heard_ms.setdefault(name, place["t"] - hash(name) % HEARD_EVERY_MS)
        if name not in self.drivers:
            self.drivers.add(name)
            self._watching.add(name, self)

    def _hide(self, name: str) -> None:
        if name in self.drivers:
            self.drivers.discard(name)
            self._watching.discard(name, self)
            self.moved.pop(name, None)
            self.places.pop(name, None)
            self._heard_ms.pop(name, None)

    def forget(self, name: str) -> None:
        """Forget where a driver was."""
        for known in (self.moved, self.places, *(viewer.slots or {} for viewer in self.viewers)):
            known.pop(name, None)

    def close(self) -> None:
        """Forget all drivers."""
        for name in list(self.drivers):
            self._hide(name)

    def take_moves(self) -> Moves:
        """Return what moved since the last time."""
        moved, self.moved = self.moved, {}
        if not self.board:
            return Moves(list(moved.values()))
        known = []
        for name, slot in moved.items():
            must = slot[5] - self._heard_ms.get(name, 0) >= HEARD_EVERY_MS
            if must:
                self._heard_ms[name] = slot[5]
            known.append((self.places.get(name), must))
            self.places[name] = slot
        return Moves(list(moved.values()), known)

    def on_screen(self, view: View) -> list[Slot]:
        """Return where everybody is who can be seen on a screen."""
        return [slot for slot in self.places.values() if view.holds(slot)]


@dataclass(slots=True)
class Moves:
    """What moved, and on a board for each: where it was shown before, and whether everybody must hear of it."""

    now: list[Slot]
    known: list[tuple[Slot | None, bool]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.now)

    def seen_by(self, view: View | None) -> list[Slot]:
        """Return the movements that a viewer gets."""
        if view is None:
            return self.now
        pairs = zip(self.now, self.known, strict=True)
        return [now for now, (before, must) in pairs if must or view.shows(before, now)]


class Watching:
    """Which groups show a driver, so that a position costs only those who see it."""

    def __init__(self) -> None:
        self._watched: dict[bytes, tuple[str, set[Group]]] = {}

    def add(self, name: str, group: Group) -> None:
        """A group shows a driver from now on."""
        self._watched.setdefault(parse(Kind.DRIVER, name).bytes, (name, set()))[1].add(group)

    def discard(self, name: str, group: Group) -> None:
        """A group shows a driver no more."""
        driver = parse(Kind.DRIVER, name).bytes
        groups = self._watched[driver][1]
        groups.discard(group)
        if not groups:
            del self._watched[driver]

    def of(self, driver: bytes) -> tuple[str, Iterable[Group]] | None:
        """Return what a driver is called on the wire and the groups that show him; None: nobody looks."""
        return self._watched.get(driver)

    def empty(self) -> bool:
        """Say whether nobody is watched."""
        return not self._watched


def offset_of(frame: Frame) -> int:
    """Return a fact's number; -1 of any other message."""
    return frame.message.offset if isinstance(frame.message, Delta) else -1
