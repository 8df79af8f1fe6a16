"""What the engine is asked: drivers, jobs and the seconds between them, all integers, with a seed."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

REACH_MAX_S: Final = 3_600
CANDIDATES_MAX: Final = 16


class Weights(msgspec.Struct, frozen=True):
    """What a second of each cost is worth; a policy may change them."""

    lateness: int = 8
    pickup_wait: int = 2
    empty_travel: int = 1
    driver_wait: int = 1
    pool_instead_of_dedicated: int = 240
    dedicated_priority_step: int = 30
    fairness: int = 20


class Driver(msgspec.Struct, frozen=True):
    """A driver who can take work: where the second he is free lies, whose he is, and how much he has had."""

    id: UUID
    free_in_s: int
    pool: str
    business_priority: dict[UUID, int]
    jobs_done: int = 0


class Job(msgspec.Struct, frozen=True):
    """A delivery without a driver. Seconds count from the problem's now; `ready_in_s` may be in the past."""

    id: UUID
    business_id: UUID
    version: int
    ready_in_s: int
    promised_in_s: int
    direct_s: int
    uses_shared_pool: bool
    waited_s: int = 0


class Arc(msgspec.Struct, frozen=True):
    """A driver who could do a job: seconds from his place to the pickup."""

    driver: int
    job: int
    to_pickup_s: int


class Problem(msgspec.Struct, frozen=True):
    """One question. Arcs name drivers and jobs by their index; `excluded[job]` counts who was left out, by reason."""

    now_ms: int
    seed: int
    drivers: tuple[Driver, ...]
    jobs: tuple[Job, ...]
    arcs: tuple[Arc, ...]
    excluded: tuple[dict[str, int], ...]
    weights: Weights = Weights()
    pickup_service_s: int = 60
