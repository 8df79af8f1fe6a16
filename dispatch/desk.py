"""The drivers' desk: what a driver's app needs to know, and each action carried out once.

An action's outcome is kept under the id the phone made, in the transaction of its effect: asked again it answers the
same and changes nothing. A refusal is an outcome too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatch import messages, moves, offers, service, shifts
from kernel import ids
from kernel.access import Principal
from kernel.clock import Clock, from_ms
from kernel.db import UNKEEPABLE, Connection, Database, Record, one
from kernel.errors import CODES, Problem
from kernel.ids import Kind, show
from tracking.wire import (
    AvailabilityAction,
    DriverAction,
    MessageAction,
    MoveDecline,
    OfferReply,
    ProofRef,
    StatusAction,
)

DEVICE_TIME_BACK_MAX: Final = timedelta(hours=24)
DONE: Final = "done"
NOTICED_FOR: Final = timedelta(hours=2)
NOTICES_MAX: Final = 20
WAS_SILENT: Final = "was_silent"
"""The notice of a driver who was off line for silence until this welcome."""

_DRIVER: Final = "SELECT name, vehicle, state, silent_since FROM driver_profiles WHERE id = $1"


class Desk:
    """Implements tracking's `DriverDesk`."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def state(self, principal: Principal, last_event: str) -> dict[str, Any]:
        """Return the driver, his open offers, his route, and what was written to him after a message he knows.

        Times are text, in both encodings. Asking is a sign of life: who was taken off line for silence is back at work.
        """
        driver_id = principal.driver()
        async with self._db.driver_tx(driver_id) as con:
            now, silent_since = self._clock.now(), None
            driver = one(await con.fetchrow(_DRIVER, driver_id), "driver")
            if driver["silent_since"] is not None:
                silent_since = await shifts.come_back(con, driver_id, now)
                driver = one(await con.fetchrow(_DRIVER, driver_id), "driver")
            open_offers = await offers.open_for(con, driver_id, now)
            version, stops, _ = await route_of(con, driver_id)
            notices = await _notices(con, driver_id, now)
            if silent_since is not None:
                notices.append({"code": WAS_SILENT, "since": silent_since, "at": now})
            move = await moves.open_for(con, driver_id)
            written = await messages.for_driver(con, driver_id, last_event)
        state = {
            "driver": {
                "id": show(Kind.DRIVER, driver_id),
                "name": driver["name"],
                "vehicle": driver["vehicle"],
                "state": driver["state"],
            },
            "offers": open_offers,
            "route": {"version": version, "stops": stops},
            "notices": notices,
            "move": move,
            "messages": written,
        }
        plain: dict[str, Any] = msgspec.to_builtins(state)
        return plain

    async def act(self, principal: Principal, action: DriverAction) -> None:
        """Carry out an action once; raises its refusal, the same one each time it is asked."""
        try:
            await self._act(principal.driver(), action)
        except UNKEEPABLE as error:
            raise Problem("validation_failed", f"A value can't be kept: {error}.") from None

    async def _act(self, driver_id: UUID, action: DriverAction) -> None:
        refusal: Problem | None = None
        async with self._db.driver_tx(driver_id) as con:
            kept = await con.fetchval(
                "SELECT outcome FROM driver_actions WHERE driver_id = $1 AND action_id = $2", driver_id, action.id
            )
            if kept is not None:
                _raise_kept(kept)
                return
            at = device_time(action.t, self._clock.now())
            try:
                async with con.transaction():
                    await _ACTIONS[type(action)](con, driver_id, action, at, self._clock.now())
            except Problem as problem:
                refusal = problem
            outcome = DONE if refusal is None else f"{refusal.code}: {refusal.detail}"
            await con.execute(
                """INSERT INTO driver_actions (driver_id, action_id, kind, outcome, device_at)
                   VALUES ($1, $2, $3, $4, $5)""",
                driver_id,
                action.id,
                type(action).__struct_config__.tag,
                outcome,
                at,
            )
        if refusal is not None:
            raise refusal


async def _notices(con: Connection, driver_id: UUID, now: datetime) -> list[dict[str, Any]]:
    """Return what happened to a driver's work while his phone was silent: deliveries that went to somebody else."""
    rows = await con.fetch(
        """SELECT delivery_id, reason, at FROM delivery_status_history
           WHERE driver_id = $1 AND status = 'pending' AND source = 'system' AND reason <> '' AND at > $2
           ORDER BY at DESC LIMIT $3""",
        driver_id,
        now - NOTICED_FOR,
        NOTICES_MAX,
    )
    return [
        {"code": row["reason"], "delivery_id": show(Kind.DELIVERY, row["delivery_id"]), "at": row["at"]} for row in rows
    ]


def device_time(t_ms: int, now: datetime) -> datetime:
    """Return when the phone says it happened, as far as that can be believed: not in the future, not over a day ago."""
    return min(max(from_ms(min(max(t_ms, 0), 2**42)), now - DEVICE_TIME_BACK_MAX), now)


def _raise_kept(outcome: str) -> None:
    code, _, detail = outcome.partition(": ")
    if code in CODES:
        raise Problem(code, detail)


async def _offer_reply(con: Connection, driver_id: UUID, action: OfferReply, at: datetime, now: datetime) -> None:
    offer_id = ids.parse(Kind.OFFER, action.offer_id)
    if action.reply == "accept":
        await offers.accept(con, driver_id=driver_id, offer_id=offer_id, now=now)
    else:
        await offers.decline(con, driver_id=driver_id, offer_id=offer_id, reason=action.reason, now=now)


async def _status(con: Connection, driver_id: UUID, action: StatusAction, at: datetime, now: datetime) -> None:
    await service.driver_reports(
        con,
        driver_id=driver_id,
        delivery_id=ids.parse(Kind.DELIVERY, action.delivery_id),
        status=action.status,
        at=at,
        reason=action.reason,
        code=action.code,
    )


async def _proof_ref(con: Connection, driver_id: UUID, action: ProofRef, at: datetime, now: datetime) -> None:
    proof_id = ids.parse(Kind.PROOF, action.proof_id)
    delivery_id = ids.parse(Kind.DELIVERY, action.delivery_id)
    one(await con.fetchrow("SELECT 1 FROM proofs WHERE id = $1 AND delivery_id = $2", proof_id, delivery_id), "proof")


async def _availability(
    con: Connection, driver_id: UUID, action: AvailabilityAction, at: datetime, now: datetime
) -> None:
    await shifts.set_availability(con, driver_id=driver_id, asked=action.state, at=now)


async def _move_decline(con: Connection, driver_id: UUID, action: MoveDecline, at: datetime, now: datetime) -> None:
    await moves.decline(con, driver_id, ids.parse(Kind.MOVE, action.move_id), now)


async def _message(con: Connection, driver_id: UUID, action: MessageAction, at: datetime, now: datetime) -> None:
    delivery_id = ids.parse(Kind.DELIVERY, action.delivery_id)
    await messages.write(
        con,
        delivery_id,
        channel=action.channel,
        sender="driver",
        text=action.text,
        at=at,
        now=now,
        driver_id=driver_id,
    )


_ACTIONS: Final[dict[type[Any], Callable[[Connection, UUID, Any, datetime, datetime], Awaitable[None]]]] = {
    OfferReply: _offer_reply,
    StatusAction: _status,
    ProofRef: _proof_ref,
    AvailabilityAction: _availability,
    MoveDecline: _move_decline,
    MessageAction: _message,
}


async def route_of(con: Connection, driver_id: UUID) -> tuple[int, list[dict[str, Any]], Record | None]:
    """Return (version, stops still to go in order, the next one) of a driver's route.

    What could not be delivered has its store as a stop once more, of the kind `return`, after all others.
    """
    version = await con.fetchval("SELECT route_version FROM driver_profiles WHERE id = $1", driver_id)
    rows = await con.fetch(
        """SELECT s.*, d.status, d.short_code, d.items, d.ready_at, d.cash_to_collect_minor, d.currency, d.promised_at,
             d.needs, d.dropoff_from, d.proof
           FROM stops s JOIN deliveries d ON d.business_id = s.business_id AND d.id = s.delivery_id
           WHERE s.driver_id = $1 AND d.status NOT IN ('delivered', 'canceled', 'returned')
             AND (s.done_at IS NULL OR s.kind = 'pickup' AND d.status IN ('failed', 'returning'))
           ORDER BY s.done_at IS NOT NULL, s.route_position, s.id""",
        driver_id,
    )
    return version or 0, [_stop(row) for row in rows], rows[0] if rows and rows[0]["done_at"] is None else None


def _stop(row: Record) -> dict[str, Any]:
    return {
        "id": show(Kind.STOP, row["id"]),
        "delivery_id": show(Kind.DELIVERY, row["delivery_id"]),
        "kind": "return" if row["done_at"] is not None else row["kind"],
        "status": row["status"],
        "short_code": row["short_code"],
        "items": row["items"],
        "name": row["name"],
        "phone": row["phone"],
        "address": row["address"],
        "lat": row["lat"],
        "lng": row["lng"],
        "instructions": row["instructions"],
        "ready_at": row["ready_at"],
        "promised_at": row["promised_at"],
        "dropoff_from": row["dropoff_from"],
        "needs": row["needs"],
        "proof": row["proof"],
        "notice": row["notice"],
        "cash_to_collect_minor": row["cash_to_collect_minor"],
        "currency": row["currency"],
    }
