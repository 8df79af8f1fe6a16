"""Each side of a socket as a state machine without I/O: what happened goes in, what to do about it comes out.

Time and randomness come in, too, so that the same events always have the same effects. The tables below are the
machines: an event without a row changes nothing, so a message of a newer server does no harm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Final

from tracking.client.view import View

Message = dict[str, Any]

STOP_CODES: Final = range(4100, 4300)
"""Close codes after which coming back like this makes no sense: 41xx wants a new token first, 42xx nothing at all."""
FIXES_TOGETHER_MAX: Final = 100


class State(StrEnum):
    """Where a side is."""

    AWAY = "away"
    GREETING = "greeting"
    LIVE = "live"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept and sent at once, and how long is waited."""

    frames_kept_max: int = 20_000
    frames_in_flight_max: int = 64
    resend_after_s: float = 0.3
    backoff_min_s: float = 0.1
    backoff_max_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Send:
    """Write this message to the open socket."""

    message: Message


@dataclass(frozen=True, slots=True)
class Keep:
    """Write this frame to the store before it is sent; one with the same `seq` is replaced."""

    frame: Message


@dataclass(frozen=True, slots=True)
class Forget:
    """These frames are done: delete them from the store. `acked`: the server has them; else there was no room."""

    frames: tuple[Message, ...]
    acked: bool


@dataclass(frozen=True, slots=True)
class Tell:
    """Show this message to the app."""

    message: Message


@dataclass(frozen=True, slots=True)
class WakeAfter:
    """Call `woken` after so many seconds."""

    after_s: float


@dataclass(frozen=True, slots=True)
class ConnectAfter:
    """The socket is gone: open a new one after so many seconds."""

    after_s: float


@dataclass(frozen=True, slots=True)
class Stop:
    """The server closed with a code that means: do not come back like this."""

    code: int
    reason: str


Effect = Send | Keep | Forget | Tell | WakeAfter | ConnectAfter | Stop


class Full(Exception):
    """The store is full of actions that were never acknowledged: nothing more can be kept."""


class _Side:
    """What both sides share: one socket after the other, with back-off and jitter between them."""

    def __init__(self, token: str, random: Callable[[], float], limits: Limits) -> None:
        self.token = token
        self.state = State.AWAY
        self._random = random
        self._limits = limits
        self._backoff_s = limits.backoff_min_s

    def opened(self, now_ms: int) -> list[Effect]:
        """Handle that a socket is open."""
        return self._step("opened", {"now_ms": now_ms})

    def received(self, message: Message) -> list[Effect]:
        """Handle a message of the server; the app is shown every one."""
        return [*self._step(str(message.get("type")), message), Tell(message)]

    def closed(self, code: int, reason: str = "") -> list[Effect]:
        """Handle that the socket is gone, or could not be opened (1006)."""
        return self._step("refused" if code in STOP_CODES else "lost", {"code": code, "reason": reason})

    def _step(self, event: str, message: Message) -> list[Effect]:
        row = self.table.get((self.state, event))
        if row is None:
            return []
        self.state, act = row
        return act(self, message)

    def _lost(self, _: Message) -> list[Effect]:
        after_s = self._backoff_s * (0.5 + self._random())
        self._backoff_s = min(self._backoff_s * 2, self._limits.backoff_max_s)
        return [ConnectAfter(after_s)]

    def _refused(self, closed: Message) -> list[Effect]:
        return [Stop(closed["code"], closed["reason"])]

    table: ClassVar[Mapping[tuple[State, str], tuple[State, Callable[..., list[Effect]]]]] = {
        (State.AWAY, "lost"): (State.AWAY, _lost),
        (State.GREETING, "lost"): (State.AWAY, _lost),
        (State.LIVE, "lost"): (State.AWAY, _lost),
        (State.STOPPED, "lost"): (State.AWAY, _lost),
        (State.GREETING, "refused"): (State.STOPPED, _refused),
        (State.LIVE, "refused"): (State.STOPPED, _refused),
    }


class DriverSession(_Side):
    """A driver's side: every frame is kept until it is acknowledged, and sent in order, a window at a time.

    `kept` are the frames of an earlier life, oldest first, and `last_seq` the highest number ever given to one.
    """

    def __init__(
        self,
        token: str,
        device_id: str,
        *,
        random: Callable[[], float],
        kept: Iterable[Message] = (),
        last_seq: int = 0,
        app: str = "onward-client/1",
        limits: Limits | None = None,
    ) -> None:
        super().__init__(token, random, limits or Limits())
        self._device_id = device_id
        self._app = app
        self._waiting = deque(kept)
        self._flying: deque[Message] = deque()
        self._last_seq = max(last_seq, self._waiting[-1]["seq"] if self._waiting else 0)
        self._sent_ever = self._last_seq
        self._last_event = ""
        self._pausing = False

    @property
    def kept(self) -> int:
        """How many frames wait for their acknowledgement."""
        return len(self._waiting) + len(self._flying)

    def fixes(self, fixes: list[Message]) -> list[Effect]:
        """Keep readings, and send them when there is a socket; while there is none, they share frames."""
        last = self._waiting[-1] if self._waiting else None
        if last is not None and last["type"] == "fixes" and last["seq"] > self._sent_ever:
            together = [*last["fixes"], *fixes]
            if len(together) <= FIXES_TOGETHER_MAX:
                self._waiting[-1] = {**last, "fixes": together}
                return [Keep(self._waiting[-1])]
        return self._keep({"type": "fixes", "fixes": fixes})

    def act(self, kind: str, action_id: str, t_ms: int, fields: Message) -> list[Effect]:
        """Keep an action with the id and the time that the phone gave it, and send it when there is a socket."""
        return self._keep({"type": kind, "id": action_id, "t": t_ms, **fields})

    def woken(self) -> list[Effect]:
        """Handle that the time of a `WakeAfter` is over: what was refused for a while is sent again."""
        self._pausing = False
        return self._fill()

    def _keep(self, message: Message) -> list[Effect]:
        effects = self._make_room()
        self._last_seq += 1
        frame = {**message, "seq": self._last_seq}
        self._waiting.append(frame)
        return [*effects, Keep(frame), *self._fill()]

    def _make_room(self) -> list[Effect]:
        """Drop the oldest readings when there is no room; an action is never dropped."""
        if self.kept < self._limits.frames_kept_max:
            return []
        for number, frame in enumerate(self._waiting):
            if frame["type"] == "fixes":
                del self._waiting[number]
                return [Forget((frame,), acked=False)]
        raise Full

    def _fill(self) -> list[Effect]:
        effects: list[Effect] = []
        if self.state is State.LIVE and not self._pausing:
            while self._waiting and len(self._flying) < self._limits.frames_in_flight_max:
                frame = self._waiting.popleft()
                self._flying.append(frame)
                self._sent_ever = max(self._sent_ever, frame["seq"])
                effects.append(Send(frame))
        return effects

    def _hello(self, opened: Message) -> list[Effect]:
        self._waiting.extendleft(reversed(self._flying))
        self._flying.clear()
        self._pausing = False
        hello = {
            "type": "hello",
            "token": self.token,
            "device_id": self._device_id,
            "app": self._app,
            "clock_ms": opened["now_ms"],
            "last_acked_seq": (self._waiting[0]["seq"] if self._waiting else self._last_seq + 1) - 1,
            "last_event": self._last_event,
        }
        return [Send(hello)]

    def _welcome(self, welcome: Message) -> list[Effect]:
        self._backoff_s = self._limits.backoff_min_s
        self._last_seq = max(self._last_seq, welcome["resume_seq"])
        for message in welcome["state"].get("messages", ()):
            self._note(message)
        return self._done_up_to(welcome["resume_seq"])

    def _ack(self, ack: Message) -> list[Effect]:
        return self._done_up_to(ack["seq"])

    def _done_up_to(self, seq: int) -> list[Effect]:
        done = []
        for frames in (self._flying, self._waiting):
            while frames and frames[0]["seq"] <= seq:
                done.append(frames.popleft())
        return ([Forget(tuple(done), acked=True)] if done else []) + self._fill()

    def _nack(self, nack: Message) -> list[Effect]:
        """Take a refused frame and all later ones back, and pause; one refused for good gets its ack all the same."""
        if not nack["retry"] or not any(frame["seq"] == nack["seq"] for frame in self._flying):
            return []
        while self._flying and self._flying[-1]["seq"] >= nack["seq"]:
            self._waiting.appendleft(self._flying.pop())
        if self._pausing:
            return []
        self._pausing = True
        return [WakeAfter(self._limits.resend_after_s)]

    def _pong(self, ping: Message) -> list[Effect]:
        return [Send({"type": "pong", "t": ping["t"]})]

    def _note(self, message: Message) -> list[Effect]:
        self._last_event = max(self._last_event, message["id"])
        return []

    table: ClassVar = {
        **_Side.table,
        (State.AWAY, "opened"): (State.GREETING, _hello),
        (State.STOPPED, "opened"): (State.GREETING, _hello),
        (State.GREETING, "welcome"): (State.LIVE, _welcome),
        (State.LIVE, "ack"): (State.LIVE, _ack),
        (State.LIVE, "nack"): (State.LIVE, _nack),
        (State.LIVE, "message"): (State.LIVE, _note),
        (State.LIVE, "ping"): (State.LIVE, _pong),
    }


class ViewerSession(_Side):
    """A viewer's side: it keeps the object that it watches, and asks for what it missed after a cut."""

    def __init__(self, token: str, *, random: Callable[[], float], limits: Limits | None = None) -> None:
        super().__init__(token, random, limits or Limits())
        self.view = View()
        self._since: Message | None = None
        self._look: Message | None = None

    def look(self, south: float, west: float, north: float, east: float, step_m: float = 0.0) -> list[Effect]:
        """Say what a board's screen shows, and what a movement must be to be seen; said again after every cut."""
        self._look = {"type": "look", "box": [south, west, north, east], "step_m": step_m}
        return [Send(self._look)] if self.state is State.LIVE else []

    def _watch(self, _: Message) -> list[Effect]:
        watch = {"type": "watch", "token": self.token}
        first = Send(watch if self._since is None else {**watch, "since": dict(self._since)})
        return [first] if self._look is None else [first, Send(self._look)]

    def _begin(self, message: Message) -> list[Effect]:
        self._backoff_s = self._limits.backoff_min_s
        self._since = {"epoch": message["epoch"], "offset": message["offset"]}
        return self._see(message)

    def _delta(self, delta: Message) -> list[Effect]:
        if self._since is not None:
            self._since["offset"] = delta["offset"]
        return self._see(delta)

    def _see(self, message: Message) -> list[Effect]:
        self.view.take(message)
        return []

    table: ClassVar = {
        **_Side.table,
        (State.AWAY, "opened"): (State.GREETING, _watch),
        (State.STOPPED, "opened"): (State.GREETING, _watch),
        (State.GREETING, "snapshot"): (State.LIVE, _begin),
        (State.GREETING, "resumed"): (State.LIVE, _begin),
        (State.LIVE, "snapshot"): (State.LIVE, _begin),
        (State.LIVE, "resumed"): (State.LIVE, _begin),
        (State.LIVE, "delta"): (State.LIVE, _delta),
        (State.LIVE, "positions"): (State.LIVE, _see),
        (State.LIVE, "numbers"): (State.LIVE, _see),
    }
