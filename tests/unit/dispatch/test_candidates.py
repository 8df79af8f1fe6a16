"""Who can't and why: the arrays say what the plain rule says, driver by driver."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.engine.candidates import NONE, REASONS, Candidates, eligible, exclusion, on_the_way
from dispatch.engine.explain import explain
from dispatch.engine.legs import TableLegs
from dispatch.engine.problem import NOWHERE, REACH_MAX_S, Driver, Job, Problem, Weights
from dispatch.engine.solve import solve
from dispatch.engine.verify import verify
from geo.travel import UNREACHABLE_S

PLACES, VEHICLES = 6, 3
SHOPS = [UUID(int=1), UUID(int=2)]
DRIVER_IDS = [UUID(int=100 + n) for n in range(5)]
SKILLS = st.frozensets(st.sampled_from(["cold_box", "age_check"]), max_size=2)
places = st.integers(0, PLACES - 1)


@st.composite
def drivers_of(draw: st.DrawFn, number: int) -> Driver:
    return Driver(
        DRIVER_IDS[number],
        draw(places),
        free_s=draw(st.integers(-100, 1_000)),
        off_s=draw(st.sampled_from([500, 5_000, 10**6])),
        vehicle=draw(st.integers(0, VEHICLES - 1)),
        pool=draw(st.sampled_from(["dedicated", "shared_pool"])),
        business_priority=dict.fromkeys(draw(st.lists(st.sampled_from(SHOPS), max_size=2)), 1),
        skills=draw(SKILLS),
        heading_to=draw(st.sampled_from([NOWHERE, 1])),
    )


@st.composite
def jobs_of(draw: st.DrawFn, number: int) -> Job:
    return Job(
        UUID(int=200 + number),
        draw(st.sampled_from(SHOPS)),
        draw(st.integers(0, 2)),
        draw(places),
        placed_s=-draw(st.integers(0, 900)),
        ready_s=draw(st.integers(-600, 900)),
        promised_s=draw(st.integers(-600, 3_600)),
        uses_shared_pool=draw(st.booleans()),
        needs=draw(SKILLS),
        not_by=frozenset(draw(st.lists(st.sampled_from(DRIVER_IDS), max_size=2))),
        pinned_to=draw(st.sampled_from([None, None, None, *DRIVER_IDS])),
    )


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    drivers = [draw(drivers_of(n)) for n in range(draw(st.integers(0, 5)))]
    jobs = [draw(jobs_of(n)) for n in range(draw(st.integers(1, 4)))]
    if drivers and draw(st.booleans()):
        keeper = msgspec.structs.replace(drivers[0], heading_to=jobs[0].pickup, keeps=(0,))
        drivers[0] = keeper
    seconds = st.sampled_from([0, 60, 300, REACH_MAX_S, REACH_MAX_S + 1, UNREACHABLE_S])
    size = VEHICLES * PLACES * PLACES
    table = np.array(draw(st.lists(seconds, min_size=size, max_size=size)), np.int32)
    legs = TableLegs(table.reshape(VEHICLES, PLACES, PLACES))
    left_out = draw(st.sampled_from([{}, {"busy": 2}, {"too_far": 1, "stale_position": 3}]))
    return Problem(0, tuple(drivers), tuple(jobs), legs, left_out=left_out)


@given(problems())
@settings(max_examples=400, deadline=None)
def test_the_arrays_say_what_the_plain_rule_says(question: Problem) -> None:
    """For every driver and job: the same reason, and the same sum of reasons."""
    candidates, promised = Candidates(question), question.promised()
    for number, job in enumerate(question.jobs):
        plain: Counter[str] = Counter(question.left_out)
        found = candidates.of(number)
        for d, driver in enumerate(question.drivers):
            here, store, door, vehicle = (
                np.array([n]) for n in (driver.place, job.pickup, job.dropoff, driver.vehicle)
            )
            way, to_door_s = (int(question.legs.seconds(*leg, vehicle)[0]) for leg in ((here, store), (store, door)))
            rule = exclusion(question, promised, d, number, to_door_s)
            assert (rule is None) == eligible(question)[d, number]
            why = rule or on_the_way(question, driver, job, way)
            assert (None if found[d] == NONE else REASONS[found[d]]) == why
            if why is not None:
                plain[why.value] += 1
        assert candidates.count(candidates.of(number)) == dict(plain)


def test_a_door_that_no_way_leads_to_is_left_open_and_says_so() -> None:
    """An island: not a huge number that somebody has to drive."""
    table = np.full((1, 3, 3), 100, np.int32)
    table[0, :, 2] = UNREACHABLE_S
    here = Driver(DRIVER_IDS[0], 0)
    jobs = tuple(Job(UUID(int=n), SHOPS[0], 1, door, -60, 0, 2_400) for n, door in ((1, 2), (2, 0)))
    question = Problem(0, (here,), jobs, TableLegs(table))
    plan = solve(question)
    assert plan.open_jobs == (0,)
    assert verify(question, plan) == []
    assert explain(question, plan)[0].excluded == {"no_way": 1}


def test_weights_at_their_extremes_do_not_overflow() -> None:
    """The dearest second that a policy may ask for, with a way that is as long as ways get: still a verified plan."""
    table = np.full((1, 4, 4), REACH_MAX_S, np.int32)
    drivers = tuple(Driver(one, 0, jobs_done=1_000) for one in DRIVER_IDS)
    jobs = tuple(Job(UUID(int=n), SHOPS[0], 1, 2, -(10**6), -(10**6), -(10**6)) for n in range(4))
    for dear in (0, 10**6):
        weights = Weights(**dict.fromkeys(Weights.__struct_fields__, dear))
        question = Problem(0, drivers, jobs, TableLegs(table), weights=weights)
        plan = solve(question)
        assert verify(question, plan) == []
        assert abs(plan.objective) < 2**60
