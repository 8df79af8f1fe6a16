"""The engine: verified, explained, deterministic, and never worse than greedy."""

from __future__ import annotations

import pickle
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.engine.cost import price
from dispatch.engine.explain import explain
from dispatch.engine.greedy import solve_greedy
from dispatch.engine.matching import solve_matching
from dispatch.engine.plan import plan_of
from dispatch.engine.problem import Arc, Driver, Job, Problem
from dispatch.engine.solve import solve
from dispatch.engine.verify import verify

SHOP, OTHER = UUID(int=1), UUID(int=2)


def driver(number: int, *, own: bool = False, done: int = 0) -> Driver:
    return Driver(UUID(int=100 + number), 0, "dedicated" if own else "shared_pool", {SHOP: 1} if own else {}, done)


def job(number: int, *, ready: int = 0, promised: int = 1800, waited: int = 0) -> Job:
    return Job(UUID(int=200 + number), SHOP, 1, ready, promised, 300, True, waited)


def problem(drivers: list[Driver], jobs: list[Job], arcs: list[Arc]) -> Problem:
    return Problem(0, 0, tuple(drivers), tuple(jobs), tuple(arcs), tuple({} for _ in jobs))


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    drivers = [driver(n, own=draw(st.booleans()), done=draw(st.integers(0, 9))) for n in range(draw(st.integers(0, 9)))]
    jobs = [
        job(
            n,
            ready=draw(st.integers(-600, 900)),
            promised=draw(st.integers(60, 3000)),
            waited=draw(st.integers(0, 999)),
        )
        for n in range(draw(st.integers(0, 9)))
    ]
    arcs = [
        Arc(d, j, draw(st.integers(0, 3600)))
        for d in range(len(drivers))
        for j in range(len(jobs))
        if draw(st.booleans())
    ]
    return problem(drivers, jobs, arcs)


@given(problems())
@settings(max_examples=300, deadline=None)
def test_every_plan_passes_the_checker_and_is_never_worse_than_greedy(question: Problem) -> None:
    """Anytime: the better verified plan wins."""
    plan, greedy, matching = solve(question), solve_greedy(question), solve_matching(question)
    for found in (plan, greedy, matching):
        assert verify(question, found) == []
    assert plan.objective == min(greedy.objective, matching.objective)
    assert solve(pickle.loads(pickle.dumps(question))) == plan


@given(problems(), st.integers(0, 3600))
@settings(max_examples=200, deadline=None)
def test_another_driver_never_makes_the_plan_worse(question: Problem, seconds: int) -> None:
    """More hands, no worse an answer."""
    extra = len(question.drivers)
    arcs = question.arcs + tuple(Arc(extra, j, seconds) for j in range(len(question.jobs)))
    more = msgspec.structs.replace(question, drivers=(*question.drivers, driver(99)), arcs=arcs)
    assert solve(more).objective <= solve(question).objective


def test_the_checker_finds_each_fault() -> None:
    """A checker that passes everything would be no checker."""
    question = problem([driver(0), driver(1)], [job(0), job(1)], [Arc(0, 0, 60), Arc(0, 1, 60), Arc(1, 0, 90)])
    twice = plan_of(question, [Arc(0, 0, 60), Arc(0, 1, 60)], "bad")
    shared = plan_of(question, [Arc(0, 0, 60), Arc(1, 0, 90)], "bad")
    invented = plan_of(question, [Arc(1, 1, 5)], "bad")
    lied = msgspec.structs.replace(plan_of(question, [Arc(0, 0, 60)], "bad"), objective=1)
    found = [verify(question, plan)[0] for plan in (twice, shared, invented, lied)]
    assert ["two jobs" in found[0], "two drivers" in found[1], "no candidate" in found[2], "objective" in found[3]] == [
        True
    ] * 4


def test_greedy_can_be_beaten_and_the_matching_beats_it() -> None:
    """The nearest driver for one job may be the only driver for another."""
    arcs = [Arc(0, 0, 60), Arc(0, 1, 100), Arc(1, 0, 120)]
    question = problem([driver(0), driver(1)], [job(0), job(1)], arcs)
    assert len(solve_greedy(question).assignments) == 1
    assert len(solve(question).assignments) == 2


def test_an_own_driver_is_worth_a_longer_way_but_not_any_way() -> None:
    """Dedicated first is a price, not a wall."""
    near_pool, own = driver(0), driver(1, own=True)
    close = problem([near_pool, own], [job(0)], [Arc(0, 0, 60), Arc(1, 0, 120)])
    distant = problem([near_pool, own], [job(0)], [Arc(0, 0, 60), Arc(1, 0, 1500)])
    assert solve(close).assignments[0].arc.driver == 1
    assert solve(distant).assignments[0].arc.driver == 0


def test_a_decision_names_the_chosen_the_runners_up_and_their_terms() -> None:
    """The board can say why."""
    question = problem([driver(0), driver(1), driver(2, done=3)], [job(0)], [Arc(n, 0, 60 + 60 * n) for n in range(3)])
    (why,) = explain(question, solve(question))
    assert why.chosen is not None
    assert why.chosen.driver_id == driver(0).id
    assert [other.driver_id for other in why.runners_up] == [driver(1).id, driver(2).id]
    assert why.runners_up[1].terms == price(question, question.arcs[2])
