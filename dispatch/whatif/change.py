"""What could be otherwise: some drivers fewer or more, another policy. Which drivers is the same for the same day.

Fewer: those who brought least that day go first. More: those who brought most come twice.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Final
from uuid import UUID, uuid5

import msgspec
from msgspec import Meta

from dispatch.engine.problem import PerJob, PerSecond
from dispatch.policy import Policies, Policy, Stack, check
from dispatch.whatif.past import PastDay, PastShift
from kernel.errors import invalid

DRIVERS_MAX: Final = 50
TWIN: Final = UUID("6f6e7761-7264-4000-8000-747769000000")


class OtherWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a second of each thing is worth, in hundredths (`dispatch/engine/problem.py`); None leaves it as it is."""

    delay: PerSecond | None = None
    lateness: PerSecond | None = None
    driver_time: PerSecond | None = None
    empty_travel: PerSecond | None = None
    pool_instead_of_dedicated: PerJob | None = None
    dedicated_priority_step: PerJob | None = None
    fairness: PerJob | None = None


class OtherPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the same day is to be dispatched; None leaves it as it is, for each business as it is there."""

    stack_max: Stack | None = None
    uses_shared_pool: bool | None = None
    weights: OtherWeights = OtherWeights()


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The alternative: so many drivers more (or, below 0, fewer), and another policy."""

    drivers: Annotated[int, Meta(ge=-DRIVERS_MAX, le=DRIVERS_MAX)] = 0
    policy: OtherPolicy = OtherPolicy()


def under(policies: Policies, other: OtherPolicy) -> Policies:
    """Return policies with the other one's fields over them; raises `validation_failed` when they make no sense."""
    return Policies(
        _under(policies.operator, other), {key: _under(own, other) for key, own in policies.businesses.items()}
    )


def _under(policy: Policy, other: OtherPolicy) -> Policy:
    weights = msgspec.structs.replace(policy.weights, **_given(other.weights))
    changed_policy = msgspec.structs.replace(policy, **(_given(other) | {"weights": weights}))
    check(changed_policy)
    return changed_policy


def _given(fields: OtherPolicy | OtherWeights) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(fields).items() if value is not None}


def changed(day: PastDay, change: Change) -> PastDay:
    """Return the day with other drivers, policies and pool; raises `validation_failed` when it makes no sense."""
    pool = change.policy.uses_shared_pool
    return msgspec.structs.replace(
        day,
        deliveries=day.deliveries
        if pool is None
        else tuple(msgspec.structs.replace(one, uses_shared_pool=pool) for one in day.deliveries),
        shifts=_shifts(day, change.drivers),
        policies=under(day.policies, change.policy),
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
