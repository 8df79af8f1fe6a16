"""Markets: who can't reach each other is planned apart, and nobody is lost on the way."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.markets import split
from dispatch.worker import LiveDriver, OpenJob, Question
from geo.point import Point
from geo.travel import Vehicle

HELSINKI, TAMPERE = Point(60.17, 24.94), Point(61.50, 23.76)
CITIES = (HELSINKI, TAMPERE, Point(60.45, 22.27), Point(65.01, 25.47))


def driver(number: int, at: Point, vehicle: Vehicle = Vehicle.BICYCLE) -> LiveDriver:
    return LiveDriver(UUID(int=number), at, vehicle, "shared_pool", {}, 0, frozenset(), 6, 50_000)


def job(number: int, at: Point, pinned_to: UUID | None = None) -> OpenJob:
    return OpenJob(UUID(int=number), UUID(int=1), at, at, 0, 2_400, True, 0, 2, frozenset(), pinned_to)


def question(drivers: list[LiveDriver], jobs: list[OpenJob]) -> Question:
    return Question(0, tuple(drivers), tuple(jobs), 1, 240)


def test_two_cities_are_two_markets_and_one_city_is_one() -> None:
    """Bicycles of Helsinki do not ride to Tampere; a neighbour across a cell's edge is the same market."""
    apart = question([driver(1, HELSINKI), driver(2, TAMPERE)], [job(3, HELSINKI), job(4, TAMPERE)])
    assert [({d.id.int for d in q.drivers}, {j.id.int for j in q.jobs}) for q in split(apart)] == [
        ({1}, {3}),
        ({2}, {4}),
    ]
    suburb = Point(HELSINKI.lat + 0.08, HELSINKI.lng + 0.1)
    assert len(split(question([driver(1, HELSINKI)], [job(3, HELSINKI), job(4, suburb)]))) == 1


def test_a_pin_joins_what_is_far_apart() -> None:
    """A dispatcher's word goes over distance: the pinned driver and his delivery are planned together."""
    far = question([driver(1, HELSINKI)], [job(3, HELSINKI), job(4, TAMPERE, UUID(int=1))])
    assert len(split(far)) == 1


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_every_job_is_in_one_market_with_everybody_who_reaches_it(data: st.DataObject) -> None:
    """Jobs are never lost or doubled, drivers never doubled, and whoever is in a job's own city is in its market."""
    cities = st.sampled_from(CITIES)
    drivers = [driver(n, data.draw(cities)) for n in range(data.draw(st.integers(0, 6)))]
    jobs = [job(100 + n, data.draw(cities)) for n in range(data.draw(st.integers(0, 6)))]
    found = split(question(drivers, jobs))
    assert sorted(one.id for q in found for one in q.jobs) == sorted(one.id for one in jobs)
    held = [one.id for q in found for one in q.drivers]
    assert len(held) == len(set(held))
    for q in found:
        for one in q.jobs:
            assert {d.id for d in drivers if d.at == one.pickup} <= {d.id for d in q.drivers}
