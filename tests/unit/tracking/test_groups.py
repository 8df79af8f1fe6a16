"""Which positions a viewer gets: those of the drivers in its object, and of a board those that its screen can show."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kernel.ids import Kind, new_id, show
from tracking.groups import HEARD_EVERY_MS, Group, Slot, View, Watching
from tracking.wire import Look

HELSINKI = Look((60.15, 24.90, 60.20, 25.00), step_m=40.0)
WHOLE_WORLD = Look((-90, -180, 90, 180))


def driver(lat: float | None = None, lng: float = 24.95, t: int = 0) -> dict[str, Any]:
    position = None if lat is None else {"lat": lat, "lng": lng, "t": t}
    return {"kind": "driver", "id": show(Kind.DRIVER, new_id()), "position": position}


def board(*drivers: dict[str, Any]) -> tuple[Group, Watching]:
    watching = Watching()
    group = Group("board:1", new_id(), watching)
    group.learn({"kind": "board", "drivers": list(drivers)})
    return group, watching


def moves(group: Group, who: dict[str, Any], lat: float, lng: float, t_ms: int) -> list[Slot]:
    """Let a driver move; return what the viewer of Helsinki gets."""
    group.moved[who["id"]] = (who["id"], lat, lng, None, None, t_ms)
    return group.take_moves().seen_by(View(HELSINKI))


def test_a_screen_gets_what_is_on_it_in_steps_that_its_zoom_can_show() -> None:
    """A board hears of a driver that moves on its screen by a step or more, and of one that leaves it."""
    dora = driver(60.17, t=1)
    group, _ = board(dora)
    group.take_moves()
    first = HEARD_EVERY_MS + 1
    assert moves(group, dora, 60.171, 24.95, first)
    assert not moves(group, dora, 60.17101, 24.95, first + 1000), "a metre on a map of a city"
    assert moves(group, dora, 60.172, 24.95, first + 2000)
    assert moves(group, dora, 60.25, 24.95, first + 3000), "he left the screen, which has to be seen"
    assert not moves(group, dora, 60.26, 24.95, first + 4000), "elsewhere"


def test_a_board_hears_of_everybody_now_and_then() -> None:
    """A driver off the screen is not taken for one whose phone is silent."""
    dora = driver(60.30, t=0)
    group, _ = board(dora)
    assert moves(group, dora, 60.31, 24.95, HEARD_EVERY_MS)
    assert not moves(group, dora, 60.32, 24.95, HEARD_EVERY_MS + 1_000)
    assert moves(group, dora, 60.33, 24.95, 2 * HEARD_EVERY_MS)


def test_everybodys_turn_to_be_heard_of_is_another() -> None:
    """A board that has just been shown a thousand drivers is not told of all of them again when they move on."""
    many = [driver(60.30, t=0) for _ in range(1_000)]
    group, _ = board(*many)
    turn_ms = HEARD_EVERY_MS // 10
    heard = [sum(bool(moves(group, one, 60.31, 24.95, (n + 1) * turn_ms)) for one in many) for n in range(10)]
    assert sum(heard) == len(many)
    assert max(heard) < 200


def test_a_screen_that_moved_gets_all_who_are_on_it() -> None:
    """Places are remembered by the group."""
    dora, emil = driver(60.17, t=1), driver(60.25, t=1)
    group, _ = board(dora, emil, driver())
    assert [slot[0] for slot in group.on_screen(View(HELSINKI))] == [dora["id"]]
    assert len(group.on_screen(View(WHOLE_WORLD))) == 2


def test_a_position_costs_only_those_who_see_its_driver() -> None:
    """Who came is watched, who left is not: nothing is left behind when a group closes."""
    dora, emil = driver(), driver()
    group, watching = board(dora)
    own = Group("delivery:1", new_id(), watching)
    own.learn({"kind": "tracking", "driver": dora})
    key = bytes.fromhex(dora["id"][4:])
    assert watching.of(key) == (dora["id"], {group, own})
    group.apply([emil, {"kind": "gone", "id": dora["id"]}])
    own.apply([{"kind": "tracking", "driver": None}])
    assert watching.of(key) is None
    group.close()
    assert watching.empty()


@given(
    st.integers(-85, 84), st.integers(-180, 180), st.integers(1, 5), st.integers(1, 300), st.integers(-85, 85),
    st.integers(-180, 180),
)  # fmt: skip
def test_a_box_may_cross_the_date_line(south: int, west: int, height: int, width: int, lat: int, lng: int) -> None:
    """West greater than east means: around the back."""
    east = west + width if west + width <= 180 else west + width - 360
    view = View(Look((south, west, min(90, south + height), east)))
    inside_lng = (lng - west) % 360 <= (east - west) % 360
    assert view.holds(("d", lat, lng, None, None, 0)) == (south <= lat <= min(90, south + height) and inside_lng)


def test_where_an_erased_driver_was_is_shown_to_nobody_again() -> None:
    """Not on the next screen, nor with the next tick; where others are stays."""
    dora, emil = driver(60.17, t=1), driver(60.171, t=1)
    group, _ = board(dora, emil)
    for who in (dora, emil):
        group.moved[who["id"]] = (who["id"], 60.172, 24.95, None, None, 2)
    group.forget(dora["id"])
    assert [slot[0] for slot in group.take_moves().seen_by(None)] == [emil["id"]]
    assert [slot[0] for slot in group.on_screen(View(WHOLE_WORLD))] == [emil["id"]]
