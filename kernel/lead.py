"""One process of an installation leads: what the clock does and what the outbox brings about is done by it alone.

The leader holds a lock of the database by a connection of its own: when it dies, the database lets go, and the next
process takes over within a second. For a moment two may believe that they lead, so nothing may rest on it: it saves
work and keeps the relay, the dispatcher and its planner together; the data is guarded by versions and unique indexes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from kernel.db import Database, Reason
from kernel.log import get_logger
from kernel.supervise import Supervisor

LOOK_S: Final = 0.5
TASK: Final = "leader"

log = get_logger(__name__)


async def lead(db: Database, supervisor: Supervisor, start: Callable[[], None]) -> None:
    """Wait until this process leads, `start` the leader's tasks, and stop them when the lock is lost; until cancelled.

    Raises what it looks like when the database is away.
    """
    async with db.platform_connection(Reason.LEAD) as con:
        while not await con.fetchval("SELECT pg_try_advisory_lock(hashtext('onward_leader'))"):
            supervisor.recovered(TASK)
            await asyncio.sleep(LOOK_S)
        log.info("leading")
        everybodys = supervisor.names()
        try:
            start()
            while await con.fetchval("SELECT true"):
                supervisor.recovered(TASK)
                await asyncio.sleep(LOOK_S)
        finally:
            await supervisor.stop(but=everybodys)
