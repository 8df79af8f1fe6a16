"""The methods that the benchmark puts beside the engine play by the same rules, and are priced by the same terms."""

from __future__ import annotations

import msgspec
import pytest
from typer.testing import CliRunner

from benchmarks.dispatch_tick import city
from benchmarks.phases import PHASES, spent_by_phase
from benchmarks.routers import routing_tours
from benchmarks.ruin_recreate import ruin_and_recreate
from benchmarks.tours import NEVER, Tour, Tours, as_tours
from dispatch.engine.problem import REACH_MAX_S, Problem
from dispatch.engine.solve import solve
from onward.cli import app


def check(problem: Problem, tours: list[Tour]) -> int:
    """Walk every tour stop by stop, in the plainest words; return the objective. Fails where a rule is broken."""
    weights, second = problem.weights, problem.weights.driver_time + problem.second_price
    assert len(tours) == len(problem.drivers)
    fetched = [stop for tour in tours for stop in tour if stop >= 0]
    assert len(fetched) == len(set(fetched))
    pricer = Tours(problem)
    cost = sum(pricer.open_cost[job] for job in range(len(problem.jobs)) if job not in fetched)
    for driver, tour in zip(problem.drivers, tours, strict=True):
        place, now, aboard, left_s = driver.place, driver.free_s, set[int](), 0
        stops = list(tour)
        while stops:
            together = [stops.pop(0)]
            while stops and together[0] >= 0 <= stops[0] and same_store(problem, together[0], stops[0]):
                together.append(stops.pop(0))
            job = problem.jobs[max(together[0], ~together[0])]
            to = job.pickup if together[0] >= 0 else job.dropoff
            way = pricer.way_s[place][to]
            if together[0] >= 0:
                moment = max(now + way + 60, *(problem.jobs[number].ready_s for number in together))
                assert way <= REACH_MAX_S
                assert moment <= driver.off_s
                if not aboard:
                    left_s = moment - 60 - way
                    cost += weights.empty_travel * way
                assert not aboard or all(problem.jobs[one].several_stores for one in (*aboard, *together))
                aboard |= set(together)
                assert len(aboard) <= driver.stack_max
            else:
                moment = now + way + 60
                assert ~together[0] in aboard, "a door before its pickup"
                aboard.remove(~together[0])
                alone = job.ready_s + 60 + pricer.way_s[job.pickup][job.dropoff] + 60
                cost += weights.delay * max(0, moment - alone) + weights.lateness * max(0, moment - job.promised_s)
                if not aboard:
                    cost += second * (moment + 60 - left_s)
            place, now = to, moment + 60
        assert not aboard, "something is never brought"
    return cost


def same_store(problem: Problem, one: int, other: int) -> bool:
    """Say whether two jobs wait at one place."""
    return problem.jobs[one].pickup == problem.jobs[other].pickup


@pytest.mark.parametrize("several_stores", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_a_plan_of_the_engine_costs_the_same_as_tours(seed: int, several_stores: bool) -> None:
    """What the engine minimises and what its peers are priced by is one sum."""
    problem = city(40, 25, seed, several_stores=several_stores)
    plan = solve(problem)
    tours = as_tours(problem, plan)
    objective, delay = Tours(problem).total(tours)
    assert objective == plan.objective == check(problem, tours)
    assert delay == sum(route.terms.delay for route in plan.routes)


def test_ruin_and_recreate_keeps_the_rules_and_improves_on_mere_insertion() -> None:
    """Each job once, pickups before doors, nobody carries too much; and the search is worth its time."""
    problem = city(30, 20, 1)
    tours = Tours(problem)
    inserted = ruin_and_recreate(tours, cpu_s=1e-9)
    searched = ruin_and_recreate(tours, cpu_s=0.5)
    assert check(problem, inserted) == tours.total(inserted)[0]
    assert check(problem, searched) == tours.total(searched)[0] < tours.total(inserted)[0]


def test_or_tools_router_keeps_the_rules() -> None:
    """Its tours can be priced: nothing in them is impossible."""
    problem = city(12, 10, 2)
    tours = Tours(problem)
    found = routing_tours(tours)
    assert check(problem, found) == tours.total(found)[0] < sum(tours.open_cost)


def test_a_tour_that_cannot_be_driven_has_no_price() -> None:
    """Four at once are more than one carries, and two stores on one way need the word of both."""
    problem = city(8, 2, 0)
    tour = (*range(4), *(~job for job in range(4)))
    assert Tours(problem).price(0, tour) == NEVER
    other = next(job for job in range(8) if not same_store(problem, 0, job))
    both = (0, other, ~0, ~other)
    assert Tours(problem).price(0, both) == NEVER
    assert Tours(city(8, 2, 0, several_stores=True)).price(0, both) < NEVER


def test_phases_name_where_the_engine_spends_its_time() -> None:
    """The clock is around the functions that are really called, and gone afterwards."""
    problem = city(60, 30, 0)
    with spent_by_phase() as spent:
        solve(problem)
    assert spent["pricing"] > 0
    assert spent["relaxation"] > 0
    known = dict(spent)
    solve(problem)
    assert spent == known
    assert set(spent) == set(PHASES)


def test_bench_tick_prints_one_line_of_json_last() -> None:
    """Every method has its share of greedy's objective, CPU and delay; a peer that is not installed is named."""
    result = CliRunner().invoke(app, ["bench", "tick", "--open", "12", "--drivers", "9", "--seeds", "1", "--json"])
    assert result.exit_code == 0, result.output
    found = msgspec.json.decode(result.stdout.splitlines()[-1])
    assert found["bench"] == "tick"
    assert set(found["phases_cpu_ms"]) == {*PHASES, "other"}
    methods = found["methods"]
    assert {"greedy", "hungarian", "engine", "ruin_recreate", "routing"} <= set(methods)
    assert ("vroom" in methods) != (found["absent"] == ["vroom"])
    assert all(set(row) == {"objective_to_greedy", "cpu_ms", "delay_min"} for row in methods.values())
