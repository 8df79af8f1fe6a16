"""Who could do what: each exclusion has a reason."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from dispatch.engine.problem import NOWHERE, REACH_MAX_S, Driver, Ints, Job, Problem
from geo.travel import UNREACHABLE_S


class Exclusion(StrEnum):
    """Why a driver is no candidate for a job."""

    OTHER_BUSINESS = "other_business"
    WRONG_POOL = "wrong_pool"
    PROMISED_TO_ANOTHER = "promised_to_another"
    PINNED_TO_ANOTHER = "pinned_to_another"
    MISSING_SKILL = "missing_skill"
    VEHICLE_TOO_SMALL = "vehicle_too_small"
    TOO_FAR_FOR_VEHICLE = "too_far_for_vehicle"
    DECLINED_BEFORE = "declined_before"
    NO_WAY = "no_way"
    CUT_OFF = "cut_off"
    ON_THE_WAY_ELSEWHERE = "on_the_way_elsewhere"
    OFF_SHIFT = "off_shift"
    KEPT_FOR_ROUTE = "kept_for_route"
    TOO_FAR = "too_far"
    BUSY = "busy"
    STALE_POSITION = "stale_position"
    NOT_ANSWERING = "not_answering"


def exclusion(
    problem: Problem, promised: dict[int, int], driver_number: int, job_number: int, to_door_s: int
) -> Exclusion | None:
    """Return why a driver may not do a job, whatever the way to it; None when he may.

    `promised` is the problem's, `to_door_s` his way from the job's store to its door.
    """
    driver, job = problem.drivers[driver_number], problem.jobs[job_number]
    if job_number in promised:
        return None if promised[job_number] == driver_number else Exclusion.PROMISED_TO_ANOTHER
    return by_rule(driver, job) or (Exclusion.NO_WAY if to_door_s >= UNREACHABLE_S else None)


def by_rule(driver: Driver, job: Job) -> Exclusion | None:
    """Return why a driver may not do a job wherever both are; None when he may."""
    if job.pinned_to is not None:
        return None if job.pinned_to == driver.id else Exclusion.PINNED_TO_ANOTHER
    if driver.pool == "dedicated":
        if job.business_id not in driver.business_priority:
            return Exclusion.OTHER_BUSINESS
    elif not job.uses_shared_pool:
        return Exclusion.WRONG_POOL
    if not job.needs <= driver.skills:
        return Exclusion.MISSING_SKILL
    if job.size > driver.capacity:
        return Exclusion.VEHICLE_TOO_SMALL
    if job.distance_m > driver.distance_m_max:
        return Exclusion.TOO_FAR_FOR_VEHICLE
    if driver.id in job.not_by:
        return Exclusion.DECLINED_BEFORE
    return None


def on_the_way(problem: Problem, driver: Driver, job: Job, to_pickup_s: int) -> Exclusion | None:
    """Return why a driver who may do a job can't get to its pickup."""
    if to_pickup_s >= UNREACHABLE_S:
        return Exclusion.CUT_OFF
    if driver.heading_to not in (NOWHERE, job.pickup):
        return Exclusion.ON_THE_WAY_ELSEWHERE
    if to_pickup_s > REACH_MAX_S:
        return Exclusion.TOO_FAR
    if max(driver.free_s + to_pickup_s + problem.half_services()[0], job.ready_s) > driver.off_s:
        return Exclusion.KEPT_FOR_ROUTE if driver.kept_for_route else Exclusion.OFF_SHIFT
    return None


NONE: Final = -1
REASONS: Final = tuple(Exclusion)


class Candidates:
    """A problem's drivers as arrays: `exclusion` and `on_the_way` for all drivers of a job at once.

    Reasons are numbers into `REASONS`, `NONE` for a driver who may, each array (drivers,).
    """

    def __init__(self, problem: Problem) -> None:
        drivers = problem.drivers
        self._problem = problem
        self._promised = problem.promised()
        self._number = {driver.id: number for number, driver in enumerate(drivers)}
        self._pool = np.array([driver.pool != "dedicated" for driver in drivers], bool)
        self._place = np.array([driver.place for driver in drivers], np.int64)
        self._vehicle = np.array([driver.vehicle for driver in drivers], np.int64)
        self._heading_to = np.array([driver.heading_to for driver in drivers], np.int64)
        self._free_s = np.array([driver.free_s for driver in drivers], np.int64)
        self._off_s = np.array([driver.off_s for driver in drivers], np.int64)
        self._kept = np.array([driver.kept_for_route for driver in drivers], bool)
        self._capacity = np.array([driver.capacity for driver in drivers], np.int64)
        self._distance_m_max = np.array([driver.distance_m_max for driver in drivers], np.int64)
        self._some_dedicated = not self._pool.all()
        self._least_distance_m = min((driver.distance_m_max for driver in drivers), default=0)
        self._least_capacity = min((driver.capacity for driver in drivers), default=0)
        self._own: dict[UUID, NDArray[np.bool_]] = {}
        self._without: dict[frozenset[str], NDArray[np.bool_]] = {}

    @cached_property
    def _cut(self) -> NDArray[np.bool_]:
        """Between which job's store and door a vehicle has no way (vehicles, jobs)."""
        jobs = self._problem.jobs
        vehicles = int(self._vehicle.max(initial=0)) + 1
        cut = np.zeros((vehicles, len(jobs)), bool)
        pickup, dropoff = np.array([job.pickup for job in jobs]), np.array([job.dropoff for job in jobs])
        for vehicle in np.unique(self._vehicle):
            cut[vehicle] = self._problem.legs.seconds(pickup, dropoff, np.full(1, vehicle)) >= UNREACHABLE_S
        return cut

    @cached_property
    def _cut_off(self) -> NDArray[np.bool_]:
        """Whether some vehicle has no way (jobs,)."""
        return np.asarray(self._cut.any(axis=0))

    def by_rule(self, job_number: int) -> Ints:
        """Return why each driver may not do a job, whatever the way to it."""
        job = self._problem.jobs[job_number]
        out = np.full(len(self._pool), NONE, np.int64)
        holder = self._promised.get(job_number)
        if holder is not None:
            out[:] = REASONS.index(Exclusion.PROMISED_TO_ANOTHER)
            out[holder] = NONE
            return out
        if self._cut_off[job_number]:
            out[self._cut[self._vehicle, job_number]] = REASONS.index(Exclusion.NO_WAY)
        if job.pinned_to is not None:
            others = np.arange(len(out)) != self._number.get(job.pinned_to, NONE)
            out[others] = REASONS.index(Exclusion.PINNED_TO_ANOTHER)
            return out
        if job.not_by:
            mine = [self._number[one] for one in job.not_by if one in self._number]
            out[mine] = REASONS.index(Exclusion.DECLINED_BEFORE)
        if job.distance_m > self._least_distance_m:
            out[self._distance_m_max < job.distance_m] = REASONS.index(Exclusion.TOO_FAR_FOR_VEHICLE)
        if job.size > self._least_capacity:
            out[self._capacity < job.size] = REASONS.index(Exclusion.VEHICLE_TOO_SMALL)
        if job.needs:
            out[self._lacking(job.needs)] = REASONS.index(Exclusion.MISSING_SKILL)
        if self._some_dedicated:
            out[~self._pool & ~self._owned(job.business_id)] = REASONS.index(Exclusion.OTHER_BUSINESS)
        if not job.uses_shared_pool:
            out[self._pool] = REASONS.index(Exclusion.WRONG_POOL)
        return out

    def of(self, job_number: int) -> Ints:
        """Return why each driver is no candidate for a job, the way to it looked at."""
        problem, job = self._problem, self._problem.jobs[job_number]
        way = problem.legs.seconds(self._place, np.full(1, job.pickup), self._vehicle)
        late = np.maximum(self._free_s + way + problem.half_services()[0], job.ready_s) > self._off_s
        elsewhere = (self._heading_to != NOWHERE) & (self._heading_to != job.pickup)
        out = np.full(len(self._pool), NONE, np.int64)
        for wrong, why in (  # the last one that holds is the first one said
            (late, Exclusion.OFF_SHIFT),
            (late & self._kept, Exclusion.KEPT_FOR_ROUTE),
            (way > REACH_MAX_S, Exclusion.TOO_FAR),
            (elsewhere, Exclusion.ON_THE_WAY_ELSEWHERE),
            (way >= UNREACHABLE_S, Exclusion.CUT_OFF),
        ):
            out[wrong] = REASONS.index(why)
        rule = self.by_rule(job_number)
        return np.where(rule != NONE, rule, out)

    def count(self, why: Ints) -> dict[str, int]:
        """Return how many drivers can't do a job, by reason, those the caller left out among them; `why` as of `of`."""
        out = dict(self._problem.left_out)
        numbers, counts = np.unique(why[why != NONE], return_counts=True)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            out[REASONS[number].value] = out.get(REASONS[number].value, 0) + count
        return out

    def _owned(self, business_id: UUID) -> NDArray[np.bool_]:
        if business_id not in self._own:
            mine = [business_id in driver.business_priority for driver in self._problem.drivers]
            self._own[business_id] = np.array(mine, bool)
        return self._own[business_id]

    def _lacking(self, needs: frozenset[str]) -> NDArray[np.bool_]:
        if needs not in self._without:
            self._without[needs] = np.array([not needs <= driver.skills for driver in self._problem.drivers], bool)
        return self._without[needs]


def eligible(problem: Problem) -> NDArray[np.bool_]:
    """Return who may do what by rule (drivers, jobs), the way there not yet looked at."""
    candidates = Candidates(problem)
    allowed = np.zeros((len(problem.drivers), len(problem.jobs)), bool)
    for job in range(len(problem.jobs)):
        allowed[:, job] = candidates.by_rule(job) == NONE
    return allowed
