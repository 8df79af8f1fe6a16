"""The client's side against the server's, over a network that cuts, delays and repeats, with no network and no clock.

What the phone keeps has its effect exactly once and in order, is not forgotten before it is durable, and arrives in
the end, whatever happens on the way.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tracking.client.session import DriverSession as Phone
from tracking.client.session import Effect, Forget, Keep, Message, Send, State, ViewerSession, WakeAfter
from tracking.session import DriverSession as Server

STEP_S = 0.05
CALM_ROUNDS_MAX = 300


@dataclass(eq=False)
class Wire:
    """One connection: what is under way in it, and the server's end."""

    up: deque[Message] = field(default_factory=deque)
    down: deque[Message] = field(default_factory=deque)
    server: Server | None = None


@dataclass
class Road:
    """A phone with its store, a server with what is durable, and all connections there ever were."""

    random: Random
    now_s: float = 0.0
    store: dict[int, Message] = field(default_factory=dict)
    last_seq: int = 0
    phone: Phone = field(init=False)
    wire: Wire | None = None
    wires: list[Wire] = field(default_factory=list)
    wake: bool = False
    durable: int = 0
    pending: deque[tuple[Wire, Message]] = field(default_factory=deque)
    made: int = 0
    happened: list[int] = field(default_factory=list)
    acted: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.phone = self._phone()

    def _phone(self) -> Phone:
        kept = [self.store[seq] for seq in sorted(self.store)]
        return Phone("ses_token", "phone", random=lambda: 0.5, kept=kept, last_seq=self.last_seq)

    # --- what can happen ------------------------------------------------------------------------------------------

    def take_fix(self) -> None:
        self.made += 1
        self._do(self.phone.fixes([{"t": self.made, "lat": 60.0, "lng": 24.0}]))

    def act(self) -> None:
        self.made += 1
        self.acted.append(self.made)
        self._do(self.phone.act("status", str(self.made), self.made, {}))

    def connect(self) -> None:
        if self.wire is None:
            self.wire = Wire()
            self.wires.append(self.wire)
            self._do(self.phone.opened(0))

    def cut(self) -> None:
        """The phone's end is gone; what it had sent may still arrive, or not."""
        if self.wire is not None:
            while self.wire.up and self.random.random() < 0.3:
                self.wire.up.pop()
            self.wire = None
            self._do(self.phone.closed(1006))

    def kill_phone(self) -> None:
        """The app dies and starts again, with its store."""
        self.wire, self.wake = None, False
        self.phone = self._phone()

    def kill_server(self) -> None:
        """What is not durable is gone, and so is every connection."""
        self.pending.clear()
        self.wires.clear()
        self.cut()

    def rise(self) -> None:
        """A frame reaches the server: of any connection, the phone's own or one that it has given up."""
        waiting = [wire for wire in self.wires if wire.up]
        if waiting:
            wire = self.random.choice(waiting)
            self._serve(wire, wire.up.popleft(), overloaded=self.random.random() < 0.1)

    def fall(self) -> None:
        """A frame reaches the phone."""
        if self.wire is not None and self.wire.down:
            self._do(self.phone.received(self.wire.down.popleft()))

    def commit(self) -> None:
        """Some of what waits becomes durable, and is acknowledged where it came in."""
        for _ in range(self.random.randint(0, len(self.pending))):
            wire, frame = self.pending.popleft()
            for fix in frame.get("fixes", ()):
                self._effect(fix["t"])
            self.durable = frame["seq"]  # as it is kept: a late frame of an old connection moves it back
            assert wire.server is not None
            if wire.server.done(frame["seq"]):
                wire.down.append({"type": "ack", "seq": wire.server.durable})

    def wake_up(self) -> None:
        if self.wake:
            self.wake = False
            self._do(self.phone.woken())

    # --- both ends ------------------------------------------------------------------------------------------------

    def _serve(self, wire: Wire, message: Message, *, overloaded: bool) -> None:
        if message["type"] == "hello":
            wire.server = Server(self.durable)
            wire.down.append({"type": "welcome", "resume_seq": self.durable, "state": {}})
            return
        assert wire.server is not None, "a frame before the hello"
        seq = message["seq"]
        refusal = wire.server.take(seq, self.now_s)
        if refusal == "duplicate":
            wire.down.append({"type": "ack", "seq": wire.server.durable})
        elif refusal is not None:
            wire.down.append({"type": "nack", "seq": seq, "code": refusal, "retry": True})
        elif overloaded:
            wire.server.put_back(seq)
            wire.down.append({"type": "nack", "seq": seq, "code": "overloaded", "retry": True})
        else:
            if message["type"] == "status":
                self._effect(int(message["id"]))
            self.pending.append((wire, message))

    def _effect(self, number: int) -> None:
        """Fixes are known by their time and actions by their id: again is not twice."""
        if number not in self.happened:
            self.happened.append(number)

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(message) if self.wire is not None:
                    self.wire.up.append(message)
                case Keep(frame):
                    self.store[frame["seq"]] = frame
                    self.last_seq = max(self.last_seq, frame["seq"])
                case Forget(frames, acked):
                    assert acked
                    for frame in frames:
                        self._check_forgotten(frame)
                        del self.store[frame["seq"]]
                case WakeAfter():
                    self.wake = True

    def _check_forgotten(self, frame: Message) -> None:
        numbers = [fix["t"] for fix in frame["fixes"]] if frame["type"] == "fixes" else [int(frame["id"])]
        assert set(numbers) <= set(self.happened), "forgotten before it was durable"

    def calm(self) -> None:
        """The weather is good from now on: all that is kept must get through."""
        for _ in range(CALM_ROUNDS_MAX):
            if not self.phone.kept and not self.pending:
                return
            self.now_s += 1.0
            self.connect()
            for wire in self.wires:
                while wire.up:
                    self._serve(wire, wire.up.popleft(), overloaded=False)
            while self.pending:
                self.commit()
            while self.wire is not None and self.wire.down:
                self.fall()
            self.wake_up()
        raise AssertionError(f"{self.phone.kept} frames never got through")


STEPS = [
    *[Road.take_fix, Road.act] * 6,
    *[Road.rise, Road.fall] * 20,
    *[Road.connect, Road.commit] * 6,
    *[Road.wake_up] * 4,
    *[Road.cut, Road.kill_phone, Road.kill_server],
]


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), length=st.integers(1, 400))
def test_whatever_the_network_does_all_that_is_kept_happens_once_and_in_order(seed: int, length: int) -> None:
    """Cuts, delays, connections that overtake each other, overload, and both ends dying in the middle."""
    road = Road(Random(seed))
    for _ in range(length):
        road.now_s += STEP_S
        road.random.choice(STEPS)(road)
    road.calm()
    assert sorted(road.happened) == list(range(1, road.made + 1))
    assert road.store == {}
    assert [number for number in road.happened if number in road.acted] == road.acted


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_day_saved_up_gets_through_the_rate_limit(seed: int) -> None:
    """A thousand actions made off line: refused for now, sent again, each done once, in order."""
    road = Road(Random(seed))
    for _ in range(1_000):
        road.act()
    road.calm()
    assert road.happened == list(range(1, 1_001))


KINDS = {"delivery": "deliveries", "driver": "drivers", "store": "stores", "alert": "alerts"}


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), length=st.integers(0, 60))
def test_a_viewer_that_was_away_ends_with_what_a_fresh_snapshot_shows(seed: int, length: int) -> None:
    """Whether he is given what he missed or a whole new object, and whatever he is told twice."""
    random = Random(seed)
    board: dict[str, dict[str, Any]] = {name: {} for name in KINDS.values()}
    history: list[list[Any]] = []
    viewer = ViewerSession("ses_token", random=lambda: 0.5)

    def whole() -> dict[str, Any]:
        lists = {name: [items[key] for key in sorted(items)] for name, items in board.items()}
        return {"kind": "board", "scope": {"id": "biz_1"}, **lists}

    def change() -> None:
        kind, number = random.choice(list(KINDS)), random.randint(1, 4)
        items, key = board[KINDS[kind]], f"{kind}_{number}"
        if key in items and random.random() < 0.3:
            del items[key]
            history.append([{"kind": "gone", "id": key}])
        else:
            version = items[key]["version"] + 1 if key in items else random.randint(1, 3)
            items[key] = {"kind": kind, "id": key, "version": version, "said": random.random()}
            history.append([items[key]])

    def catch_up() -> None:
        (watch,) = [effect.message for effect in viewer.opened(0) if isinstance(effect, Send)]
        since = watch.get("since")
        if since is not None and random.random() < 0.6:
            viewer.received({"type": "resumed", "epoch": "e", "offset": since["offset"]})
            for offset in range(since["offset"], len(history)):
                viewer.received({"type": "delta", "offset": offset + 1, "changes": history[offset]})
        else:
            viewer.received({"type": "snapshot", "epoch": "e", "offset": len(history), "object": whole()})

    for _ in range(length):
        change()
        if viewer.state is State.LIVE and random.random() < 0.3:
            viewer.closed(1006)
        elif viewer.state is State.LIVE:
            viewer.received({"type": "delta", "offset": len(history), "changes": history[-1]})
        elif random.random() < 0.5:
            catch_up()
    if viewer.state is not State.LIVE:
        catch_up()
    assert viewer.view.object == whole()
