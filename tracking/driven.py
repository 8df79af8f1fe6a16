"""What drivers really drove between two instants, from the position history: how far, and with which gaps.

What the filters doubt does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from kernel.db import Connection
from tracking.filters import DOUBTED

_DRIVEN: Final = """
WITH fixes AS (
  SELECT span.number, l.recorded_at, l.lat, l.lng,
         extract(epoch FROM l.recorded_at - lag(l.recorded_at, 1, span.since) OVER track) AS gap_s,
         extract(epoch FROM span.until - l.recorded_at) AS rest_s,
         111195 * sqrt((l.lat - lag(l.lat) OVER track) ^ 2
           + ((l.lng - lag(l.lng) OVER track) * cosd(l.lat)) ^ 2) AS step_m
  FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY
         AS span (driver_id, since, until, number)
  JOIN driver_locations l ON l.driver_id = span.driver_id AND l.recorded_at BETWEEN span.since AND span.until
    AND l.verdict <> ALL($4)
  WINDOW track AS (PARTITION BY span.number ORDER BY l.recorded_at)
)
SELECT number, coalesce(sum(step_m), 0)::int AS length_m, greatest(max(gap_s), min(rest_s))::int AS gap_max_s
FROM fixes GROUP BY number
"""


class Driven(msgspec.Struct, frozen=True):
    """The length of a driver's path, and the longest time in it without a fix."""

    length_m: int
    gap_max_s: int


async def driven(con: Connection, spans: Sequence[tuple[UUID, datetime, datetime]]) -> list[Driven | None]:
    """Return what each (driver, since, until) drove; None where there is no fix. Platform path."""
    doubted = [verdict.value for verdict in DOUBTED]
    rows = await con.fetch(_DRIVEN, *([span[part] for span in spans] for part in range(3)), doubted)
    found = {row["number"]: Driven(row["length_m"], row["gap_max_s"]) for row in rows}
    return [found.get(number) for number in range(1, len(spans) + 1)]
