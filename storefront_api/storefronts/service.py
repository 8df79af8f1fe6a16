"""Finding a shop by its subdomain, and its stores."""

from __future__ import annotations

from uuid import UUID

from kernel.db import Connection, Database, Reason, Record
from kernel.errors import Problem


async def resolve(db: Database, subdomain: str) -> tuple[UUID, UUID]:
    """Return (operator id, business id) of an active shop; raises `not_found`."""
    async with db.platform_tx(Reason.RESOLVE_STOREFRONT, readonly=True) as con:
        row = await con.fetchrow(
            "SELECT id, operator_id FROM businesses WHERE subdomain = $1 AND status = 'active'", subdomain
        )
    if row is None:
        raise Problem("not_found", "There is no shop at this address.")
    return row["operator_id"], row["id"]


async def stores(con: Connection) -> list[Record]:
    """Return the stores of the transaction's business."""
    return await con.fetch("SELECT * FROM stores ORDER BY name, id")
