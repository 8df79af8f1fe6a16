"""Routes planned ahead: every plan passes an independent checker, and what is left out says why."""

from __future__ import annotations

from uuid import UUID

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.engine.legs import PlaneLegs
from dispatch.engine.problem import NOWHERE, Driver, Job
from dispatch.routing.explain import explain
from dispatch.routing.problem import SERVICE_S, Planned, RoutingPlan, RoutingProblem, Shift
from dispatch.routing.schedule import schedule
from dispatch.routing.solve import solve
from dispatch.routing.verify import verify
from dispatch.routing_process import why_left
from dispatch.unassigned import OpenCode
from tests.support.problems import OTHER, SHOP, line

HOUR_S = 3_600
LIMIT_S = 0.05


def hands(number: int, *, off_s: int = 8 * HOUR_S, start: int = NOWHERE, **more: object) -> Shift:
    plain = Driver(UUID(int=100 + number), 0, pool="dedicated", business_priority={SHOP: 1}, capacity=4)
    return Shift(msgspec.structs.replace(plain, **more), 0, off_s, start, start)


def work(number: int, pickup: int, dropoff: int, *, by_s: int = 8 * HOUR_S, **more: object) -> Planned:
    plain = Job(UUID(int=200 + number), SHOP, pickup, dropoff, placed_s=0, ready_s=0, promised_s=by_s)
    return Planned(msgspec.structs.replace(plain, **more))


places = st.integers(0, 7)


@st.composite
def problems(draw: st.DrawFn) -> RoutingProblem:
    shifts = tuple(
        Shift(
            Driver(
                UUID(int=100 + n),
                0,
                pool=draw(st.sampled_from(["dedicated", "shared_pool"])),
                business_priority=draw(st.sampled_from([{SHOP: 1}, {OTHER: 2}, {SHOP: 2, OTHER: 1}])),
                capacity=draw(st.integers(1, 5)),
                skills=draw(st.sampled_from([frozenset(), frozenset({"cold_box"})])),
            ),
            on_s := draw(st.integers(0, HOUR_S)),
            on_s + draw(st.integers(600, 3 * HOUR_S)),
            draw(st.one_of(st.just(NOWHERE), places)),
            draw(st.one_of(st.just(NOWHERE), places)),
        )
        for n in range(draw(st.integers(1, 3)))
    )
    jobs = tuple(
        Planned(
            Job(
                UUID(int=200 + n),
                draw(st.sampled_from([SHOP, OTHER])),
                draw(places),
                draw(places),
                placed_s=0,
                ready_s=draw(st.integers(-600, 2 * HOUR_S)),
                promised_s=draw(st.integers(0, 3 * HOUR_S)),
                uses_shared_pool=draw(st.booleans()),
                needs=draw(st.sampled_from([frozenset(), frozenset(), frozenset({"cold_box"})])),
                size=draw(st.integers(1, 3)),
            ),
            draw(st.one_of(st.none(), st.integers(0, 2 * HOUR_S))),
            draw(st.one_of(st.none(), st.integers(0, 2 * HOUR_S))),
        )
        for n in range(draw(st.integers(1, 6)))
    )
    legs = PlaneLegs(np.random.default_rng(draw(st.integers(0, 5))).uniform(0, 6_000, (8, 2)), 5.0)
    return RoutingProblem(shifts, jobs, legs, fewest_drivers=draw(st.booleans()))


@given(problems())
@settings(max_examples=60, deadline=None)
def test_every_plan_passes_the_checker_and_says_why_the_rest_is_left(question: RoutingProblem) -> None:
    """Hours, windows, room, skills and order hold for whatever is asked."""
    plan = solve(question, LIMIT_S)
    assert verify(question, plan) == []
    for job in plan.left:
        assert why_left(question, job).code in (OpenCode.OTHERS_FIRST, OpenCode.NOBODY_FREE, OpenCode.NO_WAY)


def test_one_round_takes_all_that_is_on_its_way() -> None:
    """Three doors along one street, loaded once at the store, served in their order."""
    shift = msgspec.structs.replace(hands(0, start=0), end=NOWHERE)
    question = RoutingProblem((shift,), tuple(work(n, 0, n + 1) for n in range(3)), line(0, 300, 600, 900))
    plan = solve(question, LIMIT_S)
    visits = [(visit.kind, visit.job) for visit in plan.routes[0].visits]
    assert {kind for kind, _ in visits[:3]} == {"pickup"}
    assert [job for kind, job in visits if kind == "dropoff"] == [0, 1, 2]
    assert plan.routes[0].drive_s == 900
    assert plan.routes[0].end_s - plan.routes[0].start_s == 900 + 4 * SERVICE_S


def test_a_window_is_waited_for_and_leaving_is_late() -> None:
    """Who may hand over from an hour on leaves for it as late as he can, and waits only where he has to."""
    early = work(0, 0, 1, ready_s=HOUR_S)
    question = RoutingProblem((hands(0, start=0),), (early,), line(0, 600))
    route = solve(question, LIMIT_S).routes[0]
    assert (route.start_s, route.wait_s) == (HOUR_S, 0)
    question = msgspec.structs.replace(question, work=(msgspec.structs.replace(early, dropoff_from_s=2 * HOUR_S),))
    route = solve(question, LIMIT_S).routes[0]
    assert route.visits[1].at_s == 2 * HOUR_S
    assert route.wait_s == HOUR_S - 600 - SERVICE_S


def test_what_can_not_be_planned_says_why() -> None:
    """Skills, hours, room, and the day that is full each have their own word."""
    far = line(0, 600, 40_000)
    cases = {
        "missing_skill": (work(0, 0, 1, needs=frozenset({"cold_box"})), hands(0)),
        "off_shift": (work(0, 0, 2), hands(0, off_s=HOUR_S)),
        "vehicle_too_small": (work(0, 0, 1, size=9), hands(0)),
        "wrong_pool": (work(0, 0, 1, uses_shared_pool=False), hands(0, pool="shared_pool")),
    }
    for reason, (job, shift) in cases.items():
        question = RoutingProblem((shift,), (job,), far)
        plan = solve(question, LIMIT_S)
        assert (plan.routes, plan.left) == ((), (0,))
        assert why_left(question, 0).counts == {reason: 1}
    full = RoutingProblem((hands(0, off_s=800),), (work(0, 0, 1), work(1, 1, 0)), line(0, 600))
    plan = solve(full, LIMIT_S)
    assert len(plan.left) == 1
    assert why_left(full, plan.left[0]).code == OpenCode.OTHERS_FIRST


@pytest.mark.parametrize("fewest", [False, True])
def test_the_fewest_drivers_take_longer_but_are_fewer(fewest: bool) -> None:
    """Two doors in opposite directions: two drivers are sooner, one is enough."""
    jobs = (work(0, 0, 1, by_s=700), work(1, 0, 2, by_s=700))
    question = RoutingProblem((hands(0, start=0), hands(1, start=0)), jobs, line(0, 600, -600), fewest_drivers=fewest)
    plan = solve(question, LIMIT_S)
    assert (len(plan.routes), plan.left) == (1 if fewest else 2, ())


def test_own_drivers_go_before_the_pool() -> None:
    """The pool's driver stands nearer; the business' own has time enough."""
    pool = hands(0, pool="shared_pool", business_priority={}, start=0)
    question = RoutingProblem((pool, hands(1, start=1)), (work(0, 0, 2),), line(0, 200, 500))
    assert [route.shift for route in solve(question, LIMIT_S).routes] == [1]


def test_a_round_says_what_each_delivery_adds_and_what_it_would_add_to_others() -> None:
    """One driver goes by the door anyway; another would have to go there, one has no time left, one may not."""
    shop_and_doors = line(0, 600, 1_000, -500)
    mine, busy = hands(0, start=0), hands(1, start=0, off_s=2_000)
    idle, barred = hands(2, start=0, off_s=1_500), hands(3, start=0, business_priority={OTHER: 1})
    question = RoutingProblem((mine, busy, idle, barred), (work(0, 0, 1), work(1, 0, 2), work(2, 0, 3)), shop_and_doors)
    both = schedule(question, 0, [("pickup", 0), ("pickup", 1), ("dropoff", 0), ("dropoff", 1)])
    back = schedule(question, 1, [("pickup", 2), ("dropoff", 2)])
    plan = RoutingPlan((both, back), ())
    why = {one.job: one for one in explain(question, plan)}
    assert (why[0].chosen.shift, why[0].chosen.added_s, why[0].together) == (0, 0, (1,))
    assert [(one.shift, one.added_s) for one in why[0].runners_up] == [(2, 1_200)]
    assert why[0].excluded == {"other_business": 1, "busy": 1}
    assert why[1].excluded == {"other_business": 1, "off_shift": 2}
    assert why[0].chosen.terms.total < why[0].runners_up[0].terms.total


def test_the_checker_finds_each_fault() -> None:
    """A plan that breaks one rule is refused with the rule."""
    question = RoutingProblem(
        (hands(0, start=0, capacity=1), hands(1)), (work(0, 0, 1), work(1, 0, 2)), line(0, 300, 600)
    )
    good = schedule(question, 0, [("pickup", 0), ("dropoff", 0)])
    other = schedule(question, 0, [("pickup", 1), ("dropoff", 1)])
    plan = RoutingPlan((good,), (1,))
    assert verify(question, plan) == []

    def found(*routes: object, left: tuple[int, ...] = (1,)) -> str:
        return " ".join(verify(question, RoutingPlan(routes, left)))  # type: ignore[arg-type]

    changed = msgspec.structs.replace
    assert "two routes" in found(good, other, left=())
    assert "not all the jobs" in found(good, left=())
    assert "served twice" in found(good, changed(good, shift=1))
    assert "after his hours" in found(changed(good, end_s=9 * HOUR_S))
    assert "be done so early" in found(changed(good, end_s=good.end_s - 1))
    assert "so early" in found(changed(good, visits=(good.visits[0], changed(good.visits[1], at_s=100))))
    assert "s late" in found(changed(good, visits=(good.visits[0], changed(good.visits[1], late_s=5))))
    assert "before it is picked up" in found(changed(good, visits=good.visits[::-1]))
    assert "aboard" in found(changed(good, visits=good.visits[:1]))
    both = schedule(question, 0, [("pickup", 0), ("pickup", 1), ("dropoff", 0), ("dropoff", 1)])
    assert "carries 2 units" in found(both, left=())
    early = msgspec.structs.replace(question, work=(work(0, 0, 1, ready_s=50), work(1, 0, 2)))
    assert "before its window" in " ".join(verify(early, plan))
    stranger = msgspec.structs.replace(question, work=(work(0, 0, 1, business_id=OTHER), work(1, 0, 2)))
    assert "may not do job 0: other_business" in " ".join(verify(stranger, plan))
