"""Who did what by hand: one row for each decision of a person that changes how others work."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from kernel.access import Principal
from kernel.db import Connection
from kernel.ids import new_id


async def note(
    con: Connection, principal: Principal, action: str, detail: dict[str, Any], *, business_id: UUID | None
) -> None:
    """Keep an action (`policy.changed`) with the change it belongs to, in the same transaction."""
    await con.execute(
        """INSERT INTO audit_log (id, operator_id, business_id, actor_user_id, action, detail)
           VALUES ($1, $2, $3, $4, $5, $6)""",
        new_id(),
        principal.operator(),
        business_id,
        principal.user_id,
        action,
        detail,
    )
