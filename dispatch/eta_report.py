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
SELECT p.source, p.p50_s, p.p90_s, p.actual_s
FROM eta_predictions p JOIN deliveries d ON d.business_id = p.business_id AND d.id = p.delivery_id
WHERE p.operator_id = $1 AND p.at > $2 AND ($3::uuid IS NULL OR p.business_id = $3)
  AND (p.actual_s IS NOT NULL OR NOT d.eta_learned AND d.status NOT IN ('canceled', 'failed', 'returning', 'returned'))
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
