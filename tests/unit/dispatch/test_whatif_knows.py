"""A played day knows what was that day: refusals, pauses, a dispatcher's hand, windows, late kitchens, detours."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from dispatch.policy import Mode, Policies, Policy, PolicyChange
from dispatch.whatif.change import Change, changed
from dispatch.whatif.compare import compare
from dispatch.whatif.given import Pin, Refusal
from dispatch.whatif.outcome import Outcome
from dispatch.whatif.past import PastDay
from dispatch.whatif.played import play
from dispatch.whatif.roads import legs_of
from geo.distance import destination
from geo.travel import CrowFlies
from tests.support.pastday import a_day

NEAREST, OTHER, THIRD = (UUID(int=1_000 + n) for n in range(3))


def played(day: PastDay) -> Outcome:
    """Play a day as it is."""
    legs, _, places = legs_of(day, CrowFlies())
    return play(day, legs, places, lambda share: None)


def with_first(day: PastDay, **what: Any) -> PastDay:
    """Return the day with another first delivery."""
    first, *others = day.deliveries
    return msgspec.structs.replace(day, deliveries=(msgspec.structs.replace(first, **what), *others))


def under(day: PastDay, **fields: Any) -> PastDay:
    """Return the day under another policy."""
    return msgspec.structs.replace(day, policies=Policies(Policy(**fields)))


def alone(drivers: int = 2) -> PastDay:
    """Return a day of one delivery."""
    return a_day(deliveries=1, drivers=drivers)


def test_who_declined_it_that_day_declines_it_again() -> None:
    """The next one has it, later by the time that the answer took; drivers the alternative adds accept."""
    usual = played(alone())
    chosen = usual.driver[0]
    other = OTHER if chosen == NEAREST else NEAREST
    refused = with_first(alone(), refusals={chosen: (Refusal(20),)})
    outcome = played(refused)
    assert outcome.driver[0] == other
    assert outcome.told_s[0] >= usual.told_s[0] + 20
    both = with_first(alone(), refusals={NEAREST: (Refusal(20),) * 99, OTHER: (Refusal(20),) * 99})
    assert 0 not in played(both).door_s
    twin = changed(both, Change(drivers=1)).shifts[-1].driver_id
    assert played(changed(both, Change(drivers=1))).driver[0] == twin


def test_what_many_refused_rests_and_who_misses_offers_is_left_in_peace() -> None:
    """An offer that passes takes as long as offers are open, under the policy that is played."""
    day = with_first(alone(3), refusals={who: (Refusal(25, missed=True),) for who in (NEAREST, OTHER, THIRD)})
    first, longer = played(day), played(under(day, offer_ttl_s=120))
    usual = played(alone(3))
    assert 0 not in played(under(day, decline_cooldown_s=86_400)).door_s
    assert first.told_s[0] > usual.told_s[0] + 3 * 30 + 60
    assert longer.told_s[0] > first.told_s[0]


def test_nobody_is_asked_while_its_zone_is_paused() -> None:
    """It goes on by itself when the pause is over; a dispatcher's pin goes over it."""
    day = with_first(alone(), paused=((40_000, 46_800),))
    outcome = played(day)
    assert 46_800 <= outcome.told_s[0] <= 46_800 + 60
    pinned = with_first(day, pins=(Pin(43_500, OTHER),))
    assert played(pinned).driver[0] == OTHER
    assert played(pinned).told_s[0] < 46_800


def test_a_dispatchers_hand_is_felt_again_while_his_driver_is_there() -> None:
    """The pinned driver brings it, taken from who has it; without him the engine chooses."""
    usual = played(alone())
    other = OTHER if usual.driver[0] == NEAREST else NEAREST
    after_s = usual.told_s[0] + 40
    assert usual.picked_s[0] > after_s
    taken = played(with_first(alone(), pins=(Pin(after_s, other),)))
    assert (taken.driver[0], taken.told_s[0] >= after_s) == (other, True)
    assert any(move.driver_id == usual.driver[0] for move in taken.moves)
    back = played(with_first(alone(), pins=(Pin(after_s, None),)))
    assert back.driver[0] == other
    gone = with_first(alone(), pins=(Pin(after_s, UUID(int=7)),))
    assert played(gone) == usual


def test_by_hand_nothing_is_given_before_somebody_gave_it() -> None:
    """Where a dispatcher decides, a delivery waits for the moment at which he did."""
    day = under(with_first(alone(), assigned_s=None, pins=(Pin(45_000, OTHER),)), mode=Mode.MANUAL)
    outcome = played(day)
    assert (outcome.driver[0], 45_000 <= outcome.told_s[0] <= 45_060) == (OTHER, True)
    never = under(with_first(alone(), assigned_s=None), mode=Mode.MANUAL)
    assert 0 not in played(never).door_s
    assert 0 in played(changed(never, Change(policy=PolicyChange(mode=Mode.AUTOMATIC)))).door_s


def test_asked_at_once_the_first_to_accept_has_it() -> None:
    """The best declines at once; the others were asked with him, so nothing is lost but who it is."""
    several = under(alone(3), mode=Mode.OFFER_TO_SEVERAL, offer_to_count=2)
    lived = msgspec.structs.replace(several.lived, answer_s=10)
    several = msgspec.structs.replace(several, lived=lived)
    chosen = played(several).driver[0]
    declined = with_first(several, refusals={chosen: (Refusal(25),)})
    assert played(declined).driver[0] != chosen
    assert played(declined).told_s[0] == played(several).told_s[0]


def test_windows_hold() -> None:
    """Nobody is at the door before it may be knocked at, and it is known an hour before, not a day."""
    day = with_first(alone(), dropoff_from_s=52_000, promised_s=53_000)
    outcome = played(day)
    assert 52_000 <= outcome.door_s[0] <= 53_000
    assert outcome.told_s[0] > 52_000 - 3_600


def test_a_kitchen_is_late_as_it_was_and_nobody_knew() -> None:
    """He is told by what was announced and waits at the store; what was ready early is fetched no earlier for it."""
    usual = played(alone())
    first = alone().deliveries[0]
    late = played(with_first(alone(), was_ready_s=first.ready_s + 600))
    assert late.told_s == usual.told_s
    assert late.picked_s[0] >= first.ready_s + 600
    assert late.door_s[0] - late.picked_s[0] == usual.door_s[0] - usual.picked_s[0]


def test_a_second_store_on_the_way_is_called_at_where_the_policy_allows_it() -> None:
    """One driver, two stores side by side, doors far off in one direction: one trip instead of two, and sooner."""
    day = a_day(deliveries=2, drivers=1, every_s=1)
    first, second = day.deliveries
    store = destination(first.pickup, 0, 150)
    far = [destination(first.pickup, 0, meters) for meters in (3_000, 3_100)]
    day = msgspec.structs.replace(
        day,
        deliveries=(
            msgspec.structs.replace(first, dropoff=far[0]),
            msgspec.structs.replace(second, pickup=store, dropoff=far[1], ready_s=first.ready_s + 300),
        ),
    )
    apart, together = played(day), played(under(day, several_stores=True))
    assert (apart.trips(), together.trips()) == (2, 1)
    assert max(together.door_s.values()) < max(apart.door_s.values())


def test_who_is_on_his_way_turns_round_for_what_lies_behind_him() -> None:
    """A detour that comes up under way starts from where he is by then, and all of his way is counted."""
    day = under(a_day(deliveries=2, drivers=1, every_s=1), several_stores=True, stack_max=3)
    first, second = day.deliveries
    door = destination(first.pickup, 0, 4_000)
    late = msgspec.structs.replace(
        second,
        pickup=destination(first.pickup, 0, 2_000),
        dropoff=destination(first.pickup, 0, 2_300),
        placed_s=first.ready_s + 420,
        ready_s=first.ready_s + 420,
        promised_s=first.ready_s + 1_200,
    )
    day = msgspec.structs.replace(
        day, deliveries=(msgspec.structs.replace(first, dropoff=door, promised_s=90_000), late)
    )
    outcome = played(day)
    assert outcome.trips() == 1
    assert outcome.picked_s[0] < outcome.picked_s[1] < outcome.door_s[1] < outcome.door_s[0]


def test_a_day_that_went_as_the_engine_plays_it_comes_out_the_same() -> None:
    """The check has nothing to say against a replay of what it played itself; of another day it tells by how much."""
    day = a_day(deliveries=12)
    outcome = played(day)
    lived = tuple(
        msgspec.structs.replace(
            one,
            driver_id=outcome.driver[n],
            assigned_s=outcome.told_s[n],
            picked_s=outcome.picked_s[n],
            door_s=outcome.door_s[n],
        )
        for n, one in enumerate(day.deliveries)
    )
    check = compare(msgspec.structs.replace(day, deliveries=lived), Change(), CrowFlies()).check
    assert (check.deliveries, check.click_to_door_s, check.door_off_s, check.late, check.same_driver) == (
        12,
        0,
        0,
        0,
        1,
    )
    assert check.distance_m == 0
    assert check.near
    slower = tuple(msgspec.structs.replace(one, door_s=(one.door_s or 0) + 900) for one in lived)
    check = compare(msgspec.structs.replace(day, deliveries=slower), Change(), CrowFlies()).check
    assert (check.click_to_door_s, check.near) == (-900, False)


def test_places_have_their_own_figures() -> None:
    """Every door lies in one cell; cells are as small as leaves some deliveries in each."""
    found = compare(a_day(), Change(drivers=-4), CrowFlies())
    assert sum(cell.real.deliveries for cell in found.cells) == 24
    assert sum(cell.alternative.late for cell in found.cells) == found.alternative.service.late
    assert 1 < len(found.cells) <= 8
    assert all(len(cell.corners) >= 5 for cell in found.cells)


@pytest.mark.parametrize("field", ["stack_max", "offer_to_count"])
def test_null_in_a_policy_is_the_default(field: str) -> None:
    """The same file changes a policy live and in a played day."""
    day = under(alone(), **{field: 3})
    assert getattr(changed(day, Change(policy=PolicyChange(**{field: None}))).policies.operator, field) == getattr(
        Policy(), field
    )
