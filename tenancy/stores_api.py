"""A store over HTTP: closing it for now, whatever its opening hours say, and opening it again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from kernel import ids
from kernel.access import Permission, Who
from kernel.db import Reason
from kernel.errors import invalid
from kernel.http import Ctx, Rate, Route
from kernel.ids import Kind
from tenancy import stores


class StorePath(msgspec.Struct, frozen=True):
    """Which store."""

    id: str


class StoreBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Open or closed for now; the reason is shown to customers and drivers. It opens by itself at `until`."""

    open: bool
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""
    until: datetime | None = None


class StoreState(msgspec.Struct, frozen=True):
    """A store, and since when it is closed."""

    id: str
    name: str
    closed_since: datetime | None
    closed_reason: str
    closed_until: datetime | None


async def change_store(ctx: Ctx, path: StorePath, body: StoreBody) -> StoreState:
    """Close a store for now, or open it again"""
    store_id, operator_id, now = ids.parse(Kind.STORE, path.id), ctx.principal.operator(), ctx.clock.now()
    if body.until is not None and (body.open or body.until.tzinfo is None or body.until <= now):
        raise invalid("until", "A closing ends at a time to come, with its time zone: 2026-05-01T12:00:00Z.")
    admin = ctx.principal.who is Who.ADMIN
    async with ctx.db.platform_tx(Reason.ADMIN) if admin else ctx.db.tenant_tx(ctx.principal.business()) as con:
        row = await stores.set_open(
            con,
            operator_id=operator_id,
            store_id=store_id,
            opened=body.open,
            reason=body.reason,
            until=body.until,
            now=now,
        )
    return StoreState(path.id, row["name"], row["closed_since"], row["closed_reason"], row["closed_until"])


ROUTES = (Route("PATCH", "/api/v1/stores/{id}", change_store, Permission.DISPATCH, Rate.WRITE),)
