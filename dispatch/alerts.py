"""Alerts: what is wrong right now, since when and about whom. Raised and ended by code, put into words by the pages.

At most one is open per (code, subject, business), which the database sees to: raising twice is raising once, and
whoever finds that the trouble is over ends it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import msgspec

from kernel import metrics
from kernel.db import Connection, Record
from kernel.events import EventType, event
from kernel.ids import Kind, new_id, show, show_or_none
from kernel.log import get_logger
from kernel.outbox import emit

log = get_logger(__name__)


class AlertCode(StrEnum):
    """What can be wrong; `docs/operations.md` tells what to do about each."""

    NO_DRIVERS = "no_drivers"
    MASS_DECLINE = "mass_decline"
    UNDELIVERABLE = "undeliverable"
    STORE_CLOSED = "store_closed"
    DRIVER_VANISHED = "driver_vanished"
    PLANNER_DOWN = "planner_down"
    TRAVEL_TIMES_DOWN = "travel_times_down"


SEVERITY: Final[dict[AlertCode, str]] = {
    AlertCode.NO_DRIVERS: "critical",
    AlertCode.MASS_DECLINE: "warning",
    AlertCode.UNDELIVERABLE: "warning",
    AlertCode.STORE_CLOSED: "warning",
    AlertCode.DRIVER_VANISHED: "critical",
    AlertCode.PLANNER_DOWN: "critical",
    AlertCode.TRAVEL_TIMES_DOWN: "warning",
}


class Alert(msgspec.Struct, frozen=True):
    """One thing that is wrong; without a business it concerns the operator alone, without a subject the whole."""

    code: AlertCode
    business_id: UUID | None = None
    subject: tuple[Kind, UUID] | None = None
    data: dict[str, Any] = {}

    def same(self) -> tuple[str, UUID | None, UUID | None]:
        """Return what tells it from other alerts of its operator."""
        return self.code.value, self.business_id, self.subject[1] if self.subject else None


async def settle(
    con: Connection, operator_id: UUID, codes: Collection[AlertCode], found: Sequence[Alert], now: datetime
) -> None:
    """Make the open alerts of these codes those that were found. Platform path."""
    opened = await con.fetch(
        "SELECT * FROM alerts WHERE operator_id = $1 AND code = ANY($2) AND ended_at IS NULL", operator_id, list(codes)
    )
    wrong = {alert.same() for alert in found}
    for alert in found:
        await _raise(con, operator_id, alert, now)
    for row in opened:
        if (row["code"], row["business_id"], row["subject_id"]) not in wrong:
            await _end(con, row, now)


async def count_open(con: Connection) -> None:
    """Set the gauge of open alerts, each code with its number. Platform path."""
    rows = await con.fetch("SELECT code, count(*) AS n FROM alerts WHERE ended_at IS NULL GROUP BY code")
    counts = {row["code"]: row["n"] for row in rows}
    for code in AlertCode:
        metrics.alerts_open.labels(code.value).set(counts.get(code.value, 0))


async def _raise(con: Connection, operator_id: UUID, alert: Alert, now: datetime) -> None:
    kind, subject_id = alert.subject or (None, None)
    row = await con.fetchrow(
        """INSERT INTO alerts (id, operator_id, business_id, code, severity, subject_kind, subject_id, since, data)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
           ON CONFLICT (operator_id, code, business_id, subject_id) WHERE ended_at IS NULL
             DO UPDATE SET data = excluded.data WHERE alerts.data <> excluded.data
           RETURNING *, xmax = 0 AS is_new""",
        new_id(),
        operator_id,
        alert.business_id,
        alert.code.value,
        SEVERITY[alert.code],
        kind.name.lower() if kind else None,
        subject_id,
        now,
        alert.data,
    )
    if row is None:
        return
    await _tell(con, row, EventType.ALERT_RAISED if row["is_new"] else EventType.ALERT_CHANGED, now)
    if row["is_new"]:
        log.warning("alert_raised", code=row["code"], severity=row["severity"], about=str(subject_id or operator_id))


async def _end(con: Connection, row: Record, now: datetime) -> None:
    ended = await con.fetchrow(
        "UPDATE alerts SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL RETURNING *", row["id"], now
    )
    if ended is not None:
        await _tell(con, ended, EventType.ALERT_ENDED, now)
        log.info("alert_ended", code=row["code"], about=str(row["subject_id"] or row["operator_id"]))


async def _tell(con: Connection, row: Record, kind: EventType, now: datetime) -> None:
    await emit(
        con,
        event(
            kind,
            at=now,
            operator_id=row["operator_id"],
            business_id=row["business_id"],
            subject=row["id"],
            data=public(row),
        ),
    )


async def open_now(con: Connection, operator_id: UUID) -> list[dict[str, Any]]:
    """Return the open alerts that the transaction sees, as boards show them."""
    rows = await con.fetch(
        "SELECT * FROM alerts WHERE operator_id = $1 AND ended_at IS NULL ORDER BY since, id", operator_id
    )
    return [public(row) for row in rows]


async def one_now(con: Connection, alert_id: UUID) -> dict[str, Any] | None:
    """Return an alert as boards show it; None when it is over, or not the transaction's to see."""
    row = await con.fetchrow("SELECT * FROM alerts WHERE id = $1 AND ended_at IS NULL", alert_id)
    return None if row is None else public(row)


def public(row: Record) -> dict[str, Any]:
    """Return an alert as boards, the API and events show it."""
    subject = None
    if row["subject_id"] is not None:
        subject = {"kind": row["subject_kind"], "id": show(Kind[row["subject_kind"].upper()], row["subject_id"])}
    return {
        "kind": "alert",
        "id": show(Kind.ALERT, row["id"]),
        "code": row["code"],
        "severity": row["severity"],
        "subject": subject,
        "business_id": show_or_none(Kind.BUSINESS, row["business_id"]),
        "since": row["since"],
        "data": row["data"],
    }
