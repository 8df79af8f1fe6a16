"""The outbox on the real server: nothing lost, nothing twice, in order."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from kernel.db import Connection, Database, Reason
from kernel.events import Event, EventType, event
from kernel.ids import new_id
from kernel.outbox import Consumer, Relay, emit
from tests.support.people import DEADLINE_S

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def fact(subject: UUID, sequence: int) -> Event:
    return event(
        EventType.DELIVERY_CREATED,
        at=NOW,
        operator_id=new_id(),
        subject=subject,
        sequence=sequence,
        data={"n": sequence},
    )


async def test_events_are_handled_once_and_in_the_order_of_their_subject(db: Database) -> None:
    """Handling twice changes nothing twice; order within a subject holds."""
    seen: list[int] = []

    async def note(con: Connection, fact: Event) -> None:
        seen.append(fact.data["n"])

    relay = Relay(db, {EventType.DELIVERY_CREATED: (Consumer("note", note),)})
    subject = new_id()
    async with db.platform_tx(Reason.SEED) as con:
        await emit(con, *[fact(subject, n) for n in range(5)])
    assert await relay.drain() == 5
    async with db.platform_tx(Reason.SEED) as con:
        await con.execute("UPDATE outbox SET done_at = NULL")
    assert await relay.drain() == 5
    assert seen == [0, 1, 2, 3, 4]


async def test_a_failing_event_holds_back_only_its_own_subject(db: Database) -> None:
    """The poisoned subject waits, the other one goes on, and the failure is kept."""
    poisoned, healthy = new_id(), new_id()
    seen: list[tuple[UUID, int]] = []

    async def note(con: Connection, fact: Event) -> None:
        if fact.subject == poisoned and fact.sequence == 0:
            raise RuntimeError("cannot")
        seen.append((fact.subject, fact.sequence))

    relay = Relay(db, {EventType.DELIVERY_CREATED: (Consumer("note", note),)})
    async with db.platform_tx(Reason.SEED) as con:
        await emit(con, fact(poisoned, 0), fact(healthy, 0), fact(poisoned, 1), fact(healthy, 1))
    while await relay.drain():
        pass
    assert seen == [(healthy, 0), (healthy, 1)]
    async with db.platform_tx(Reason.SEED) as con:
        row = await con.fetchrow(
            "SELECT attempts, last_error FROM outbox WHERE subject = $1 AND sequence = 0", poisoned
        )
    assert row is not None
    assert row["attempts"] == 1
    assert row["last_error"] == "note: cannot"


async def test_an_effect_and_its_marker_commit_together(db: Database) -> None:
    """A consumer that fails after writing leaves nothing behind, and succeeds on the next try."""
    subject, tries = new_id(), []

    async def note(con: Connection, fact: Event) -> None:
        tries.append(1)
        await con.execute("INSERT INTO operators (id, name, currency) VALUES ($1, 'x', 'EUR')", fact.subject)
        if len(tries) == 1:
            raise RuntimeError("after the write")

    relay = Relay(db, {EventType.DELIVERY_CREATED: (Consumer("note", note),)})
    async with db.platform_tx(Reason.SEED) as con:
        await emit(con, fact(subject, 0))
    assert await relay.drain() == 0
    async with db.platform_tx(Reason.SEED) as con:
        assert await con.fetchval("SELECT count(*) FROM operators") == 0
        await con.execute("UPDATE outbox SET next_attempt_at = now()")
    assert await relay.drain() == 1
    async with db.platform_tx(Reason.SEED) as con:
        assert await con.fetchval("SELECT count(*) FROM operators") == 1


async def test_with_no_scope_a_transaction_sees_and_writes_nothing(db: Database) -> None:
    """Row level security fails closed."""
    import asyncpg

    async with db.platform_tx(Reason.SEED) as con:
        await emit(con, fact(new_id(), 0))
    async with db.tenant_tx(new_id()) as con:
        assert await con.fetchval("SELECT count(*) FROM outbox") == 0
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with db.tenant_tx(new_id()) as con:
            await emit(con, fact(new_id(), 0))


async def test_a_running_relay_comes_back_for_what_failed_without_being_told(db: Database) -> None:
    """An event announces itself once; its next attempts are the relay's to remember."""
    seen, done = [], asyncio.Event()

    async def note(con: Connection, fact: Event) -> None:
        seen.append(fact.sequence)
        if len(seen) < 3:
            raise RuntimeError("not yet")
        done.set()

    running = asyncio.create_task(Relay(db, {EventType.DELIVERY_CREATED: (Consumer("note", note),)}).run())
    async with db.platform_tx(Reason.SEED) as con:
        await emit(con, fact(new_id(), 0))
    async with asyncio.timeout(DEADLINE_S):
        await done.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert seen == [0, 0, 0]
