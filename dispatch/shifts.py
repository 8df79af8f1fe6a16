"""What happens to a driver's shift: he comes, rests, goes, falls silent, has work and has none left.

Each change of his state begins, ends or goes on with a shift, in the caller's transaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from dispatch.delivery import WITH_DRIVER
from dispatch.driver import ASKED, DRIVER, ON_SHIFT, DriverEvent, DriverState
from kernel.db import Connection, Record, one
from kernel.errors import invalid
from kernel.events import EventType, event
from kernel.ids import Kind, show
from kernel.outbox import emit

SHIFT_GOES_ON: Final = timedelta(minutes=30)
"""A shorter silence does not end a shift."""

BACK_WITHIN: Final = timedelta(hours=2)
"""Who was silent for longer comes to work himself: his phone may have been switched on for something else."""

_LEFT_HIMSELF: Final = "UPDATE driver_profiles SET silent_since = NULL WHERE id = $1"
_OPEN_AGAIN: Final = """
UPDATE driver_shifts SET ended_at = NULL
WHERE driver_id = $1 AND started_at = (SELECT max(started_at) FROM driver_shifts WHERE driver_id = $1)
"""


async def set_availability(con: Connection, *, driver_id: UUID, asked: str, at: datetime) -> str:
    """A driver goes on line, on a break or off line; return his state. In a driver's transaction."""
    if asked not in ASKED:
        raise invalid("state", f"One of {', '.join(ASKED)}.")
    return await _driver_event(con, driver_id, ASKED[asked], at)


async def fall_silent(con: Connection, *, driver_id: UUID, since: datetime, heard_at: datetime, at: datetime) -> bool:
    """Take a driver off line who has been available `since` then and was heard last at `heard_at`; say whether.

    Not when his state has changed, or an offer waits for his answer. Platform path.
    """
    row = await _lock_driver(con, driver_id)
    if row["state"] != DriverState.AVAILABLE or row["state_since"] != since:
        return False
    if await con.fetchval("SELECT EXISTS (SELECT FROM offers WHERE driver_id = $1 AND status = 'sent')", driver_id):
        return False
    await _happens(con, row, DriverEvent.FALL_SILENT, at, silent_since=heard_at)
    return True


async def come_back(con: Connection, driver_id: UUID, at: datetime) -> datetime | None:
    """A driver's phone is heard again: back to work if he was taken off for silence and not too long ago; return since
    when that was.
    """
    row = await _lock_driver(con, driver_id)
    silent_since: datetime | None = row["silent_since"]
    if silent_since is not None and at - silent_since <= BACK_WITHIN:
        await _happens(con, row, DriverEvent.COME_BACK, at)
    elif silent_since is not None:
        await con.execute(_LEFT_HIMSELF, driver_id)
        await _tell_state(con, row, row["state"], at)
    return silent_since


async def take_work(con: Connection, driver_id: UUID, at: datetime) -> None:
    """The driver has work now, and a new route."""
    await con.execute("UPDATE driver_profiles SET route_version = route_version + 1 WHERE id = $1", driver_id)
    await _driver_event(con, driver_id, DriverEvent.TAKE_WORK, at)


async def release_driver(con: Connection, driver_id: UUID, at: datetime) -> None:
    """One piece of work ended: a driver with none left is available again."""
    state = await con.fetchval(
        "UPDATE driver_profiles SET route_version = route_version + 1 WHERE id = $1 RETURNING state", driver_id
    )
    working = await con.fetchval(
        "SELECT count(*) FROM deliveries WHERE driver_id = $1 AND status = ANY($2)",
        driver_id,
        [status.value for status in WITH_DRIVER],
    )
    if not working and state == DriverState.BUSY:
        await _driver_event(con, driver_id, DriverEvent.RUN_OUT_OF_WORK, at)


async def _driver_event(con: Connection, driver_id: UUID, happened: DriverEvent, at: datetime) -> str:
    return await _happens(con, await _lock_driver(con, driver_id), happened, at)


async def _lock_driver(con: Connection, driver_id: UUID) -> Record:
    return one(await con.fetchrow("SELECT * FROM driver_profiles WHERE id = $1 FOR UPDATE", driver_id), "driver")


async def _happens(
    con: Connection, row: Record, happened: DriverEvent, at: datetime, *, silent_since: datetime | None = None
) -> str:
    """Move a locked driver on by one event; return his state. `silent_since` is for who is taken off for silence."""
    driver_id = row["id"]
    state = DRIVER.next(DriverState(row["state"]), happened)
    if state == row["state"] and row["silent_since"] is not None:  # he leaves himself: nobody brings him back
        await con.execute(_LEFT_HIMSELF, driver_id)
    if state != row["state"]:
        await con.execute(
            "UPDATE driver_profiles SET state = $2, state_since = $3, silent_since = $4 WHERE id = $1",
            driver_id,
            state.value,
            at,
            silent_since,
        )
        await _keep_shift(con, row, state, silent_since or at)
        await _tell_state(con, row, state.value, at, silent_since)
    return state.value


async def _tell_state(
    con: Connection, row: Record, state: str, at: datetime, silent_since: datetime | None = None
) -> None:
    data = {
        "id": show(Kind.DRIVER, row["id"]),
        "state": state,
        "previous": row["state"],
        "silent_since": silent_since,
    }
    changed = event(
        EventType.DRIVER_STATE_CHANGED,
        at=at,
        operator_id=row["operator_id"],
        driver_id=row["id"],
        subject=row["id"],
        data=data,
    )
    await emit(con, changed)


async def _keep_shift(con: Connection, row: Record, state: DriverState, at: datetime) -> None:
    """A shift begins when a driver comes to work and ends when he rests or goes; `row` is the driver before.

    After a short silence the last one goes on.
    """
    if state in ON_SHIFT and row["state"] not in ON_SHIFT:
        if row["silent_since"] is not None and at - row["silent_since"] < SHIFT_GOES_ON:
            await con.execute(_OPEN_AGAIN, row["id"])
        await con.execute(
            "INSERT INTO driver_shifts (driver_id, operator_id, started_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            row["id"],
            row["operator_id"],
            at,
        )
    elif state not in ON_SHIFT:
        await con.execute(
            """UPDATE driver_shifts SET ended_at = greatest(started_at, $2)
               WHERE driver_id = $1 AND ended_at IS NULL""",
            row["id"],
            at,
        )
