"""Who could do what: each exclusion has a reason."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dispatch.engine.problem import NOWHERE, REACH_MAX_S, Driver, Job, Problem


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
    ON_THE_WAY_ELSEWHERE = "on_the_way_elsewhere"
    OFF_SHIFT = "off_shift"
    TOO_FAR = "too_far"
    BUSY = "busy"
    STALE_POSITION = "stale_position"


def exclusion(problem: Problem, promised: dict[int, int], driver_number: int, job_number: int) -> Exclusion | None:
    """Return why a driver may not do a job, whatever the way; None when he may. `promised` is the problem's."""
    if job_number in promised:
        return None if promised[job_number] == driver_number else Exclusion.PROMISED_TO_ANOTHER
    return _by_rule(problem.drivers[driver_number], problem.jobs[job_number])


def _by_rule(driver: Driver, job: Job) -> Exclusion | None:
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


def eligible(problem: Problem) -> NDArray[np.bool_]:
    """Return who may do what by rule (drivers, jobs), the way there not yet looked at."""
    allowed = np.ones((len(problem.drivers), len(problem.jobs)), bool)
    number = {driver.id: n for n, driver in enumerate(problem.drivers)}
    pool = np.array([driver.pool != "dedicated" for driver in problem.drivers], bool)
    capacity = np.array([driver.capacity for driver in problem.drivers], np.int64)
    distance_m_max = np.array([driver.distance_m_max for driver in problem.drivers], np.int64)
    own: dict[object, NDArray[np.bool_]] = {}
    for j, job in enumerate(problem.jobs):
        if job.pinned_to is not None:
            allowed[:, j] = False
            if job.pinned_to in number:
                allowed[number[job.pinned_to], j] = True
            continue
        if job.business_id not in own:
            own[job.business_id] = np.array([job.business_id in d.business_priority for d in problem.drivers], bool)
        allowed[:, j] = np.where(pool, job.uses_shared_pool, own[job.business_id])
        allowed[:, j] &= (capacity >= job.size) & (distance_m_max >= job.distance_m)
        for driver_id in job.not_by:
            if driver_id in number:
                allowed[number[driver_id], j] = False
        if job.needs:
            allowed[:, j] &= np.array([job.needs <= driver.skills for driver in problem.drivers], bool)
    for d, driver in enumerate(problem.drivers):
        for j in driver.keeps:
            allowed[:, j] = False
            allowed[d, j] = True
    return allowed


def count_reasons(problem: Problem, job_number: int) -> dict[str, int]:
    """Return how many drivers can't do a job, by reason."""
    job = problem.jobs[job_number]
    reasons: Counter[str] = Counter(problem.left_out)
    everyone, promised = np.arange(len(problem.drivers)), problem.promised()
    places = np.array([driver.place for driver in problem.drivers], np.int64)
    vehicles = np.array([driver.vehicle for driver in problem.drivers], np.int64)
    ways = problem.legs.seconds(places, np.full(len(everyone), job.pickup), vehicles) if len(everyone) else everyone
    for d, driver in enumerate(problem.drivers):
        reason = exclusion(problem, promised, d, job_number) or on_the_way(problem, driver, job, int(ways[d]))
        if reason is not None:
            reasons[reason.value] += 1
    return dict(reasons)


def on_the_way(problem: Problem, driver: Driver, job: Job, to_pickup_s: int) -> Exclusion | None:
    """Return why a driver who may do a job can't get to its pickup."""
    if driver.heading_to not in (NOWHERE, job.pickup):
        return Exclusion.ON_THE_WAY_ELSEWHERE
    if to_pickup_s > REACH_MAX_S:
        return Exclusion.TOO_FAR
    if max(driver.free_s + to_pickup_s + problem.half_services()[0], job.ready_s) > driver.off_s:
        return Exclusion.OFF_SHIFT
    return None
