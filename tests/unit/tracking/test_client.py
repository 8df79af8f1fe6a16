"""The client's two state machines, its view and its stores, with no network and no clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tracking.client.session import (
    ConnectAfter,
    DriverSession,
    Effect,
    Forget,
    Full,
    Limits,
    Message,
    Send,
    State,
    Stop,
    Tell,
    ViewerSession,
    WakeAfter,
)
from tracking.client.store import MemoryStore, SqliteStore, Store
from tracking.client.view import View

WELCOME: Message = {"type": "welcome", "resume_seq": 0, "state": {}}


def fix(t: int) -> Message:
    return {"t": t, "lat": 60.17, "lng": 24.94}


def driver(limits: Limits | None = None, **more: Any) -> DriverSession:
    return DriverSession("ses_token", "phone", random=lambda: 0.5, limits=limits, **more)


def live(session: DriverSession, resume_seq: int = 0) -> list[int]:
    """Open a socket, be welcomed, and return what is sent."""
    session.opened(1)
    return sent(session.received({**WELCOME, "resume_seq": resume_seq}))


def sent(effects: list[Effect]) -> list[int]:
    return [effect.message["seq"] for effect in effects if isinstance(effect, Send)]


def test_nothing_is_sent_before_the_welcome_and_everything_after_it() -> None:
    """The welcome says where to go on."""
    session = driver()
    session.act("availability", "a", 1, {"state": "available"})
    hello = session.opened(7)
    assert [effect.message["type"] for effect in hello if isinstance(effect, Send)] == ["hello"]
    assert sent(session.act("availability", "b", 2, {"state": "offline"})) == []
    assert sent(session.received(WELCOME)) == [1, 2]


def test_a_frame_is_forgotten_when_it_is_acknowledged_and_not_before() -> None:
    """An ack before the welcome, or of another socket, is no ack."""
    session = driver()
    session.fixes([fix(1)])
    session.opened(1)
    session.received({"type": "ack", "seq": 1})
    assert session.kept == 1
    session.received(WELCOME)
    forgotten = [e for e in session.received({"type": "ack", "seq": 1}) if isinstance(e, Forget)]
    assert [[frame["seq"] for frame in effect.frames] for effect in forgotten] == [[1]]
    assert session.kept == 0


def test_after_a_cut_what_was_not_acknowledged_is_sent_again_with_the_same_numbers() -> None:
    """In the same order, and before anything newer."""
    session = driver()
    live(session)
    for number in range(4):
        session.fixes([fix(number)])
    session.received({"type": "ack", "seq": 2})
    session.closed(1006)
    session.act("availability", "a", 1, {"state": "offline"})
    assert live(session, resume_seq=3) == [4, 5]


def test_a_frame_refused_for_now_is_sent_again_after_a_pause_with_all_later_ones() -> None:
    """Each of them is refused by itself; that makes one pause, not many."""
    session = driver()
    live(session)
    for number in range(4):
        session.fixes([fix(number)])
    nacks = [session.received({"type": "nack", "seq": seq, "code": "x", "retry": True}) for seq in (2, 3, 4)]
    assert [isinstance(effect, WakeAfter) for effects in nacks for effect in effects].count(True) == 1
    assert sent(session.fixes([fix(9)])) == []
    assert sent(session.woken()) == [2, 3, 4, 5]


def test_a_frame_refused_for_good_waits_for_its_ack_like_any_other() -> None:
    """The server counts it as handled."""
    session = driver()
    live(session)
    session.act("availability", "a", 1, {"state": "lost"})
    session.received({"type": "nack", "seq": 1, "code": "x", "retry": False})
    assert session.kept == 1
    session.received({"type": "ack", "seq": 1})
    assert session.kept == 0


def test_so_many_frames_are_in_flight_and_no_more() -> None:
    """The server is not flooded by a day that was saved up."""
    session = driver(Limits(frames_in_flight_max=3))
    for number in range(5):
        session.act("status", str(number), 1, {})
    assert live(session) == [1, 2, 3]
    assert sent(session.received({"type": "ack", "seq": 2})) == [4, 5]


def test_readings_taken_off_line_share_frames_and_never_one_that_was_sent() -> None:
    """What the server may know under a number does not change under it."""
    session = driver()
    live(session)
    session.fixes([fix(1)])
    session.closed(1006)
    session.fixes([fix(2)])
    session.fixes([fix(3)])
    session.opened(1)
    effects = session.received(WELCOME)
    frames = [effect.message["fixes"] for effect in effects if isinstance(effect, Send)]
    assert [[f["t"] for f in fixes] for fixes in frames] == [[1], [2, 3]]


def test_when_there_is_no_room_the_oldest_readings_go_and_never_an_action() -> None:
    """A bound on everything; what is dropped is told."""
    session = driver(Limits(frames_kept_max=3))
    session.fixes([fix(1)])
    session.act("status", "a", 1, {})
    session.fixes([fix(2)])
    dropped = [e for e in session.act("status", "b", 2, {}) if isinstance(e, Forget)]
    assert [(e.acked, e.frames[0]["fixes"]) for e in dropped] == [(False, [fix(1)])]
    session.act("status", "c", 3, {})
    with pytest.raises(Full):
        session.act("status", "d", 4, {})
    assert session.kept == 3


@pytest.mark.parametrize("code", [1000, 1006, 1011, 4000, 4001, 4002, 4099])
def test_a_lost_socket_is_opened_again_later_and_later(code: int) -> None:
    """With jitter, up to a bound, and at once again after a welcome."""
    session = driver(Limits(backoff_min_s=1, backoff_max_s=4))
    waits = [effect.after_s for _ in range(4) for effect in session.closed(code) if isinstance(effect, ConnectAfter)]
    assert waits == [1, 2, 4, 4]
    live(session)
    assert session.closed(code) == [ConnectAfter(1)]


@pytest.mark.parametrize("code", [4100, 4101, 4200, 4201, 4202, 4203])
def test_a_refusal_stops_until_the_app_opens_again_and_loses_nothing(code: int) -> None:
    """With a new token, say."""
    session = driver()
    live(session)
    session.fixes([fix(1)])
    assert session.closed(code, "why") == [Stop(code, "why")]
    assert session.state is State.STOPPED
    assert live(session) == [1]


def test_what_a_newer_server_says_changes_nothing_and_is_shown_to_the_app() -> None:
    """An event without a row in the table does no harm."""
    session = driver()
    live(session)
    before = session.state
    assert session.received({"type": "weather"}) == [Tell({"type": "weather"})]
    assert session.state is before


def test_hello_names_the_last_message_the_phone_has() -> None:
    """So that the welcome brings those after it."""
    session = driver()
    live(session)
    session.received({"type": "message", "id": "msg_2"})
    session.received({"type": "message", "id": "msg_1"})
    session.closed(1006)
    hello = session.opened(1)[0]
    assert isinstance(hello, Send)
    assert hello.message["last_event"] == "msg_2"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "outbox.db")


def test_every_store_begins_empty_with_a_device_of_its_own(store: Store) -> None:
    """A device that lost its store is a new one."""
    saved = store.load()
    assert (saved.last_seq, saved.frames) == (0, ())
    assert saved.device_id != MemoryStore().load().device_id
    store.keep({"seq": 1, "type": "fixes", "fixes": []})
    store.forget([1])


def test_a_file_keeps_what_is_unsent_and_the_last_number_over_the_end_of_the_app(tmp_path: Path) -> None:
    """A number is never given twice, or the server would take a new frame for an old one."""
    first = SqliteStore(tmp_path / "outbox.db")
    device_id = first.load().device_id
    for seq in (1, 2, 3):
        first.keep({"seq": seq, "type": "fixes", "fixes": [fix(seq)]})
    first.keep({"seq": 3, "type": "fixes", "fixes": [fix(3), fix(4)]})
    first.forget([1, 2])
    first.close()
    again = SqliteStore(tmp_path / "outbox.db")
    assert again.load().frames == ({"seq": 3, "type": "fixes", "fixes": [fix(3), fix(4)]},)
    again.forget([3])
    saved = again.load()
    assert (saved.device_id, saved.last_seq, saved.frames) == (device_id, 3, ())
    again.close()


def test_a_viewer_asks_for_what_it_missed() -> None:
    """The epoch and the last offset go into the next watch."""
    session = ViewerSession("ses_token", random=lambda: 0.5)
    session.opened(1)
    session.received({"type": "snapshot", "epoch": "e", "offset": 4, "object": {"kind": "tracking", "id": "d"}})
    session.received({"type": "delta", "offset": 5, "changes": []})
    session.closed(1006)
    watch = session.opened(1)[0]
    assert isinstance(watch, Send)
    assert watch.message["since"] == {"epoch": "e", "offset": 5}


def test_a_view_takes_whole_objects_ignores_older_ones_and_never_moves_a_driver_back() -> None:
    """A snapshot with its deltas is what a fresh snapshot would be."""
    view = View()
    place = {"lat": 1.0, "lng": 1.0, "heading": None, "speed_mps": None, "t": 10}
    drivers = [{"kind": "driver", "id": "drv_1", "position": place}]
    board = {"kind": "board", "deliveries": [], "drivers": drivers, "stores": [], "alerts": [], "numbers": {}}
    view.take({"type": "snapshot", "object": board})
    view.take({"type": "positions", "positions": [["drv_1", 2.0, 2.0, None, None, 20]]})
    view.take({"type": "positions", "positions": [["drv_1", 9.0, 9.0, None, None, 15]]})
    changes = [
        {"kind": "driver", "id": "drv_1", "state": "busy", "position": place},
        {"kind": "delivery", "id": "del_2", "version": 3},
        {"kind": "delivery", "id": "del_1", "version": 1},
        {"kind": "delivery", "id": "del_2", "version": 2},
        {"kind": "weather", "id": "w"},
    ]
    view.take({"type": "delta", "offset": 1, "changes": changes})
    view.take({"type": "numbers", "numbers": {"open": 2}})
    seen = view.object
    assert [(d["id"], d["version"]) for d in seen["deliveries"]] == [("del_1", 1), ("del_2", 3)]
    assert (seen["drivers"][0]["state"], seen["drivers"][0]["position"]["lat"]) == ("busy", 2.0)
    assert seen["numbers"] == {"open": 2}
    view.take({"type": "delta", "offset": 2, "changes": [{"kind": "gone", "id": "drv_1"}]})
    assert view.object["drivers"] == []
