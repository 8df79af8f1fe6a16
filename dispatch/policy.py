"""How an operator and a business want their deliveries dispatched: one value, with a default for every field.

Kept are only the fields somebody set: a business' over its operator's over the defaults. What concerns drivers of
several businesses (vehicles, the price of their time, fairness) is the operator's alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dispatch.engine.problem import STACK_MAX, JobWeights, PerJob, PerSecond, Weights
from dispatch.offer import DECLINE_COOLDOWN_S, OFFER_TTL_S
from geo.travel import Vehicle
from kernel.db import Connection, one
from kernel.errors import invalid

Stack = Annotated[int, Meta(ge=1, le=STACK_MAX)]
Asked = Annotated[int, Meta(ge=2, le=4)]
OfferTtl = Annotated[int, Meta(ge=10, le=300)]
Cooldown = Annotated[int, Meta(ge=0, le=86_400)]
Capacity = Annotated[int, Meta(ge=1, le=100)]
MovesEvery = Annotated[int, Meta(ge=300, le=14_400)]
Reach = Annotated[int, Meta(ge=200, le=50_000)]


class Mode(StrEnum):
    """Who decides: the engine asks one driver, asks several at once, or only suggests and a dispatcher decides."""

    AUTOMATIC = "automatic"
    OFFER_TO_SEVERAL = "offer_to_several"
    MANUAL = "manual"


class VehicleLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many units of size a vehicle carries at once, and the longest way of one delivery it is sent on."""

    capacity: Capacity
    distance_m_max: Reach = 50_000


VEHICLES: Final[Mapping[Vehicle, VehicleLimits]] = {
    Vehicle.BICYCLE: VehicleLimits(6),
    Vehicle.SCOOTER: VehicleLimits(8),
    Vehicle.CAR: VehicleLimits(20),
    Vehicle.FOOT: VehicleLimits(3, 5_000),
}


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole policy. `offer_to_count` drivers are asked at once in the mode `offer_to_several`.

    `several_stores` lets a driver pick up elsewhere with a delivery of this business in hand. `moves` tells
    idle drivers where work comes from, each at most every `moves_every_s`.
    """

    mode: Mode = Mode.AUTOMATIC
    offer_to_count: Asked = 3
    offer_ttl_s: OfferTtl = OFFER_TTL_S
    decline_cooldown_s: Cooldown = DECLINE_COOLDOWN_S
    stack_max: Stack = 2
    several_stores: bool = False
    uses_shared_pool: bool = True
    moves: bool = False
    moves_every_s: MovesEvery = 1_200
    weights: Weights = Weights()
    vehicles: dict[Vehicle, VehicleLimits] = msgspec.field(default_factory=lambda: dict(VEHICLES))


class WeightsChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Some weights, in hundredths of a second; null brings a default back."""

    delay: PerSecond | UnsetType | None = UNSET
    lateness: PerSecond | UnsetType | None = UNSET
    driver_time: PerSecond | UnsetType | None = UNSET
    empty_travel: PerSecond | UnsetType | None = UNSET
    pool_instead_of_dedicated: PerJob | UnsetType | None = UNSET
    dedicated_priority_step: PerJob | UnsetType | None = UNSET
    fairness: PerJob | UnsetType | None = UNSET


class VehicleChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Some limits of a vehicle; null brings a default back."""

    capacity: Capacity | UnsetType | None = UNSET
    distance_m_max: Reach | UnsetType | None = UNSET


class PolicyChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields to change; null brings the operator's value or the default back."""

    mode: Mode | UnsetType | None = UNSET
    offer_to_count: Asked | UnsetType | None = UNSET
    offer_ttl_s: OfferTtl | UnsetType | None = UNSET
    decline_cooldown_s: Cooldown | UnsetType | None = UNSET
    stack_max: Stack | UnsetType | None = UNSET
    several_stores: bool | UnsetType | None = UNSET
    uses_shared_pool: bool | UnsetType | None = UNSET
    moves: bool | UnsetType | None = UNSET
    moves_every_s: MovesEvery | UnsetType | None = UNSET
    weights: WeightsChange | UnsetType | None = UNSET
    vehicles: dict[Vehicle, VehicleChange | None] | UnsetType | None = UNSET


Kept = dict[str, Any]
"""The fields somebody set, as they are stored."""

OF_A_BUSINESS: Final = frozenset(JobWeights.__struct_fields__)
"""The weights a business may set: the others price a driver's time, which businesses share."""
DEFAULTS: Final[Kept] = msgspec.to_builtins(Policy())


def changed(kept: Kept, change: PolicyChange) -> Kept:
    """Return what is kept after a change."""
    return _without_empty(_merged(kept, msgspec.to_builtins(change)))


def policy_of(*kept: Kept) -> Policy:
    """Return the whole policy of an operator, or of a business (operator's fields first)."""
    whole = DEFAULTS
    for fields in kept:
        whole = _merged(whole, fields)
    return msgspec.convert(whole, Policy)


def check(policy: Policy) -> None:
    """Raise `validation_failed` for a policy whose fields are each right and together make no sense."""
    weights = policy.weights
    if weights.delay + weights.lateness == 0:
        raise invalid("weights", "delay and lateness can't both be 0: nothing would say that a delivery should arrive.")
    if weights.driver_time > weights.delay + weights.lateness:
        raise invalid(
            "weights.driver_time",
            "Dearer than a customer's second it keeps drivers idle: at most delay + lateness.",
        )


def check_business(change: PolicyChange) -> None:
    """Raise `validation_failed` when a business' change names what is its operator's to set."""
    if change.vehicles is not UNSET:
        raise invalid("vehicles", "Vehicles are your operator's to set: drivers work for several businesses.")
    for name in ("moves", "moves_every_s"):
        if getattr(change, name) is not UNSET:
            raise invalid(name, "Where idle drivers wait is your operator's to set: they work for several businesses.")
    for name in msgspec.to_builtins(change).get("weights") or {}:
        if name not in OF_A_BUSINESS:
            raise invalid(f"weights.{name}", "This weight is your operator's to set; delay and lateness are yours.")


class Policies(msgspec.Struct, frozen=True):
    """The policies of one operator: its own, and those of the businesses that differ."""

    operator: Policy
    businesses: dict[UUID, Policy] = {}

    def of(self, business_id: UUID) -> Policy:
        """Return a business' policy."""
        return self.businesses.get(business_id, self.operator)

    def weights(self) -> dict[UUID, JobWeights]:
        """Return what a second of each business' deliveries is worth, where it differs from the operator's."""
        usual = self.operator.weights.of_a_job()
        found = {business_id: policy.weights.of_a_job() for business_id, policy in self.businesses.items()}
        return {business_id: weights for business_id, weights in found.items() if weights != usual}


_SINCE: Final = """
SELECT DISTINCT ON (business_id) business_id, detail->'before' AS before FROM audit_log
WHERE operator_id = $1 AND action = 'policy.changed' AND created_at > $2 ORDER BY business_id, created_at, id
"""


async def load(con: Connection, operator_id: UUID, *, as_of: datetime | None = None) -> Policies:
    """Return an operator's policies: a few queries, however many businesses there are. Platform path.

    With `as_of` they are as they were then: what was changed since is, in the audit log, what it was before.
    """
    kept = await con.fetchval("SELECT policy FROM operators WHERE id = $1", operator_id)
    rows = await con.fetch(
        "SELECT id, policy FROM businesses WHERE operator_id = $1 AND policy <> '{}'::jsonb", operator_id
    )
    own: dict[UUID, Kept] = {row["id"]: row["policy"] for row in rows}
    if as_of is not None:
        for row in await con.fetch(_SINCE, operator_id, as_of):
            if row["business_id"] is None:
                kept = row["before"]
            else:
                own[row["business_id"]] = row["before"]
    return Policies(policy_of(kept), {business_id: policy_of(kept, fields) for business_id, fields in own.items()})


async def load_one(con: Connection, business_id: UUID) -> Policy:
    """Return the policy of one business, as far as the transaction sees it."""
    row = await con.fetchrow(
        """SELECT o.policy AS operators, b.policy AS own FROM businesses b JOIN operators o ON o.id = b.operator_id
           WHERE b.id = $1""",
        business_id,
    )
    row = one(row, "business")
    return policy_of(row["operators"], row["own"])


def _merged(below: Kept, above: Kept) -> Kept:
    """Return a JSON merge patch (RFC 7396) applied: null takes a field away."""
    merged = dict(below)
    for name, value in above.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            before = merged.get(name)
            merged[name] = _merged(before if isinstance(before, dict) else {}, value)
        else:
            merged[name] = value
    return merged


def _without_empty(kept: Kept) -> Kept:
    found = {name: _without_empty(value) if isinstance(value, dict) else value for name, value in kept.items()}
    return {name: value for name, value in found.items() if value != {}}
