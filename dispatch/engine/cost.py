"""What giving a job to a driver costs, term by term: the terms stay apart so that a decision can be explained.

All terms are weighted seconds. Dedicated drivers come first as a price, not a wall: a pool driver is taken when the
business' own would be later than that price is worth.
"""

from __future__ import annotations

import msgspec

from dispatch.engine.problem import Arc, Problem

UNASSIGNED_BASE = 1_000_000
"""Leaving a job without a driver costs more than any driver in reach; jobs that waited longer cost more."""


class Terms(msgspec.Struct, frozen=True):
    """The price of one arc."""

    lateness: int
    pickup_wait: int
    empty_travel: int
    driver_wait: int
    dedicated_first: int
    fairness: int

    @property
    def total(self) -> int:
        """The sum that is minimised."""
        return (
            self.lateness
            + self.pickup_wait
            + self.empty_travel
            + self.driver_wait
            + self.dedicated_first
            + self.fairness
        )


def price(problem: Problem, arc: Arc) -> Terms:
    """Return the terms of one arc."""
    driver, job, weights = problem.drivers[arc.driver], problem.jobs[arc.job], problem.weights
    arrive_s = driver.free_in_s + arc.to_pickup_s
    leave_s = max(arrive_s, job.ready_in_s) + problem.pickup_service_s
    at_door_s = leave_s + job.direct_s
    if driver.pool == "dedicated":
        dedicated_first = weights.dedicated_priority_step * (driver.business_priority[job.business_id] - 1)
    else:
        dedicated_first = weights.pool_instead_of_dedicated
    return Terms(
        lateness=weights.lateness * max(0, at_door_s - job.promised_in_s),
        pickup_wait=weights.pickup_wait * max(0, arrive_s - max(job.ready_in_s, 0)),
        empty_travel=weights.empty_travel * arc.to_pickup_s,
        driver_wait=weights.driver_wait * max(0, job.ready_in_s - arrive_s),
        dedicated_first=dedicated_first,
        fairness=weights.fairness * driver.jobs_done,
    )


def unassigned_cost(problem: Problem, job: int) -> int:
    """Return what it costs to leave a job open for another tick."""
    return UNASSIGNED_BASE + problem.jobs[job].waited_s
