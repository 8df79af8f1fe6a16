"""A day as the database knows it: what was to be brought where and when it was, and who worked from when to when."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from dispatch.eta_lessons import Driving
from dispatch.policy import Policies
from dispatch.whatif.given import Pin, Refusal
from dispatch.worker import STOP_SERVICE_S
from geo.point import Point
from geo.travel import Vehicle


class PastDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery; moments are seconds of the day, the last four None where it never came so far.

    `ready_s` is what its store announced (and what is known of that store added), `was_ready_s` when it was. `paused`
    are the times (from, until) in which a zone that it begins or ends in was paused.
    """

    id: UUID
    business_id: UUID
    pickup: Point
    dropoff: Point
    placed_s: int
    ready_s: int
    promised_s: int
    uses_shared_pool: bool
    distance_m: int
    pay_minor: int
    needs: frozenset[str] = frozenset()
    size: int = 1
    pickup_until_s: int | None = None
    dropoff_from_s: int | None = None
    pins: tuple[Pin, ...] = ()
    paused: tuple[tuple[int, int], ...] = ()
    refusals: dict[UUID, tuple[Refusal, ...]] = {}
    driver_id: UUID | None = None
    was_ready_s: int | None = None
    assigned_s: int | None = None
    picked_s: int | None = None
    door_s: int | None = None


class PastShift(msgspec.Struct, frozen=True, kw_only=True):
    """One driver's stretch of work and where it began; `name` is None where the viewer may not know it."""

    driver_id: UUID
    name: str | None
    vehicle: Vehicle
    pool: str
    business_priority: dict[UUID, int]
    at: Point
    on_s: int
    off_s: int
    skills: frozenset[str] = frozenset()


class Lived(msgspec.Struct, frozen=True):
    """How long things took that day: what a played day takes them to take.

    `answer_s` until an offer was accepted, `pickup_s` and `dropoff_s` a hand-over; `rides` are those between stops.
    """

    answer_s: int = 0
    pickup_s: int = STOP_SERVICE_S
    dropoff_s: int = STOP_SERVICE_S
    rides: tuple[Driving, ...] = ()


class PastDay(msgspec.Struct, frozen=True, kw_only=True):
    """One day of an operator, or of one business; seconds count from the local midnight `starts_at`.

    `until_s` is where it ends, or how far it has come. `left_out` counts deliveries that are not in it: canceled, or,
    while the day lasts, still under way.
    """

    date: str
    time_zone: str
    starts_at: datetime
    until_s: int
    currency: str
    businesses: dict[UUID, str]
    policies: Policies
    deliveries: tuple[PastDelivery, ...]
    shifts: tuple[PastShift, ...]
    left_out: dict[str, int]
    lived: Lived = Lived()
