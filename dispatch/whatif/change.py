"""What could be otherwise: some drivers fewer or more, another policy. Which drivers is the same for the same day.

Fewer: those who brought least that day go first. More: those who brought most come twice.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Final
from uuid import UUID, uuid5

import msgspec
from msgspec import UNSET, Meta

from dispatch import policy
from dispatch.policy import Policies, Policy, PolicyChange
from dispatch.whatif.past import PastDay, PastShift
from kernel.errors import invalid

DRIVERS_MAX: Final = 50
TWIN: Final = UUID("6f6e7761-7264-4000-8000-747769000000")


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The alternative: so many drivers more (or, below 0, fewer), and what to change in each business' policy."""

    drivers: Annotated[int, Meta(ge=-DRIVERS_MAX, le=DRIVERS_MAX)] = 0
    policy: PolicyChange = PolicyChange()


def under(policies: Policies, change: PolicyChange) -> Policies:
    """Return policies with a change over each of them; raises `validation_failed` when they make no sense."""
    return Policies(
        _under(policies.operator, change), {key: _under(own, change) for key, own in policies.businesses.items()}
    )


def _under(before: Policy, change: PolicyChange) -> Policy:
    after = policy.policy_of(policy.changed(msgspec.to_builtins(before), change))
    policy.check(after)
    return after


def changed(day: PastDay, change: Change) -> PastDay:
    """Return the day with other drivers, policies and pool; raises `validation_failed` when it makes no sense."""
    policies, deliveries = under(day.policies, change.policy), day.deliveries
    if change.policy.uses_shared_pool is not UNSET:
        deliveries = tuple(
            msgspec.structs.replace(one, uses_shared_pool=policies.of(one.business_id).uses_shared_pool)
            for one in deliveries
        )
    return msgspec.structs.replace(day, deliveries=deliveries, shifts=_shifts(day, change.drivers), policies=policies)


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
