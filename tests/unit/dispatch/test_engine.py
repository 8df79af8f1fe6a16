"""The engine: verified, explained, deterministic, never worse than greedy, and glad of every hand."""

from __future__ import annotations

import os
import pickle
from uuid import UUID

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.engine.bundles import make_bundles
from dispatch.engine.candidates import Exclusion, eligible, exclusion, on_the_way
from dispatch.engine.columns import Market
from dispatch.engine.cost import Pricer, Terms
from dispatch.engine.explain import explain
from dispatch.engine.legs import ALL_PAIRS_MAX, CrowLegs, PlaneLegs, TableLegs, nearest
from dispatch.engine.load import second_price
from dispatch.engine.plan import Plan, Route, Trip, plan_of
from dispatch.engine.problem import NOWHERE, JobWeights, Limits, Problem, Stop, Weights
from dispatch.engine.reposition import advise, expected
from dispatch.engine.solve import make_plans, solve
from dispatch.engine.verify import verify
from tests.support.problems import OTHER, SHOP, driver, job, line, problem, problems

EXAMPLES = int(os.environ.get("ONWARD_EXAMPLES", "400"))
"""ONWARD_EXAMPLES=10000 and `--timeout 0` for a thorough run."""


@given(problems())
@settings(max_examples=EXAMPLES, deadline=None)
def test_every_plan_passes_the_checker_repeats_itself_and_is_never_worse_than_greedy(question: Problem) -> None:
    """Anytime: the better verified plan wins, and the same question gets the same answer also in another process."""
    plan = solve(question)
    assert verify(question, plan) == []
    assert solve(pickle.loads(pickle.dumps(question))) == plan
    if question.drivers and question.jobs:
        for other in make_plans(question, Limits()):
            assert verify(question, other) == []
            assert plan.objective <= other.objective


@given(problems(), st.integers(0, 9))
@settings(max_examples=EXAMPLES, deadline=None)
def test_another_driver_never_makes_the_plan_worse(question: Problem, at: int) -> None:
    """More hands, no worse an answer: nothing that could be done before is impossible now."""
    if not question.drivers:
        return
    more = msgspec.structs.replace(question, drivers=(*question.drivers, driver(99, at)))
    assert solve(more).objective <= solve(question).objective


@given(problems())
@settings(max_examples=EXAMPLES // 4, deadline=None)
def test_little_work_gives_a_plan_too(question: Problem) -> None:
    """With hardly any columns allowed the answer is still verified and repeats itself."""
    tight = Limits(columns_max=10, solver_work=0.01, pairs_max=4)
    plan = solve(question, tight)
    assert verify(question, plan) == []
    assert solve(question, tight) == plan


def test_the_checker_finds_each_fault() -> None:
    """A checker that passes everything would be no checker."""
    question = problem(
        [driver(0), driver(1, own=True, heading_to=3), driver(2, keeps=(2,), heading_to=1)],
        [job(0), job(1, 3, 4, not_by=frozenset({UUID(int=100)})), job(2), job(3, business_id=OTHER)],
    )
    good = solve(question)
    assert verify(question, good) == []

    def faults(
        *routes: tuple[int, list[tuple[int, tuple[int, ...]]]],
        objective: int | None = None,
        then: int = NOWHERE,
        amid: tuple[int, int] | None = None,
    ) -> str:
        made = tuple(
            Route(d, tuple(Trip(place, jobs, then, amid) for place, jobs in trips), 0, True, Terms())
            for d, trips in routes
        )
        done = {j for _, trips in routes for _, jobs in trips for j in jobs}
        left = tuple(n for n in range(4) if n not in done)
        return "; ".join(verify(question, Plan(made, left, objective or 0, "bad")))

    assert "two routes" in faults((0, [(1, (0,))]), (0, [(1, (3,))]))
    assert "taken twice" in faults((0, [(1, (0,))]), (2, [(1, (2, 0))]))
    assert "declined_before" in faults((0, [(3, (1,))]))
    assert "other_business" in faults((1, [(3, (3,))]))
    assert "diverted" in faults((1, [(1, (0,))]))
    assert "promised" in faults((2, [(1, (0,))]))
    assert "promised_to_another" in faults((0, [(1, (2,))]))
    assert "not picked up at" in faults((0, [(5, (0,))]))
    assert "two stores" in faults((0, [(1, (0, 1))]), then=3)
    assert "on his way" in faults((0, [(1, (0,))]), amid=(0, 1))
    assert "empty trip" in faults((0, [(1, ())]))
    assert "costs" in faults((0, [(1, (0,))]))
    lied = msgspec.structs.replace(good, objective=good.objective - 1)
    assert "objective" in "; ".join(verify(question, lied))
    forgotten = msgspec.structs.replace(good, open_jobs=(*good.open_jobs, 99))
    assert "not all the jobs" in "; ".join(verify(question, forgotten))


def test_greedy_can_be_beaten_and_the_pick_beats_it() -> None:
    """The nearest driver for one job may be the only good one for another."""
    legs = line(0, 100, 200, 1_000, 5_000)
    question = problem(
        [driver(0, 1), driver(1, 0)], [job(0, 2, 3), job(1, 3, 4, ready_s=0)], legs, weights=Weights(driver_time=0)
    )
    greedy, picked = make_plans(question, Limits())
    assert picked.objective < greedy.objective
    assert solve(question) == picked


def test_two_jobs_of_one_store_in_one_direction_go_together_when_hands_are_few() -> None:
    """One driver, two doors next to each other: one trip; a business that allows no stacking gets two."""
    legs = line(0, 0, 1_500, 1_600)
    jobs = [job(0, 1, 2), job(1, 1, 3)]
    (route,) = solve(problem([driver(0)], jobs, legs)).routes
    assert route.trips == (Trip(1, (0, 1)),)
    single = [msgspec.structs.replace(one, stack_max=1) for one in jobs]
    (route,) = solve(problem([driver(0)], single, legs)).routes
    assert [len(trip.jobs) for trip in route.trips] == [1, 1]


def test_neighbouring_stores_share_a_trip_when_both_allow_it() -> None:
    """Two stores side by side, two doors side by side: one driver calls at both; not where one business says no."""
    legs = line(0, 10, 60, 2_000, 2_050)
    jobs = [job(0, 1, 3, several_stores=True), job(1, 2, 4, several_stores=True)]
    (route,) = solve(problem([driver(0)], jobs, legs)).routes
    assert route.trips == (Trip(1, (0, 1), 2),)
    alone = [jobs[0], msgspec.structs.replace(jobs[1], several_stores=False)]
    (route,) = solve(problem([driver(0)], alone, legs)).routes
    assert [len(trip.jobs) for trip in route.trips] == [1, 1]


def test_a_job_on_the_way_is_taken_on_the_way() -> None:
    """Store and door lie between a driver and his door: he takes them along, and whoever waits waits a little more."""
    legs = line(0, 500, 1_000, 2_000)
    under_way = driver(0, 3, free_s=2_120, here=0, route=(Stop(3, promised_s=3_000),))
    (route,) = solve(problem([under_way], [job(0, 1, 2, several_stores=True)], legs)).routes
    assert route.trips == (Trip(1, (0,), amid=(0, 0)),)
    assert (route.start_by_s, route.terms.driver_time) == (0, 2 * 240)
    (route,) = solve(problem([under_way], [job(0, 1, 2)], legs)).routes
    assert route.trips == (Trip(1, (0,)),)


def test_a_full_driver_takes_nothing_on_the_way() -> None:
    """With as much aboard as he may carry, the next pickup comes after the last door."""
    legs = line(0, 500, 1_000, 2_000)
    full = driver(0, 3, free_s=2_120, here=0, route=(Stop(3, promised_s=3_000),), stack_max=1)
    (route,) = solve(problem([full], [job(0, 1, 2, several_stores=True)], legs)).routes
    assert route.trips[0].amid is None


def test_three_go_together_only_under_load() -> None:
    """Threes are looked at when a driver's second is dear."""
    legs = line(0, 0, 1_500, 1_550, 1_600)
    jobs = [job(n, 1, 2 + n) for n in range(3)]
    calm, busy = problem([driver(0)], jobs, legs), problem([driver(0)], jobs, legs, second_price=200)
    assert max(make_bundles(calm).size) == 2
    assert max(make_bundles(busy).size) == 3
    (route,) = solve(busy).routes
    assert [len(trip.jobs) for trip in route.trips] == [3]


def test_the_one_who_is_about_to_finish_next_door_is_worth_waiting_for() -> None:
    """A busy driver counts from when and where he is free; he is not told before he has to be."""
    legs = line(0, 3_000, 3_010, 4_000)
    far, near = driver(0, 0), driver(1, 1, free_s=120)
    (route,) = solve(problem([far, near], [job(0, 2, 3)], legs, epoch_s=10)).routes
    assert route.driver == 1
    assert route.start_by_s == 120
    assert not route.commit


def test_what_can_be_decided_late_is_not_committed_early() -> None:
    """Ready in half an hour, a minute away: tentative; with the lead time a driver needs to answer, in time."""
    legs = line(0, 60, 500)
    late = problem([driver(0)], [job(0, 1, 2, ready_s=1_800)], legs, epoch_s=1)
    (route,) = solve(late).routes
    assert route.start_by_s == 1_800 - 60 - 60
    assert not route.commit
    assert solve(msgspec.structs.replace(late, lead_s=1_700)).routes[0].commit


def test_an_own_driver_is_worth_a_longer_way_but_not_any_way() -> None:
    """Dedicated first is a price, not a wall."""
    legs = line(0, 60, 0, 500, 4_000)
    for at, chosen in ((0, 1), (4, 0)):
        question = problem([driver(0, 1), driver(1, at, own=True)], [job(0, 2, 3)], legs)
        assert solve(question).routes[0].driver == chosen


def test_a_pin_wins_and_keeps_everybody_else_out() -> None:
    """What a dispatcher says goes."""
    question = problem([driver(0, 1), driver(1, 5)], [job(0, 1, 2, pinned_to=UUID(int=101))])
    assert solve(question).routes[0].driver == 1
    assert exclusion(question, {}, 0, 0, 60) is Exclusion.PINNED_TO_ANOTHER


def test_skills_and_the_end_of_a_shift_keep_out_with_a_reason() -> None:
    """A cold box, and no pickup after the shift, nor when a route that was planned ahead begins."""
    needy = job(0, 1, 2, needs=frozenset({"cold_box"}))
    cold = frozenset({"cold_box"})
    off, kept = (driver(n, 1, skills=cold, off_s=-1, kept_for_route=n == 2) for n in (1, 2))
    question = problem([driver(0, 1), off, kept], [needy])
    plan = solve(question)
    assert plan.open_jobs == (0,)
    (why,) = explain(question, plan)
    assert why.excluded == {"missing_skill": 1, "off_shift": 1, "kept_for_route": 1}
    assert [exclusion(question, {}, n, 0, 60) for n in (1, 2)] == [None, None]
    assert [on_the_way(question, who, needy, 0) for who in (off, kept)] == ["off_shift", "kept_for_route"]


def test_a_driver_on_his_way_is_not_diverted_but_may_take_more_at_the_same_store() -> None:
    """And what he was promised stays his."""
    legs = line(0, 0, 900, 950, 10)
    bound = driver(0, 0, heading_to=1, keeps=(0,))
    question = problem([bound], [job(0, 1, 2), job(1, 1, 3), job(2, 4, 3)], legs, second_price=100)
    (route,) = solve(question).routes
    assert route.trips[0] == Trip(1, (0, 1))
    assert not eligible(problem([bound, driver(1)], [job(0), job(1)]))[1, 0]


def test_who_waits_at_the_store_picks_up_when_it_is_ready() -> None:
    """What comes before the moment of pickup is done by then: two minutes' service, half of it before."""
    ready = job(0, 1, 2, ready_s=30)

    def start(**him: object) -> int | None:
        question = problem([driver(0, 1, **him)], [ready])
        plan = solve(question)
        assert verify(question, plan) == []
        return plan.routes[0].start_by_s if plan.routes else None

    assert start(free_s=-300, heading_to=1, off_s=30) == -30
    assert start(free_s=-20, heading_to=1, off_s=40) == -20
    assert start(free_s=-20, heading_to=1, off_s=39) is None
    assert start(free_s=-300, off_s=60) == 0  # nobody knew that he would be wanted there
    assert start(free_s=-300, off_s=59) is None


def test_a_decision_names_the_chosen_the_runners_up_and_their_terms() -> None:
    """The board can say why."""
    question = problem([driver(n, n, jobs_done=n) for n in range(3)], [job(0, 0, 5)], line(0, 60, 120, 1, 2, 900))
    (why,) = explain(question, solve(question))
    assert why.chosen is not None
    assert why.chosen.driver_id == driver(0).id
    assert [other.driver_id for other in why.runners_up] == [driver(1).id, driver(2).id]
    assert why.runners_up[1].terms.fairness == 2 * Weights().fairness
    assert why.runners_up[1].total == why.runners_up[1].terms.total


def test_long_waits_never_make_a_job_too_dear_to_assign() -> None:
    """What was lost already does not count against giving it to somebody now."""
    old = job(0, 1, 2, placed_s=-90_000, ready_s=-80_000, promised_s=-70_000)
    assert solve(problem([driver(0)], [old])).routes[0].trips[0].jobs == (0,)


def test_load_makes_a_drivers_second_dearer() -> None:
    """Hands to spare: nothing; work for an hour each: something, and never without bound."""
    crowd = [driver(n) for n in range(5)]
    assert second_price(problem(crowd, [job(0)])) == 0
    some, much = (second_price(problem(crowd[:1], [job(n) for n in range(count)])) for count in (3, 200))
    assert 0 < some < much <= 600


def test_idle_drivers_are_advised_to_wait_where_work_comes_from() -> None:
    """One of two who stand together is sent a short way to the store nobody stands near; nobody is sent far."""
    legs = line(0, 400, 3_000)
    question = problem([driver(0), driver(1)], [], legs, demand=((0, 0.5), (1, 0.5)))
    (move,) = advise(question, set())
    assert move.place == 1
    assert advise(msgspec.structs.replace(question, demand=((2, 1.0),)), set()) == ()
    assert advise(question, {0, 1}) == ()


def test_work_is_expected_where_it_came_from_and_at_stores_that_had_none_yet() -> None:
    """Each store counts one order more than it had; shares add up to one."""
    assert expected({}) == {}
    assert expected({7: 3}) == {7: 1.0}
    assert expected({7: 3, 8: 1, 9: 0, 10: 0}) == {7: 0.5, 8: 0.25, 9: 0.125, 10: 0.125}


def test_a_big_market_is_matched_by_the_nearest() -> None:
    """Beyond the pairs that can be looked at, each job with its nearest drivers; verified like every plan."""
    size = 1_100
    rng = np.random.default_rng(1)
    legs = PlaneLegs(rng.uniform(0, 20_000, (3 * size, 2)), 5.0)
    drivers = [driver(n, n) for n in range(size)]
    jobs = [job(n, size + n, 2 * size + n) for n in range(size)]
    plan = solve(problem(drivers, jobs, legs))
    assert plan.method == "matching"
    assert len(plan.routes) > 0.7 * size


def test_legs_agree_with_their_definitions() -> None:
    """Rounding up to whole steps; tables as given; the crow's intercept; neighbours only when pairs are many."""
    plane = PlaneLegs(np.array([[0.0, 0.0], [0.0, 301.0]]), 5.0, 60)
    assert plane.seconds(np.array([0]), np.array([1]), np.zeros(1, np.int64)).tolist() == [120]
    table = TableLegs(np.arange(8, dtype=np.int32).reshape(2, 2, 2))
    assert table.seconds(np.array([0, 1]), np.array([1, 0]), np.array([1])).tolist() == [5, 6]
    crow = CrowLegs(np.array([[60.17, 24.94], [60.17, 24.94]]))
    assert crow.seconds(np.array([0]), np.array([1]), np.array([0])).tolist() == [40]
    few = np.zeros((10, 2))
    assert nearest(few, few, 3) is None
    side = int(ALL_PAIRS_MAX**0.5) + 1
    many = np.column_stack((np.arange(side), np.zeros(side)))
    found = nearest(many, many, 3)
    assert found is not None
    assert {int(n) for n in found[0]} == {0, 1, 2}


@pytest.mark.parametrize("second", [0, 300])
def test_prices_are_the_checkers_prices(second: int) -> None:
    """Every column of a mixed problem, priced in arrays, equals the sum written out one stop after the other."""
    question = problem(
        [driver(0, 4, jobs_done=2), driver(1, 5, own=True, off_s=900), driver(2, 6, free_s=300)],
        [job(n, 1 + n % 2, 7 + n, ready_s=100 * n, promised_s=900) for n in range(5)],
        second_price=second,
    )
    pricer = Pricer(question, make_bundles(question))
    columns = Market(pricer, Limits()).start()
    assert (columns.second >= 0).any()
    for number in range(len(columns.driver)):
        plan = plan_of(pricer, columns, np.array([number]), "one")
        assert verify(question, plan) == []


def test_a_business_that_weighs_its_delay_more_is_served_first() -> None:
    """One driver, two jobs alike but for whose they are: the dearer second goes first; weights are not shared out."""
    legs = line(0, 1_000, 2_000, 3_000)
    jobs = [job(0, 1, 2, business_id=SHOP), job(1, 1, 3, business_id=OTHER, stack_max=1)]
    jobs[0] = msgspec.structs.replace(jobs[0], stack_max=1)
    for dear in (SHOP, OTHER):
        question = problem([driver(0)], jobs, legs, business_weights={dear: JobWeights(1_000, 1_000)})
        route = solve(question).routes[0]
        assert question.jobs[route.trips[0].jobs[0]].business_id == dear


def test_heavy_weights_do_not_leave_a_job_open() -> None:
    """A policy that makes a second dear makes leaving it open dearer still."""
    far = line(0, 3_000, 4_000)
    question = problem([driver(0)], [job(0, 1, 2)], far, business_weights={SHOP: JobWeights(1_000, 1_000)})
    assert solve(question).open_jobs == ()


def test_a_vehicle_carries_what_fits_and_goes_as_far_as_it_is_sent() -> None:
    """Too big and too far are reasons of their own; two jobs that fit one by one are not taken together; a pin may."""
    legs = line(0, 100, 900, 1_000)
    pair = [job(n, 1, 2 + n, size=2) for n in range(2)]
    small = driver(0, capacity=3)
    route = solve(problem([small], pair, legs, second_price=120)).routes[0]
    assert [len(trip.jobs) for trip in route.trips] == [1, 1]
    route = solve(problem([driver(0, capacity=4)], pair, legs, second_price=120)).routes[0]
    assert [len(trip.jobs) for trip in route.trips] == [2]
    near = driver(0, capacity=3, distance_m_max=500)
    too_much = problem([near], [job(0, size=4), job(1, distance_m=501), job(2, size=4, pinned_to=near.id)], legs)
    assert exclusion(too_much, {}, 0, 0, 60) is Exclusion.VEHICLE_TOO_SMALL
    assert exclusion(too_much, {}, 0, 1, 60) is Exclusion.TOO_FAR_FOR_VEHICLE
    assert solve(too_much).open_jobs == (0, 1)
    wrong = Plan((Route(0, (Trip(1, (0, 1)),), 0, True, Terms()),), (), 0, "by hand")
    assert any("more than he can" in fault for fault in verify(problem([small], pair, legs), wrong))
