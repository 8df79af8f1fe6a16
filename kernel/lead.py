"""One process of an installation leads: what the clock does and what the outbox brings about is done by it alone.

The leader holds a lock of the database by a connection of its own: when it dies, the database lets go, and the next
process takes over within a second. For a moment two may believe that they lead, so nothing may rest on it: it saves
work and keeps the relay, the dispatcher and its planner together; the data is guarded by versions and unique indexes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from kernel.db import Database, Reason
from kernel.log import get_logger
from kernel.supervise import Supervisor

LOOK_S: Final = 0.5
PROBE_S: Final = 5.0
"""A connection that breaks tells; so often it is tried whether it broke in silence."""
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
        everybodys, lost = supervisor.names(), asyncio.Event()

        def on_lost(*_: object) -> None:
            lost.set()

        con.add_termination_listener(on_lost)
        try:
            start()
            while await con.fetchval("SELECT true"):
                supervisor.recovered(TASK)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PROBE_S):
                        await lost.wait()
        finally:
            con.remove_termination_listener(on_lost)
            await supervisor.stop(but=everybodys)
