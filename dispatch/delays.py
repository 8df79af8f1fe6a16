"""Delays are told before customers notice: once when a delivery will miss its promise, and again when it gets worse."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from dispatch.risk import risk_of
from dispatch.service import news_of, public
from kernel.db import Connection, Record
from kernel.events import Event, EventType
from kernel.outbox import emit

WORSE_BY_S: Final = 300
SEEKING_AHEAD_S: Final = 7_200
"""A promise further away than this is not missed for want of a driver now."""


def worth_telling(row: Record, expected_at: datetime) -> int | None:
    """Return how many seconds late it will be when that is news; None when it is in time, or known to be so late."""
    late_s = round((expected_at - row["promised_at"]).total_seconds())
    told_s: int | None = row["delay_told_s"]
    return late_s if late_s > (0 if told_s is None else told_s + WORSE_BY_S) else None


def delayed(row: Record, late_s: int, now: datetime) -> Event:
    """Return the event of a delivery's row; `expected` is None while nobody has it."""
    expected = {"p50": row["eta_dropoff_p50"], "p90": row["eta_dropoff_p90"]}
    data: dict[str, Any] = {"object": public(row), "late_s": late_s, "expected": expected if row["driver_id"] else None}
    return news_of(row, EventType.DELIVERY_DELAYED, now, data)


async def seeking(con: Connection, now: datetime) -> list[tuple[Record, int]]:
    """Return deliveries that nobody has whose delay is news, and how late they will be. Platform path.

    By the rule of the board: even a driver who stood at the store now would be too late.
    """
    rows = await con.fetch(
        "SELECT * FROM deliveries WHERE status IN ('pending', 'offered') AND promised_at < $1 ORDER BY id",
        now + timedelta(seconds=SEEKING_AHEAD_S),
    )
    found = []
    for row in rows:
        risk = risk_of(row)
        assert risk is not None
        late_s = worth_telling(row, row["promised_at"] + (now - risk["from"]))
        if late_s is not None:
            found.append((row, late_s))
    return found


async def tell(con: Connection, row: Record, late_s: int, now: datetime) -> bool:
    """Tell one of `seeking`, unless it changed meanwhile or another process was faster. Platform path."""
    kept = await con.fetchrow(
        """UPDATE deliveries SET delay_told_s = $3
           WHERE id = $1 AND version = $2 AND delay_told_s IS NOT DISTINCT FROM $4 RETURNING *""",
        row["id"],
        row["version"],
        late_s,
        row["delay_told_s"],
    )
    if kept is not None:
        await emit(con, delayed(kept, late_s, now))
    return kept is not None
