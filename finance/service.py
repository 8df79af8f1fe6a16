"""Posting: events become ledger entries, once each, in the transaction of the event's handling."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from finance.ledger import Account, Posting, balanced, delivered
from kernel import ids
from kernel.db import Connection
from kernel.events import Event, EventType, event
from kernel.ids import Kind, new_id, show
from kernel.outbox import emit

INVARIANTS: Final[dict[str, str]] = {
    "entries that do not balance": """
        SELECT entry_id FROM ledger_postings GROUP BY business_id, entry_id, currency HAVING sum(amount_minor) <> 0""",
    "earnings that differ from their postings": """
        SELECT e.id FROM driver_earnings e
        LEFT JOIN (SELECT p.business_id, p.entry_id, -sum(p.amount_minor) AS paid FROM ledger_postings p
                   JOIN ledger_accounts a ON a.business_id = p.business_id AND a.id = p.account_id
                   WHERE a.kind = 'driver_payable' GROUP BY 1, 2) l
          ON l.business_id = e.business_id AND l.entry_id = e.entry_id
        WHERE coalesce(l.paid, 0) <> e.base_minor + e.tip_minor""",
    "delivered an hour ago without an earning": """
        SELECT d.id FROM deliveries d
        LEFT JOIN driver_earnings e ON e.business_id = d.business_id AND e.delivery_id = d.id
        WHERE d.status = 'delivered' AND d.finished_at < now() - interval '1 hour' AND e.id IS NULL""",
}
"""Laws of the money, as queries that return nothing. `onward doctor` and the tests run them. Platform path."""


async def broken_invariants(con: Connection) -> list[str]:
    """Return the names of the laws that do not hold."""
    return [name for name, query in INVARIANTS.items() if await con.fetch(f"{query} LIMIT 1")]


async def post(
    con: Connection,
    *,
    business_id: UUID,
    kind: str,
    event_id: UUID,
    description: str,
    currency: str,
    postings: list[Posting],
    at: datetime,
) -> UUID | None:
    """Write an entry; None when this event was posted before."""
    entry_id: UUID | None = await con.fetchval(
        """INSERT INTO ledger_entries (id, business_id, kind, event_id, description, at) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (event_id, kind) DO NOTHING RETURNING id""",
        new_id(),
        business_id,
        kind,
        event_id,
        description,
        at,
    )
    if entry_id is None:
        return None
    for position, posting in enumerate(balanced(postings)):
        await con.execute(
            """INSERT INTO ledger_postings (business_id, entry_id, position, account_id, amount_minor, currency)
               VALUES ($1, $2, $3, $4, $5, $6)""",
            business_id,
            entry_id,
            position,
            await _account(con, business_id, posting.account, posting.driver_id, currency),
            posting.amount_minor,
            currency,
        )
    return entry_id


async def _account(con: Connection, business_id: UUID, kind: Account, driver_id: UUID | None, currency: str) -> UUID:
    account_id: UUID = await con.fetchval(
        """INSERT INTO ledger_accounts (id, business_id, kind, driver_id, currency) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (business_id, kind, driver_id, currency) DO UPDATE SET currency = excluded.currency
           RETURNING id""",
        new_id(),
        business_id,
        kind.value,
        driver_id,
        currency,
    )
    return account_id


async def on_delivered(con: Connection, event_: Event) -> None:
    """A delivery reached its door: the driver has earned his pay and tip."""
    delivery = event_.data["object"]
    assert event_.business_id is not None
    driver_id = ids.parse(Kind.DRIVER, delivery["driver_id"])
    entry_id = await post(
        con,
        business_id=event_.business_id,
        kind="delivered",
        event_id=event_.id,
        description=f"Delivery {delivery['short_code']}",
        currency=delivery["currency"],
        postings=delivered(
            driver_id=driver_id,
            pay_minor=delivery["driver_pay_minor"],
            tip_minor=delivery["tip_minor"],
            fee_minor=delivery["fee_minor"],
            cash_minor=delivery["cash_to_collect_minor"],
        ),
        at=event_.created_at,
    )
    if entry_id is None:
        return
    earning_id = new_id()
    await con.execute(
        """INSERT INTO driver_earnings
             (id, business_id, driver_id, delivery_id, entry_id, base_minor, tip_minor, currency, earned_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        earning_id,
        event_.business_id,
        driver_id,
        event_.subject,
        entry_id,
        delivery["driver_pay_minor"],
        delivery["tip_minor"],
        delivery["currency"],
        event_.created_at,
    )
    await emit(
        con,
        event(
            EventType.EARNING_POSTED,
            at=event_.created_at,
            operator_id=event_.operator_id,
            business_id=event_.business_id,
            driver_id=driver_id,
            subject=earning_id,
            data={"id": show(Kind.EARNING, earning_id), "delivery_id": delivery["id"]},
        ),
    )
