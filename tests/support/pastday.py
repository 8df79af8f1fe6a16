"""A past day in memory, to be played: a lunch of two stores."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from uuid import UUID

from dispatch.policy import Policies, Policy
from dispatch.whatif.past import PastDay, PastDelivery, PastShift
from geo.distance import destination
from geo.point import Point
from geo.travel import Vehicle

CITY = Point(60.17, 24.94)
SHOPS = (UUID(int=1), UUID(int=2))


def a_day(*, deliveries: int = 24, drivers: int = 6, seed: int = 1, every_s: int = 60) -> PastDay:
    """Return a lunch: two stores, some drivers, an order a minute. Of what really happened only the first is known."""
    chance = Random(seed)
    stores = [destination(CITY, 90, 400), destination(CITY, 300, 700)]
    made = []
    for number in range(deliveries):
        placed_s = 43_200 + every_s * number
        made.append(
            PastDelivery(
                id=UUID(int=100 + number),
                business_id=SHOPS[number % 2],
                pickup=stores[number % 2],
                dropoff=destination(stores[number % 2], chance.uniform(0, 360), chance.uniform(300, 2_000)),
                placed_s=placed_s,
                ready_s=placed_s + 600,
                promised_s=placed_s + 2_100,
                uses_shared_pool=True,
                distance_m=1_500,
                pay_minor=500,
                driver_id=UUID(int=1_000) if number == 0 else None,
                assigned_s=placed_s + 60 if number == 0 else None,
                picked_s=placed_s + 900 if number == 0 else None,
                door_s=placed_s + 1_800 if number == 0 else None,
            )
        )
    shifts = tuple(
        PastShift(
            driver_id=UUID(int=1_000 + number),
            name=f"Driver {number}",
            vehicle=Vehicle.BICYCLE,
            pool="shared_pool",
            business_priority={},
            at=destination(CITY, 60 * number, 800),
            on_s=41_400,
            off_s=54_000,
        )
        for number in range(drivers)
    )
    return PastDay(
        date="2026-05-04",
        time_zone="UTC",
        starts_at=datetime(2026, 5, 4, tzinfo=UTC),
        until_s=86_400,
        currency="EUR",
        policies=Policies(Policy()),
        businesses={SHOPS[0]: "Rosso", SHOPS[1]: "Verde"},
        deliveries=tuple(made),
        shifts=shifts,
        left_out={},
    )
