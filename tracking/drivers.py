"""Whose driver it is: a driver is his own, a dedicated driver also his businesses', and everybody the operator's."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from uuid import UUID

import msgspec

from kernel import ids
from kernel.access import Who
from kernel.db import Connection, Reason, one
from kernel.errors import Problem
from kernel.http import Ctx
from kernel.ids import Kind


class DriverPath(msgspec.Struct, frozen=True):
    """Which driver."""

    id: str

    def driver_id(self) -> UUID:
        """Return the id, or raise `not_found`."""
        return ids.parse(Kind.DRIVER, self.id)


@contextlib.asynccontextmanager
async def own_driver(ctx: Ctx, driver_id: UUID) -> AsyncIterator[Connection]:
    """Open the caller's transaction, in which this driver is his; raises `not_found` for anybody else's."""
    principal = ctx.principal
    if principal.who is Who.ADMIN:
        async with ctx.db.platform_tx(Reason.ADMIN) as con:
            query = "SELECT 1 FROM driver_profiles WHERE id = $1 AND operator_id = $2"
            one(await con.fetchrow(query, driver_id, principal.operator()), "driver")
            yield con
    elif principal.who is Who.DRIVER:
        if driver_id != principal.driver():
            raise Problem("not_found", "There is no driver with this id.")
        async with ctx.db.driver_tx(driver_id) as con:
            yield con
    else:
        async with ctx.db.tenant_tx(principal.business()) as con:
            query = "SELECT 1 FROM driver_business_assignments WHERE driver_id = $1"
            one(await con.fetchrow(query, driver_id), "driver")
            yield con
