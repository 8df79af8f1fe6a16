"""Windows of time: the engine is asked so that nobody knocks before a door opens, and a late pick-up is late."""

from __future__ import annotations

from uuid import UUID

import msgspec

from dispatch.engine.solve import solve
from dispatch.worker import STOP_SERVICE_S, LiveDriver, OpenJob, Question, problem_of
from geo.point import Point
from geo.travel import CrowFlies, Vehicle

STORE, DOOR = Point(60.170, 24.940), Point(60.174, 24.942)


def asked(**more: object) -> Question:
    job = OpenJob(UUID(int=1), UUID(int=2), STORE, DOOR, 0, 3_600, True, 0, 1, frozenset())
    driver = LiveDriver(UUID(int=3), STORE, Vehicle.BICYCLE, "shared_pool", {}, 0, frozenset(), 6, 50_000)
    return Question(0, (driver,), (msgspec.structs.replace(job, **more),), 1, 0)


def direct_s() -> int:
    problem = problem_of(asked(), CrowFlies())
    return int(problem.legs.seconds(*([n] for n in (0, 1, problem.drivers[0].vehicle)))[0]) + STOP_SERVICE_S  # type: ignore[arg-type]


def test_a_door_that_opens_later_is_not_knocked_at_before() -> None:
    """He leaves so that he arrives as it opens, and is not asked now."""
    question = asked(dropoff_from_in_s=3_000, promised_in_s=3_600)
    problem = problem_of(question, CrowFlies())
    assert problem.jobs[0].ready_s == 3_000 - direct_s()
    route = solve(problem).routes[0]
    assert not route.commit
    assert 2_600 < route.start_by_s < 3_000 - direct_s()


def test_a_pickup_after_its_window_is_late_at_the_door() -> None:
    """The promise is the earlier of the two ends."""
    problem = problem_of(asked(pickup_until_in_s=600), CrowFlies())
    assert problem.jobs[0].promised_s == 600 + direct_s()
    assert problem_of(asked(pickup_until_in_s=9_000), CrowFlies()).jobs[0].promised_s == 3_600
    assert problem_of(asked(), CrowFlies()).jobs[0].ready_s == 0


def test_who_waits_at_the_store_has_it_when_it_is_ready() -> None:
    """Not a half service after he is asked for more: that he has behind him."""
    question = asked(ready_in_s=10)
    him = msgspec.structs.replace(question.drivers[0], keeps=(UUID(int=1),))
    both = (him, msgspec.structs.replace(him, waits_s=300))
    plans = [solve(problem_of(msgspec.structs.replace(question, drivers=(one,)), CrowFlies())) for one in both]
    starts = [plan.routes[0].start_by_s for plan in plans]
    assert starts == [0, 10 - STOP_SERVICE_S // 2]
