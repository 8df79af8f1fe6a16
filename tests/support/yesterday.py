"""A day that is over, written into a database: lunch in Helsinki, as it was dispatched by somebody not too clever."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random

from dispatch.service import NewDelivery, Place, create
from kernel.db import Database, Reason
from kernel.ids import new_id
from tests.support.world import Business, World

NOON = 12 * 3600
DRIVE_S = 600
TAKES_S = 1_500


def yesterday() -> date:
    """Return the day before today."""
    return (datetime.now(UTC) - timedelta(days=1)).date()


async def write_lunch(db: Database, world: World, day: date, *, deliveries: int = 24, seed: int = 3) -> None:
    """Write a lunch: everybody works from 11 to 15, orders come from 12 on, each brought by the next in turn."""
    chance = Random(seed)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    drivers = [world.dedicated, *world.pool]
    async with db.platform_tx(Reason.SEED) as con:
        await con.execute("SELECT make_location_partition($1)", day)
        for number, driver in enumerate(drivers):
            on_at = midnight + timedelta(hours=11)
            await con.execute(
                "INSERT INTO driver_shifts (driver_id, operator_id, started_at, ended_at) VALUES ($1, $2, $3, $4)",
                driver.id,
                world.operator_id,
                on_at,
                midnight + timedelta(hours=15),
            )
            await con.execute(
                """INSERT INTO driver_locations (driver_id, operator_id, recorded_at, received_at, lat, lng)
                   VALUES ($1, $2, $3, $3, $4, $5)""",
                driver.id,
                world.operator_id,
                on_at,
                60.165 + 0.003 * number,
                24.94,
            )
        for number in range(deliveries):
            business: Business = (world.rosso, world.verde)[number % 2]
            placed_at = midnight + timedelta(seconds=NOON + 60 * number + chance.randint(0, 50))
            delivery_id = new_id()
            await create(
                con,
                NewDelivery(
                    id=delivery_id,
                    operator_id=world.operator_id,
                    business_id=business.id,
                    store_id=business.store_id,
                    pickup=Place(business.name, "Yrjönkatu 1", business.lat, business.lng),
                    dropoff=Place(
                        f"Guest {number}",
                        "Mannerheimintie 1",
                        business.lat + chance.uniform(-0.012, 0.012),
                        business.lng + chance.uniform(-0.02, 0.02),
                    ),
                    distance_m=1_500,
                    fee_minor=490,
                    driver_pay_minor=455,
                    currency="EUR",
                    ready_at=placed_at + timedelta(seconds=600),
                    promised_at=placed_at + timedelta(seconds=2_400),
                    uses_shared_pool=True,
                ),
                placed_at,
            )
            can = [drivers[number % len(drivers)], world.pool[0]]
            driver = can[0] if business is world.rosso or can[0] is not world.dedicated else can[1]
            await con.execute(
                """UPDATE deliveries SET status = 'delivered', driver_id = $2, assigned_at = $3, picked_up_at = $4,
                     finished_at = $5, version = 8 WHERE id = $1""",
                delivery_id,
                driver.id,
                placed_at + timedelta(seconds=60),
                placed_at + timedelta(seconds=TAKES_S),
                placed_at + timedelta(seconds=TAKES_S + DRIVE_S),
            )
