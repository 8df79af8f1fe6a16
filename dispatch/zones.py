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
        """SELECT id, business_id, area FROM paused_zones
           WHERE operator_id = $1 AND ended_at IS NULL AND (until IS NULL OR until > $2)""",
        operator_id,
        now,
    )
    if not zones or not jobs:
        return list(jobs), []
    go: list[Record] = []
    wait: list[Record] = []
    for row, hits in zip(jobs, hit_by(zones, jobs), strict=True):
        (wait if hits and row["pinned_driver_id"] is None else go).append(row)
    return go, wait


def hit_by(zones: Sequence[Record], jobs: Sequence[Record]) -> list[list[Record]]:
    """Return for each delivery the zones that it begins or ends in and that concern its business."""
    index = ZoneIndex({str(number): zone_from_geojson(zone["area"]) for number, zone in enumerate(zones)})
    pickups = index.containing(np.array([(row["p_lat"], row["p_lng"]) for row in jobs]))
    doors = index.containing(np.array([(row["q_lat"], row["q_lng"]) for row in jobs]))
    found = []
    for row, *around in zip(jobs, pickups, doors, strict=True):
        there = [zones[int(number)] for number in sorted({number for ends in around for number in ends})]
        found.append([zone for zone in there if zone["business_id"] in (None, row["business_id"])])
    return found
