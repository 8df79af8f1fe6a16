"""What became of a tick: the terms a driver is offered, why nobody is, and each decision with its prices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from dispatch.engine.explain import Explanation
from dispatch.rows import AT_CLOSED_STORE
from dispatch.service import news_of
from dispatch.unassigned import OpenCode, UnassignedReason, why_open
from kernel.db import Connection, Record
from kernel.events import EventType
from kernel.ids import Kind, new_id, show
from kernel.outbox import emit

PLAN_CHANGE_MIN_S: Final = 120
OFFER_LEAD_S: Final = 240
"""A driver is asked so long before he must leave: some offers are declined or missed, and each takes its time."""
NO_WAY_RETRY_S: Final = 300
"""So long nobody looks again at a delivery that no way leads to: the map or the driver has to change first."""


class Outcome(StrEnum):
    """What was decided."""

    OFFERED = "offered"
    PLANNED = "planned"
    NO_CANDIDATE = "no_candidate"


def terms(
    rows: Sequence[Record], stops: list[tuple[str, UUID]], joins: list[UUID], to_pickup_s: int | None
) -> dict[str, Any]:
    """Return what the driver is told before he answers: pay, way and stops; no name, no telephone number.

    `stops` are in their order, also those that he has already; `joins` is what he is to pick up at the same store.
    """
    new = {row["id"]: row for row in rows}
    pickups = [new[delivery_id] for kind, delivery_id in stops if kind == "pickup" and delivery_id in new]
    stores: dict[tuple[float, float], list[Record]] = {}
    for row in pickups:
        stores.setdefault((row["p_lat"], row["p_lng"]), []).append(row)
    return {
        "pay_minor": sum(row["driver_pay_minor"] + row["tip_minor"] for row in rows),
        "currency": rows[0]["currency"],
        "distance_m": sum(row["distance_m"] for row in rows),
        "to_pickup_s": to_pickup_s,
        "deliveries": [show(Kind.DELIVERY, row["id"]) for row in rows],
        "needs": sorted({need for row in rows for need in row["needs"]}),
        "stops": [{"kind": kind, "delivery_id": show(Kind.DELIVERY, delivery_id)} for kind, delivery_id in stops],
        "joins": [show(Kind.DELIVERY, delivery_id) for delivery_id in joins],
        "pickups": [
            {
                "business_name": at[0]["business_name"],
                "name": at[0]["p_name"],
                "address": at[0]["p_address"],
                "lat": at[0]["p_lat"],
                "lng": at[0]["p_lng"],
                "ready_at": max(row["ready_at"] for row in at),
            }
            for at in stores.values()
        ],
        "dropoffs": [{"address": row["q_address"], "lat": row["q_lat"], "lng": row["q_lng"]} for row in rows],
    }


async def note_open(con: Connection, row: Record, explanation: Explanation, now: datetime) -> None:
    """Say on the board when a driver will be asked, or why there is none."""
    planned_at, reason = None, None
    if explanation.chosen is None:
        reason = why_open(explanation)
    else:
        planned_at = max(now, now + timedelta(seconds=explanation.start_by_s - OFFER_LEAD_S))
    undeliverable = reason is not None and reason.code is OpenCode.NO_WAY
    retry_at = now + timedelta(seconds=NO_WAY_RETRY_S) if undeliverable else None
    if await note(con, row, reason, planned_at, now, retry_at) and reason is not None:
        await keep_decision(con, row, Outcome.NO_CANDIDATE, None, explanation, now)


async def note(
    con: Connection,
    row: Record,
    reason: UnassignedReason | None,
    planned_at: datetime | None,
    now: datetime,
    retry_at: datetime | None = None,
) -> bool:
    """Keep a waiting delivery's reason or plan, when that is another than before; return whether it was.

    That its store is closed is the reason for as long as it is true, and no other is kept meanwhile.
    """
    changed = await con.fetchval(
        f"""UPDATE deliveries d SET unassigned_reason = $3, planned_at = $4, retry_at = coalesce($6, retry_at)
           WHERE id = $1 AND version = $2 AND status = 'pending' AND $7 = {AT_CLOSED_STORE}
             AND (unassigned_reason IS DISTINCT FROM $3 OR (planned_at IS NULL) <> ($4::timestamptz IS NULL)
                  OR abs(extract(epoch FROM planned_at - $4)) > $5 OR $6::timestamptz IS NOT NULL)
           RETURNING 1""",
        row["id"],
        row["version"],
        reason,
        planned_at,
        PLAN_CHANGE_MIN_S,
        retry_at,
        reason is not None and reason.code is OpenCode.STORE_CLOSED,
    )
    if not changed:
        return False
    undeliverable = reason is not None and reason.code is OpenCode.NO_WAY
    first = undeliverable and (row["unassigned_reason"] or {}).get("code") != OpenCode.NO_WAY
    kind = EventType.DELIVERY_UNDELIVERABLE if first else EventType.DELIVERY_UPDATED
    await emit(con, news_of(row, kind, now, {"unassigned_reason": reason, "planned_at": planned_at}))
    return True


async def keep_decision(
    con: Connection,
    row: Record,
    outcome: Outcome,
    driver_id: UUID | None,
    explanation: object,
    now: datetime,
    *,
    offer_id: UUID | None = None,
) -> None:
    """Keep what was decided about a delivery, and why: the engine's explanation, or a planned round's."""
    await con.execute(
        """INSERT INTO dispatch_decisions
             (id, operator_id, business_id, delivery_id, offer_id, driver_id, outcome, explanation, at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        new_id(),
        row["operator_id"],
        row["business_id"],
        row["id"],
        offer_id,
        driver_id,
        outcome.value,
        explanation,
        now,
    )
