"""A delivery that is over, with the way it took: written into a database as it would have been kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from dispatch.service import NewDelivery, Place, create
from kernel.db import Database, Reason
from kernel.ids import new_id
from tests.support.world import Business, Driver, World
from tracking.trips import TrackPoint

RIDE_MPS = 5.0
STAY_S = 180
SAMPLE_S = 5


def ride(start: tuple[float, float], end: tuple[float, float], t_ms: int, *, bend: float = 0.0) -> list[TrackPoint]:
    """Go from a place to another with a bend (in degrees) to the side, a position every five seconds."""
    north = (end[0] - start[0]) * 111_195
    east = (end[1] - start[1]) * 111_195 * math.cos(math.radians(start[0]))
    steps = max(1, round(math.hypot(north, east) / RIDE_MPS / SAMPLE_S))
    points = []
    for n in range(steps + 1):
        share = n / steps
        aside = bend * math.sin(share * math.pi)
        lat, lng = start[0] + share * (end[0] - start[0]) + aside, start[1] + share * (end[1] - start[1])
        speed = RIDE_MPS * (0.6 + 0.8 * math.sin(share * math.pi))
        points.append(TrackPoint(t_ms + n * SAMPLE_S * 1000, lat, lng, speed, 0.0, 5.0))
    return points


def stay(at: tuple[float, float], t_ms: int, *, for_s: int = STAY_S) -> list[TrackPoint]:
    """Stand somewhere, with the restlessness of a GPS."""
    return [
        TrackPoint(t_ms + n * SAMPLE_S * 1000, at[0] + 2e-5 * math.sin(n * 2.4), at[1] + 4e-5 * math.cos(n * 2.4), 0.1)
        for n in range(for_s // SAMPLE_S + 1)
    ]


async def keep_track(db: Database, world: World, driver: Driver, track: Sequence[TrackPoint]) -> None:
    """Write positions as history keeps them."""
    async with db.platform_tx(Reason.SEED) as con:
        rows = [
            (driver.id, world.operator_id, p.t_ms, p.lat, p.lng, p.accuracy_m, p.speed_mps, p.heading_deg)
            for p in track
        ]
        for day in {datetime.fromtimestamp(p.t_ms / 1000).astimezone().date() for p in track}:
            for near in (-1, 0, 1):
                await con.execute("SELECT make_location_partition($1)", day + timedelta(days=near))
        await con.executemany(
            """INSERT INTO driver_locations
                 (driver_id, operator_id, recorded_at, received_at, lat, lng, accuracy_m, speed_mps, heading_deg)
               VALUES ($1, $2, to_timestamp($3::bigint / 1000.0), now(), $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING""",
            rows,
        )


async def delivered(
    db: Database,
    world: World,
    business: Business,
    driver: Driver,
    *,
    assigned_at: datetime,
    pickup: tuple[datetime, datetime],
    dropoff: tuple[datetime, datetime],
    door: tuple[float, float],
) -> UUID:
    """Write a delivery that is over: when it was assigned, and from when to when he was at its stops."""
    delivery_id = new_id()
    async with db.platform_tx(Reason.SEED) as con:
        await create(
            con,
            NewDelivery(
                id=delivery_id,
                operator_id=world.operator_id,
                business_id=business.id,
                store_id=business.store_id,
                pickup=Place(f"{business.name} Kamppi", "Yrjönkatu 1", business.lat, business.lng),
                dropoff=Place("Eva", f"Door of {business.name}", *door),
                distance_m=900,
                fee_minor=490,
                driver_pay_minor=455,
                currency="EUR",
                ready_at=pickup[1],
                promised_at=dropoff[1] + timedelta(minutes=5),
                uses_shared_pool=True,
            ),
            assigned_at - timedelta(minutes=2),
        )
        await con.execute(
            """UPDATE deliveries SET status = 'delivered', driver_id = $2, assigned_at = $3, picked_up_at = $4,
                 finished_at = $5, version = 8, unassigned_reason = NULL WHERE id = $1""",
            delivery_id,
            driver.id,
            assigned_at,
            pickup[1],
            dropoff[1],
        )
        for kind, (arrived_at, done_at) in (("pickup", pickup), ("dropoff", dropoff)):
            await con.execute(
                "UPDATE stops SET driver_id = $3, arrived_at = $4, done_at = $5 WHERE delivery_id = $1 AND kind = $2",
                delivery_id,
                kind,
                driver.id,
                arrived_at,
                done_at,
            )
        await con.execute("DELETE FROM outbox WHERE subject = $1", delivery_id)
    return delivery_id


async def write_trip(
    db: Database, world: World, business: Business, driver: Driver, start: datetime
) -> tuple[UUID, list[TrackPoint]]:
    """Write a whole trip: from 600 m away to the store, three minutes there, to a door, ninety seconds there."""
    store, door = (business.lat, business.lng), (business.lat + 0.004, business.lng + 0.012)
    t_ms = round(start.timestamp() * 1000)
    track = ride((store[0] - 0.004, store[1] - 0.006), store, t_ms, bend=0.001)
    at_store = track[-1].t_ms
    track += stay(store, at_store)[1:]
    left_store = track[-1].t_ms
    track += ride(store, door, left_store, bend=-0.0015)[1:]
    at_door = track[-1].t_ms
    track += stay(door, at_door, for_s=90)[1:]
    await keep_track(db, world, driver, track)

    def at(ms: int) -> datetime:
        return start + timedelta(milliseconds=ms - t_ms)

    delivery_id = await delivered(
        db,
        world,
        business,
        driver,
        assigned_at=start,
        pickup=(at(at_store), at(left_store)),
        dropoff=(at(at_door), at(track[-1].t_ms)),
        door=door,
    )
    return delivery_id, track
