"""What the engine is asked: drivers, jobs, the seconds between places, and what a second of each thing is worth.

All times are whole seconds that count from the problem's now. Places are numbers that `Legs` knows. A problem is
frozen and picklable: kept with its plan it answers the same again. Costs are in hundredths of a weighted second, so
that a weight of 100 makes one second cost one second.
"""

from __future__ import annotations

from typing import Annotated, Final, Protocol
from uuid import UUID

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

Ints = NDArray[np.int64]

NOWHERE: Final = -1
STACK_MAX: Final = 3
REACH_MAX_S: Final = 3_600
UNASSIGNED_S: Final = 12_000
"""Leaving a job open for now costs as much as delaying it by this: more than any driver in reach does."""
OFF_NEVER_S: Final = 10**6
KEPT: Final = 10**9
"""What it would cost to take away work that was promised to a driver; no plan pays it."""


class Legs(Protocol):
    """Seconds between places, the same for the same places for as long as a problem lives."""

    def seconds(self, start: Ints, end: Ints, vehicle: Ints) -> Ints:
        """Return whole seconds from places to places; the three arrays broadcast."""

    def near(self, start: Ints, end: Ints, count: int) -> Ints | None:
        """Return for every `end` its `count` nearest of `start` (len(end), count); None when all pairs are cheap."""


PerSecond = Annotated[int, Meta(ge=0, le=1_000)]
PerJob = Annotated[int, Meta(ge=0, le=360_000)]
"""Weights beyond these would leave deliveries open rather than give them to somebody."""


class JobWeights(msgspec.Struct, frozen=True):
    """What a second of delay and of lateness is worth for one business' jobs."""

    delay: int
    lateness: int

    @property
    def open_cost(self) -> int:
        """What leaving a job open costs at least: the dearer its seconds, the more."""
        return UNASSIGNED_S * max(100, self.delay, self.lateness)


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a second of each cost is worth, in hundredths; a policy may change them.

    `delay`: a job at the door later than a driver waiting at the store would bring it. `lateness`: later than
    promised, on top. `driver_time`: a driver's busy second when there is no load; the load adds to it. `empty_travel`:
    driving with nothing aboard. The last three are hundredths of a second for a job, not for a second.
    """

    delay: PerSecond = 100
    lateness: PerSecond = 100
    driver_time: PerSecond = 2
    empty_travel: PerSecond = 2
    pool_instead_of_dedicated: PerJob = 24_000
    dedicated_priority_step: PerJob = 3_000
    fairness: PerJob = 500

    def of_a_job(self) -> JobWeights:
        """Return what a job's seconds are worth."""
        return JobWeights(self.delay, self.lateness)


class Stop(msgspec.Struct, frozen=True):
    """A stop a driver has still to serve: a door is `promised_s`; a pickup is not, and waits until `ready_s`."""

    place: int
    ready_s: int = -(10**9)
    promised_s: int | None = None
    size: int = 1


class Driver(msgspec.Struct, frozen=True):
    """Somebody who can take work: where and when he is free, until when he may pick up, and whose he is.

    `heading_to` is the pickup place he is bound for already (or `NOWHERE`), where he has been since `free_s` when that
    is past: he is not diverted, but what he picks up there may change, except `keeps`, the jobs he was promised
    (numbers in the problem). `route` are stops that he has still to serve from `here` on, if more may be taken in
    between. `kept_for_route`: at `off_s` a route that was planned ahead begins, not his rest.
    """

    id: UUID
    place: int
    free_s: int = 0
    off_s: int = OFF_NEVER_S
    kept_for_route: bool = False
    vehicle: int = 0
    pool: str = "shared_pool"
    business_priority: dict[UUID, int] = {}
    jobs_done: int = 0
    stack_max: int = STACK_MAX
    skills: frozenset[str] = frozenset()
    heading_to: int = NOWHERE
    keeps: tuple[int, ...] = ()
    capacity: int = 100
    distance_m_max: int = 10**6
    here: int = NOWHERE
    route: tuple[Stop, ...] = ()


class Job(msgspec.Struct, frozen=True):
    """A delivery to be picked up: placed in the past, ready now or later, promised at the door.

    `several_stores` allows that its driver picks up elsewhere before he is at its door.
    """

    id: UUID
    business_id: UUID
    pickup: int
    dropoff: int
    placed_s: int
    ready_s: int
    promised_s: int
    uses_shared_pool: bool = True
    stack_max: int = STACK_MAX
    several_stores: bool = False
    needs: frozenset[str] = frozenset()
    not_by: frozenset[UUID] = frozenset()
    pinned_to: UUID | None = None
    size: int = 1
    distance_m: int = 0


class Limits(msgspec.Struct, frozen=True):
    """How much work an answer may take; counted in columns and solver steps, never in wall time, so that it repeats."""

    columns_max: int = 4_000
    rounds: int = 4
    solver_work: float = 0.16
    pairs_max: int = 400_000


class Problem(msgspec.Struct, frozen=True):
    """One question.

    `business_weights` are those of businesses that weigh their jobs otherwise. `second_price` is what the load adds to
    a driver's second, in hundredths. `epoch_s` is when the engine will be asked again, `lead_s` how long before he
    must leave a driver has to be told. `demand` is (pickup place, expected share of coming jobs) for the advice to idle
    drivers; `left_out` counts drivers the caller left out, by reason.
    """

    now_ms: int
    drivers: tuple[Driver, ...]
    jobs: tuple[Job, ...]
    legs: Legs
    weights: Weights = Weights()
    business_weights: dict[UUID, JobWeights] = {}
    second_price: int = 0
    pickup_service_s: int = 120
    dropoff_service_s: int = 120
    epoch_s: int = 1
    lead_s: int = 0
    demand: tuple[tuple[int, float], ...] = ()
    left_out: dict[str, int] = {}

    def job_weights(self, job: Job) -> JobWeights:
        """Return what a job's seconds are worth."""
        return self.business_weights.get(job.business_id) or self.weights.of_a_job()

    def promised(self) -> dict[int, int]:
        """Return job → driver for the work that is promised already."""
        return {job: number for number, driver in enumerate(self.drivers) for job in driver.keeps}

    def usual_vehicle(self) -> Ints:
        """Return the vehicle (1,) by which ways are judged before it is known who goes."""
        return np.array([self.drivers[0].vehicle if self.drivers else 0], np.int64)

    def begins_s(self, driver: Driver) -> int:
        """Return from when on a driver can go: not in the past.

        Who waits at the store he is bound for has used his waiting for what comes before the moment of pickup.
        """
        return max(driver.free_s, 0 if driver.heading_to == NOWHERE else -self.half_services()[0])

    def half_services(self) -> tuple[int, int]:
        """Return the seconds before (and after) the moment of a pickup and of a drop-off."""
        return self.pickup_service_s // 2, self.dropoff_service_s // 2
