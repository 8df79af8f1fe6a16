"""How good were the arrival times that people were told? Read from what was noted of each delivery."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from dispatch.accuracy import Outcome, Report, report
from kernel.access import Permission, Who
from kernel.db import Connection, Reason
from kernel.http import Ctx, Rate, Route

DAYS: Final = 7
DAYS_MAX: Final = 60
"""So long estimates are kept."""

_NOTED: Final = """
SELECT source, p50_s, p90_s, actual_s FROM eta_predictions
WHERE operator_id = $1 AND at > $2 AND ($3::uuid IS NULL OR business_id = $3)
"""


class EtaReportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Over how many days up to now."""

    days: Annotated[int, Meta(ge=1, le=DAYS_MAX)] = DAYS


async def read(con: Connection, operator_id: UUID, business_id: UUID | None, days: int, now: datetime) -> Report:
    """Return the report on what the transaction sees; of one business when it is named."""
    rows = await con.fetch(_NOTED, operator_id, now - timedelta(days=days), business_id)
    known = [row for row in rows if row["actual_s"] is not None]
    return report(days, len(rows) - len(known), [Outcome(**row) for row in known])


async def get_eta_report(ctx: Ctx, query: EtaReportQuery) -> Report:
    """How good were the arrival times? A business sees its own deliveries', an admin all"""
    now, operator_id = ctx.clock.now(), ctx.principal.operator()
    if ctx.principal.who is Who.ADMIN:
        async with ctx.db.platform_tx(Reason.ADMIN, readonly=True) as con:
            return await read(con, operator_id, None, query.days, now)
    async with ctx.db.tenant_tx(ctx.principal.business(), readonly=True) as con:
        return await read(con, operator_id, ctx.principal.business(), query.days, now)


ROUTES = (Route("GET", "/api/v1/dispatch/eta-report", get_eta_report, Permission.BOARD_READ, Rate.READ),)
