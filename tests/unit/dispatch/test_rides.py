"""Rides as they are really ridden: the dispatcher's seconds are the provider's, corrected by what rides taught."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
import pytest

from dispatch.engine.legs import VEHICLES, CrowLegs
from dispatch.engine.solve import solve
from dispatch.learning import ENOUGH_RIDES, Learned, Ride, hour_of_week, learn
from dispatch.rides import Ridden, straight, table_of
from dispatch.worker import LiveDriver, OpenJob, Question, problem_of
from geo.point import Floats, Point, as_array
from geo.travel import UNREACHABLE_S, CrowFlies, Seconds, Vehicle

NOON = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
UPHILL = {Vehicle.BICYCLE: 2.5, Vehicle.SCOOTER: 1.0}
"""In this town bicycles take so much longer than straight lines say."""
SHOP = UUID(int=1)


class Hills:
    """What rides really take there."""

    source = "hills"

    def seconds(self, origins: Floats, destinations: Floats, vehicle: Vehicle) -> Seconds:
        said_s = CrowFlies().seconds(origins, destinations, vehicle)
        return np.rint(said_s * UPHILL[vehicle]).astype(np.int32)


def ridden(count: int) -> Learned:
    """What so many rides of each vehicle taught."""
    chance = random.Random(3)
    lessons = []
    for n in range(count * len(UPHILL)):
        vehicle, said_s = list(UPHILL)[n % len(UPHILL)], chance.randint(90, 900)
        took_s = round(said_s * UPHILL[vehicle] * chance.uniform(0.8, 1.2))
        lessons.append(Ride("crow_flies", vehicle, hour_of_week(NOON), said_s, took_s))
    return learn(Learned(), lessons)


def place(chance: random.Random) -> Point:
    return Point(60.17 + chance.uniform(-0.02, 0.02), 24.94 + chance.uniform(-0.04, 0.04))


def town(seed: int, learned: Learned) -> Question:
    """Twelve drivers, half of them on bicycles, and as many deliveries that are ready now."""
    chance = random.Random(seed)
    drivers = [
        LiveDriver(UUID(int=100 + n), place(chance), list(UPHILL)[n % 2], "shared_pool", {}, 0, frozenset(), 10, 10**6)
        for n in range(12)
    ]
    jobs = [
        OpenJob(UUID(int=200 + n), SHOP, place(chance), place(chance), 0, 900, True, 0, 1, frozenset())
        for n in range(12)
    ]
    return Question(0, tuple(drivers), tuple(jobs), 1, 0, rides=learned.rides(NOON))


def doors_s(question: Question) -> list[int]:
    """Plan by what the dispatcher believes, ride by what is true; return when each door is reached."""
    plan = solve(problem_of(question, CrowFlies()))
    truth = problem_of(Question(0, question.drivers, question.jobs, 1, 0), Hills())
    found = []
    for route in plan.routes:
        who = truth.drivers[route.driver]
        at_s, here = who.free_s, who.place
        for trip in route.trips:
            (job,) = (truth.jobs[number] for number in trip.jobs)
            for there in (job.pickup, job.dropoff):
                at_s += int(truth.legs.seconds(np.array([here]), np.array([there]), np.array([who.vehicle]))[0])
                here = there
            found.append(at_s)
    return found


def test_what_was_learned_brings_a_skewed_town_sooner() -> None:
    """Bicycles are slow there: who knows it sends scooters, and doors are reached sooner, not only predicted better."""
    known = ridden(60)
    blind, seeing = ([doors_s(town(seed, model)) for seed in range(6)] for model in (Learned(), known))
    assert [len(doors) for doors in blind] == [len(doors) for doors in seeing] == [12] * 6
    mean_blind, mean_seeing = (float(np.mean(np.concatenate(all_))) for all_ in (blind, seeing))
    assert mean_seeing < 0.85 * mean_blind


def test_few_rides_choose_nobody() -> None:
    """Below enough rides of a vehicle the provider is believed, and other providers are never corrected by it."""
    assert ridden(ENOUGH_RIDES - 1).rides(NOON) == {}
    assert set(ridden(ENOUGH_RIDES).rides(NOON)) == {"crow_flies/bicycle", "crow_flies/scooter"}
    places = [place(random.Random(seed)) for seed in range(4)]
    rides = ridden(ENOUGH_RIDES).rides(NOON)
    hilly = table_of(Hills(), places, UPHILL, rides).table
    assert (hilly == table_of(Hills(), places, UPHILL, {}).table).all()
    crow = table_of(CrowFlies(), places, UPHILL, rides).table
    assert (crow[VEHICLES.index(Vehicle.BICYCLE)] > hilly[VEHICLES.index(Vehicle.SCOOTER)]).all()


def test_with_no_rides_seen_nothing_changes() -> None:
    """Neither a table nor the straight lines of a big market: what is shipped is believed to the second."""
    places = [place(random.Random(seed)) for seed in range(5)]
    pairs = np.meshgrid(np.arange(5), np.arange(5), indexing="ij")
    foot = np.full((5, 5), VEHICLES.index(Vehicle.FOOT))
    plain = CrowLegs(as_array(places)).seconds(*pairs, foot)
    bicycles = ridden(60).rides(NOON)
    for legs in (straight(places, {}), straight(places, bicycles)):
        assert (legs.seconds(*pairs, foot) == plain).all()
    said_s = CrowFlies().seconds(as_array(places), as_array(places), Vehicle.FOOT)
    assert (table_of(CrowFlies(), places, [Vehicle.FOOT], bicycles).table[VEHICLES.index(Vehicle.FOOT)] == said_s).all()


def test_a_table_and_straight_lines_are_corrected_alike_and_no_way_stays_none() -> None:
    """A big market is no other town; where there is no way no line makes one, and here is here."""
    places = [place(random.Random(seed)) for seed in range(5)]
    rides = ridden(60).rides(NOON)
    pairs = np.meshgrid(np.arange(5), np.arange(5), indexing="ij")
    bicycle = np.full((5, 5), VEHICLES.index(Vehicle.BICYCLE))
    table, lines = (
        legs.seconds(*pairs, bicycle)
        for legs in (table_of(CrowFlies(), places, UPHILL, rides), straight(places, rides))
    )
    assert np.abs(table - lines).max() <= 0.01 * table.max() + 2

    class Islands:
        source = "crow_flies"

        def seconds(self, origins: Floats, destinations: Floats, vehicle: Vehicle) -> Seconds:
            return np.array([[0, UNREACHABLE_S], [UNREACHABLE_S, 0]], np.int32)

    apart = table_of(Islands(), places[:2], [Vehicle.BICYCLE], {"crow_flies/bicycle": Ridden(120.0, 2.0)})
    assert apart.table[VEHICLES.index(Vehicle.BICYCLE)].tolist() == [[0, UNREACHABLE_S], [UNREACHABLE_S, 0]]


@pytest.mark.parametrize("said_s", [30, 120, 600, 3_000])
def test_the_dispatcher_and_the_arrival_times_believe_the_same(said_s: int) -> None:
    """One model: what a customer is told a ride takes is what the dispatcher plans with."""
    known = ridden(60)

    class Says:
        source = "crow_flies"

        def seconds(self, origins: Floats, destinations: Floats, vehicle: Vehicle) -> Seconds:
            return np.array([[0, said_s], [said_s, 0]], np.int32)

    places = [Point(60.1, 24.9), Point(60.2, 24.9)]
    table = table_of(Says(), places, [Vehicle.BICYCLE], known.rides(NOON)).table
    told_s = known.ride_s("crow_flies", Vehicle.BICYCLE, NOON, said_s)
    assert abs(int(table[VEHICLES.index(Vehicle.BICYCLE), 0, 1]) - told_s) <= 1
