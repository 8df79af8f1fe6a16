"""How long an operator keeps positions, over HTTP."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from kernel.access import Permission
from kernel.db import Reason, one
from kernel.http import Ctx, Rate, Route
from tenancy import audit


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how many days positions are kept, besides today."""

    positions_days: Annotated[int, Meta(ge=1, le=3_650)]


async def get_retention(ctx: Ctx) -> Retention:
    """How long are positions kept?"""
    async with ctx.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        row = await con.fetchrow("SELECT positions_kept_days FROM operators WHERE id = $1", ctx.principal.operator())
    return Retention(one(row, "operator")["positions_kept_days"])


async def set_retention(ctx: Ctx, body: Retention) -> Retention:
    """Say how long positions are kept; what is older goes within the hour and does not come back"""
    async with ctx.db.platform_tx(Reason.ADMIN) as con:
        await con.execute(
            "UPDATE operators SET positions_kept_days = $2 WHERE id = $1", ctx.principal.operator(), body.positions_days
        )
        detail = {"positions_days": body.positions_days}
        await audit.note(con, ctx.principal, "retention.changed", detail, business_id=None)
    return body


ROUTES = (
    Route("GET", "/api/v1/admin/retention", get_retention, Permission.PLATFORM_READ, Rate.READ),
    Route("PUT", "/api/v1/admin/retention", set_retention, Permission.PLATFORM_WRITE, Rate.WRITE),
)
