"""The transactional outbox: events are written with the change they tell of, then handled at least once, in order.

A consumer's marker is written in the same transaction as its effect, so handling an event twice changes nothing twice.
Events of one subject are handled in the order they were written; a failing one is retried with back-off and holds back
only its own subject.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from kernel import metrics
from kernel.db import AWAY, Connection, Database, Reason, Record
from kernel.events import Event, EventType
from kernel.log import get_logger

CHANNEL: Final = "onward_outbox"
BATCH_MAX: Final = 200
LOCKED_S: Final = 1.0
"""So often a relay looks whether the one that works has gone."""
IDLE_MAX_S: Final = 5.0
"""Events announce themselves; this is for what nobody could."""
RETRY_BASE_S: Final = 0.5
RETRY_MAX_S: Final = 60

log = get_logger(__name__)

Handle = Callable[[Connection, Event], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Consumer:
    """One named reaction: `handle` runs in a transaction of its own, together with the marker that it ran."""

    name: str
    handle: Handle


Reactions = Mapping[EventType, tuple[Consumer, ...]]

_INSERT = """
INSERT INTO outbox (id, type, operator_id, business_id, driver_id, subject, sequence, created_at, data)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::int[],
                     $8::timestamptz[],
                     $9::jsonb[])
ON CONFLICT (id) DO NOTHING
"""

_MARK = "INSERT INTO outbox_consumed (event_id, consumer) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1"

_NEXT_ATTEMPT_S = """
SELECT extract(epoch FROM min(next_attempt_at) - now())::float8 FROM outbox
WHERE done_at IS NULL AND next_attempt_at > now()
"""


async def emit(con: Connection, *events: Event) -> None:
    """Write events into the caller's transaction; the relay is told when it commits. An id is written once."""
    if not events:
        return
    columns = zip(
        *(
            (e.id, e.type, e.operator_id, e.business_id, e.driver_id, e.subject, e.sequence, e.created_at, e.data)
            for e in events
        ),
        strict=True,
    )
    await con.execute(_INSERT, *map(list, columns))
    await con.execute(f"NOTIFY {CHANNEL}")


class Relay:
    """Carries events from the outbox to their consumers. Any process may run one; a lock lets one work at a time."""

    def __init__(self, db: Database, reactions: Reactions, *, on_alive: Callable[[], None] = lambda: None) -> None:
        self._db = db
        self._reactions = reactions
        self._on_alive = on_alive
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Handle events as they come, until cancelled. Raises what it looks like when the database is away."""
        async with self._db.platform_connection(Reason.OUTBOX_RELAY) as con:
            await con.add_listener(CHANNEL, self._on_notify)
            con.add_termination_listener(self._on_notify)
            try:
                await self._work(con)
            finally:
                con.remove_termination_listener(self._on_notify)
                if not con.is_closed():
                    await con.remove_listener(CHANNEL, self._on_notify)

    def _on_notify(self, *_: object) -> None:
        self._wake.set()

    async def _work(self, con: Connection) -> None:
        while True:
            self._wake.clear()
            if con.is_closed():
                raise ConnectionError("the relay's connection is gone")
            wait_s = LOCKED_S
            if await con.fetchval("SELECT pg_try_advisory_lock(hashtext('onward_outbox_relay'))"):
                try:
                    while await self.drain():
                        pass
                    wait_s = min(IDLE_MAX_S, await con.fetchval(_NEXT_ATTEMPT_S) or IDLE_MAX_S)
                finally:
                    if not con.is_closed():
                        await con.execute("SELECT pg_advisory_unlock(hashtext('onward_outbox_relay'))")
                self._on_alive()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def drain(self) -> int:
        """Handle one batch of waiting events; return how many were finished."""
        async with self._db.platform_tx(Reason.OUTBOX_RELAY) as con:
            rows = await con.fetch(
                """SELECT *, extract(epoch FROM now() - created_at)::float8 AS age_s FROM outbox
                   WHERE done_at IS NULL AND next_attempt_at <= now() AND NOT EXISTS (
                     SELECT FROM outbox held WHERE held.subject = outbox.subject AND held.done_at IS NULL
                       AND held.position < outbox.position AND held.next_attempt_at > now())
                   ORDER BY position LIMIT $1""",
                BATCH_MAX,
            )
        metrics.outbox_lag.set(max((row["age_s"] for row in rows), default=0.0))
        if not rows:
            return 0
        held_back: set[UUID] = set()
        done: list[UUID] = []
        for row in rows:
            if row["subject"] in held_back:
                continue
            if await self._handle(row):
                done.append(row["id"])
            else:
                held_back.add(row["subject"])
        async with self._db.platform_tx(Reason.OUTBOX_RELAY) as con:
            await con.execute("UPDATE outbox SET done_at = now() WHERE id = ANY($1::uuid[])", done)
        return len(done)

    async def _handle(self, row: Record) -> bool:
        event = to_event(row)
        for consumer in self._reactions.get(event.type, ()):
            try:
                async with self._db.platform_tx(Reason.OUTBOX_RELAY) as con:
                    first = await con.fetchval(
                        _MARK,
                        event.id,
                        consumer.name,
                    )
                    if first:
                        await consumer.handle(con, event)
                        metrics.outbox_handled.labels(consumer.name).inc()
            except AWAY:
                raise
            except Exception as error:
                delay_s = min(RETRY_BASE_S * 2 ** row["attempts"], RETRY_MAX_S)
                metrics.outbox_failed.labels(consumer.name).inc()
                log.warning(
                    "event_not_handled",
                    type=event.type,
                    event_id=str(event.id),
                    consumer=consumer.name,
                    attempt=row["attempts"] + 1,
                    retry_in_s=delay_s,
                    exc_info=error,
                )
                async with self._db.platform_tx(Reason.OUTBOX_RELAY) as con:
                    await con.execute(
                        """UPDATE outbox SET attempts = attempts + 1, last_error = $2,
                           next_attempt_at = now() + make_interval(secs => $3) WHERE id = $1""",
                        event.id,
                        f"{consumer.name}: {error}"[:500],
                        delay_s,
                    )
                return False
        return True


def to_event(row: Record) -> Event:
    """Return the event a row of the outbox holds."""
    fields: dict[str, Any] = {name: row[name] for name in Event.__struct_fields__}
    fields["type"] = EventType(fields["type"])
    return Event(**fields)
