"""What could be otherwise: some drivers fewer or more, another policy. Which drivers is the same for the same day.

Fewer: those who brought least that day go first. More: those who brought most come twice.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Final
from uuid import UUID, uuid5

import msgspec
from msgspec import Meta

from dispatch.engine.problem import STACK_MAX, Weights
from dispatch.whatif.past import PastDay, PastShift
from kernel.errors import invalid

DRIVERS_MAX: Final = 50
TWIN: Final = UUID("6f6e7761-7264-4000-8000-747769000000")

PerSecond = Annotated[int, Meta(ge=0, le=10_000)]
PerJob = Annotated[int, Meta(ge=0, le=1_000_000)]


class PolicyWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a second of each thing is worth, in hundredths (`dispatch/engine/problem.py`); None leaves it as it is."""

    delay: PerSecond | None = None
    lateness: PerSecond | None = None
    driver_time: PerSecond | None = None
    empty_travel: PerSecond | None = None
    pool_instead_of_dedicated: PerJob | None = None
    dedicated_priority_step: PerJob | None = None
    fairness: PerJob | None = None


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the same day is to be dispatched; None leaves it as it is, for each business as it is there."""

    stack_max: Annotated[int, Meta(ge=1, le=STACK_MAX)] | None = None
    uses_shared_pool: bool | None = None
    weights: PolicyWeights = PolicyWeights()


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The alternative: so many drivers more (or, below 0, fewer), and another policy."""

    drivers: Annotated[int, Meta(ge=-DRIVERS_MAX, le=DRIVERS_MAX)] = 0
    policy: Policy = Policy()


def weights_of(policy: Policy) -> Weights:
    """Return the weights under a policy; raises `validation_failed` when they make no sense together."""
    given = {name: value for name, value in msgspec.structs.asdict(policy.weights).items() if value is not None}
    weights = Weights(**given)
    if weights.delay + weights.lateness == 0:
        raise invalid("weights", "delay and lateness can't both be 0: nothing would say that a delivery should arrive.")
    if weights.driver_time > weights.delay + weights.lateness:
        raise invalid(
            "weights.driver_time",
            "A driver's second dearer than a customer's keeps drivers idle: at most delay + lateness.",
        )
    return weights


def changed(day: PastDay, change: Change) -> PastDay:
    """Return the day with other drivers, stacks and pool; raises `validation_failed` when nobody would be left."""
    policy = change.policy
    given = {"stack_max": policy.stack_max, "uses_shared_pool": policy.uses_shared_pool}
    fields = {name: value for name, value in given.items() if value is not None}
    return msgspec.structs.replace(
        day,
        deliveries=tuple(msgspec.structs.replace(one, **fields) for one in day.deliveries),
        shifts=_shifts(day, change.drivers),
    )


def _shifts(day: PastDay, more: int) -> tuple[PastShift, ...]:
    brought = Counter(one.driver_id for one in day.deliveries if one.door_s is not None)
    drivers = sorted({shift.driver_id for shift in day.shifts}, key=lambda driver: (brought[driver], driver))
    if -more >= len(drivers) > 0:
        raise invalid(
            "drivers", f"{len(drivers)} drivers worked that day: at most {len(drivers) - 1} can be taken away."
        )
    if more <= 0:
        gone = set(drivers[:-more])
        return tuple(shift for shift in day.shifts if shift.driver_id not in gone)
    twins = []
    for number in range(more if drivers else 0):
        original = drivers[-1 - number % len(drivers)]
        twin = uuid5(TWIN, f"{original}:{number // len(drivers)}")
        twins += [
            msgspec.structs.replace(shift, driver_id=twin, name=None)
            for shift in day.shifts
            if shift.driver_id == original
        ]
    return (*day.shifts, *twins)
