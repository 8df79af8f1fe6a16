"""What is asked when a day is planned ahead: whose hours there are, what is to be brought when, the seconds between.

Drivers and jobs are the live engine's, and so are the rules of who may do what. Times are whole seconds from now.
Windows are as everywhere: never before one begins, late after it ends. Hours are hard: nobody is out past his.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec
import numpy as np

from dispatch.engine.candidates import Exclusion, by_rule
from dispatch.engine.problem import NOWHERE, Driver, Job, JobWeights, Legs, Weights
from geo.travel import UNREACHABLE_S

SERVICE_S: Final = 90
"""At each stop; several pickups at one place, one after the other, take it once."""


class Shift(msgspec.Struct, frozen=True):
    """One driver's hours. He starts and ends where he likes when `start` or `end` is `NOWHERE`."""

    driver: Driver
    on_s: int
    off_s: int
    start: int = NOWHERE
    end: int = NOWHERE


class Planned(msgspec.Struct, frozen=True):
    """A job with its windows: picked up until `pickup_until_s`, handed over from `dropoff_from_s` on."""

    job: Job
    pickup_until_s: int | None = None
    dropoff_from_s: int | None = None


class RoutingProblem(msgspec.Struct, frozen=True):
    """One question. `fewest_drivers`: rather all on one long round than a little sooner with two."""

    shifts: tuple[Shift, ...]
    work: tuple[Planned, ...]
    legs: Legs
    weights: Weights = Weights()
    business_weights: dict[UUID, JobWeights] = {}
    fewest_drivers: bool = False

    def drive_s(self, shift: Shift, start: int, end: int) -> int:
        """Return the seconds from place to place; from or to `NOWHERE` it takes none."""
        if NOWHERE in (start, end):
            return 0
        return int(self.legs.seconds(np.array([start]), np.array([end]), np.array([shift.driver.vehicle]))[0])

    def late_price(self, job: Job) -> int:
        """Return what a second past its window is worth for a job, in hundredths."""
        own = self.business_weights.get(job.business_id)
        return max(1, self.weights.lateness if own is None else own.lateness)


class Visit(msgspec.Struct, frozen=True):
    """A stop of a route: served from `at_s` on, `late_s` after its window ended."""

    kind: str
    job: int
    at_s: int
    late_s: int


class PlannedRoute(msgspec.Struct, frozen=True):
    """One driver's round: when he has to leave, when he is done, of that driving and waiting."""

    shift: int
    visits: tuple[Visit, ...]
    start_s: int
    end_s: int
    drive_s: int
    wait_s: int

    @property
    def late_s(self) -> int:
        """How late its doors are, in all."""
        return sum(visit.late_s for visit in self.visits if visit.kind == "dropoff")


class RoutingPlan(msgspec.Struct, frozen=True):
    """Routes, and what is on none of them (job numbers)."""

    routes: tuple[PlannedRoute, ...]
    left: tuple[int, ...]


def window(planned: Planned, kind: str) -> tuple[int, int | None]:
    """Return when a stop may be served from, and until when it is in time."""
    if kind == "pickup":
        return planned.job.ready_s, planned.pickup_until_s
    return (-(10**9) if planned.dropoff_from_s is None else planned.dropoff_from_s), planned.job.promised_s


def place_of(planned: Planned, kind: str) -> int:
    """Return where a stop is."""
    return planned.job.pickup if kind == "pickup" else planned.job.dropoff


def preference(problem: RoutingProblem, shift: Shift, planned: Planned) -> int:
    """Return what this driver costs for a job beside his time: own drivers go before the pool."""
    business, weights = planned.job.business_id, problem.weights
    if business in shift.driver.business_priority:
        return weights.dedicated_priority_step * (shift.driver.business_priority[business] - 1)
    own = any(business in other.driver.business_priority for other in problem.shifts)
    return weights.pool_instead_of_dedicated if own else 0


def exclusion(problem: RoutingProblem, shift: Shift, planned: Planned) -> Exclusion | None:
    """Return why a driver can't have a job, were it his only one; None when he can."""
    job = planned.job
    if (why := by_rule(shift.driver, job)) is not None:
        return why
    direct_s = problem.drive_s(shift, job.pickup, job.dropoff)
    if direct_s >= UNREACHABLE_S:
        return Exclusion.NO_WAY
    to_s, home_s = problem.drive_s(shift, shift.start, job.pickup), problem.drive_s(shift, job.dropoff, shift.end)
    if max(to_s, home_s) >= UNREACHABLE_S:
        return Exclusion.CUT_OFF
    picked_s = max(shift.on_s + to_s, job.ready_s) + SERVICE_S
    done_s = max(picked_s + direct_s, window(planned, "dropoff")[0]) + SERVICE_S + home_s
    return Exclusion.OFF_SHIFT if done_s > shift.off_s else None
