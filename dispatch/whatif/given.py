"""What a day is played from: deliveries as they became known, drivers' stretches of work, and the rules of playing."""

from __future__ import annotations

from uuid import UUID

import msgspec

from dispatch.engine.problem import STACK_MAX, JobWeights, Weights
from dispatch.offer import DECLINE_COOLDOWN_S


class Pin(msgspec.Struct, frozen=True):
    """A dispatcher's hand: from when on a delivery is for one driver; None gives it back to the engine."""

    at_s: int
    driver_id: UUID | None


class Refusal(msgspec.Struct, frozen=True):
    """An offer that a driver declined or, `missed`, let pass, and how long that took."""

    after_s: int
    missed: bool = False


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery of the day; moments are seconds of the day, `pickup` and `dropoff` places of its legs.

    `ready_s` is when it was ready; `announced_s` when its store had said it would be, where that differs. `held` are
    the times (from, until) in which nobody is asked. `refusals` are what each driver said to its offers, one after the
    other; who said nothing accepts. `asks` is how many are asked at once.
    """

    id: UUID
    business_id: UUID
    pickup: int
    dropoff: int
    placed_s: int
    known_s: int
    ready_s: int
    promised_s: int
    announced_s: int | None = None
    pickup_until_s: int | None = None
    dropoff_from_s: int | None = None
    uses_shared_pool: bool = True
    several_stores: bool = False
    stack_max: int = STACK_MAX
    needs: frozenset[str] = frozenset()
    size: int = 1
    distance_m: int = 0
    pins: tuple[Pin, ...] = ()
    held: tuple[tuple[int, int], ...] = ()
    refusals: dict[UUID, tuple[Refusal, ...]] = {}
    cooldown_s: int = DECLINE_COOLDOWN_S
    asks: int = 1

    def said_ready_s(self, now: int) -> int:
        """Return when it is ready as far as that is known now."""
        return self.ready_s if self.announced_s is None or self.ready_s <= now else self.announced_s


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """One driver's stretch of work: where he begins, from when, and until when he may pick up."""

    driver_id: UUID
    place: int
    on_s: int
    off_s: int
    vehicle: int = 0
    pool: str = "shared_pool"
    business_priority: dict[UUID, int] = {}
    skills: frozenset[str] = frozenset()
    capacity: int = 100
    distance_m_max: int = 10**6


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How a day is played.

    `lead_s`: a driver hears of a trip so long before he must leave. `early_s`: he may be planned with so long before
    his shift, and `tells_end`: also his shift's end is known ahead. `keeps`: what he is on his way to fetch is promised
    to him; else it may change until he has it. `answer_s`: so long he thinks before he accepts.
    `cooldown_s`: who misses offers is left in peace for so long. `moves`: idle drivers are told where to wait, each
    every `moves_every_s` at most.
    """

    epoch_s: int
    lead_s: int = 0
    early_s: int = 0
    keeps: bool = True
    tells_end: bool = True
    answer_s: int = 0
    cooldown_s: int = DECLINE_COOLDOWN_S
    moves: bool = False
    moves_every_s: int = 0
    pickup_service_s: int = 0
    dropoff_service_s: int = 0
    weights: Weights = Weights()
    business_weights: dict[UUID, JobWeights] = {}


class Way(msgspec.Struct, frozen=True):
    """One movement: which shift's driver, when, from where to where, and with how many deliveries aboard."""

    shift: int
    at_s: int
    start: int
    end: int
    aboard: int


class Trip(msgspec.Struct, frozen=True):
    """What was picked up together: when its driver was told, when he had it, and the doors in their order."""

    shift: int
    told_s: int
    picked_s: int
    jobs: tuple[int, ...]
    doors_s: tuple[int, ...]
