"""Paused zones: where nobody is sent for a while. Deliveries that begin or end there wait, and go on by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import numpy as np

from geo.zones import ZoneIndex, zone_from_geojson
from kernel.db import Connection, Record


async def without_paused(
    con: Connection, operator_id: UUID, jobs: Sequence[Record], now: datetime
) -> tuple[list[Record], list[Record]]:
    """Return (the deliveries to plan, those in a paused zone). A dispatcher's pin goes over a pause. Platform path."""
    zones = await con.fetch(
        "SELECT id, business_id, area FROM paused_zones WHERE operator_id = $1 AND (until IS NULL OR until > $2)",
        operator_id,
        now,
    )
    if not zones or not jobs:
        return list(jobs), []
    whose = {str(zone["id"]): zone["business_id"] for zone in zones}
    index = ZoneIndex({str(zone["id"]): zone_from_geojson(zone["area"]) for zone in zones})
    pickups = index.containing(np.array([(row["p_lat"], row["p_lng"]) for row in jobs]))
    doors = index.containing(np.array([(row["q_lat"], row["q_lng"]) for row in jobs]))
    go: list[Record] = []
    wait: list[Record] = []
    for row, *around in zip(jobs, pickups, doors, strict=True):
        hit = any(whose[zone] in (None, row["business_id"]) for zones_there in around for zone in zones_there)
        (wait if hit and row["pinned_driver_id"] is None else go).append(row)
    return go, wait
