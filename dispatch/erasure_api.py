"""A driver's positions are erased on his word: history, the last one, what viewers were told, what alerts remember."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from kernel import keys
from kernel.access import Permission, Who
from kernel.db import Reason
from kernel.errors import Problem
from kernel.http import Ctx, Rate, Route
from tenancy import audit
from tracking.drivers import DriverPath, own_driver
from tracking.recovery import HISTORY_TTL_S, Facts
from tracking.retention import erase_history, erase_live, mark_erased

_ALERTS: Final = "UPDATE alerts SET data = data - 'last_seen' WHERE subject_kind = 'driver' AND subject_id = $1"
_EVENTS: Final = """
UPDATE outbox SET data = data #- '{data,last_seen}'
WHERE subject IN (SELECT id FROM alerts WHERE subject_kind = 'driver' AND subject_id = $1)
"""


class Erased(msgspec.Struct, frozen=True):
    """How many kept positions there were."""

    positions: int


async def erase_positions(ctx: Ctx, path: DriverPath) -> Erased:
    """Erase where a driver was until now; what his phone still sends from before now is not kept either"""
    driver_id, operator_id, now = path.driver_id(), ctx.principal.operator(), ctx.clock.now()
    of_business = ctx.principal.who is not Who.ADMIN
    async with own_driver(ctx, driver_id):
        pass
    async with ctx.db.platform_tx(Reason.ERASURE) as con:
        employers = [
            row["business_id"]
            for row in await con.fetch(
                "SELECT business_id FROM driver_business_assignments WHERE driver_id = $1", driver_id
            )
        ]
        if of_business and len(employers) > 1:
            raise Problem("forbidden", "This driver works for other businesses as well: ask the operator to erase it.")
        await mark_erased(con, operator_id=operator_id, driver_id=driver_id, at=now)
        await con.execute(_ALERTS, driver_id)
        await con.execute(_EVENTS, driver_id)
        await audit.note(
            con,
            ctx.principal,
            "positions.erased",
            {"driver_id": path.id},
            business_id=ctx.principal.business() if of_business else None,
        )
        businesses = await con.fetch("SELECT id FROM businesses WHERE operator_id = $1", operator_id)
        deliveries = await con.fetch(
            "SELECT id FROM deliveries WHERE driver_id = $1 AND coalesce(finished_at, $2) > $2 - $3::interval",
            driver_id,
            now,
            timedelta(seconds=HISTORY_TTL_S),
        )
    erased = await erase_history(ctx.db, driver_id, now)
    await erase_live(ctx.redis, operator_id, driver_id, now)
    told = [keys.board_topic(operator_id)]
    told += [keys.business_topic(row["id"]) for row in businesses]
    told += [keys.delivery_topic(row["id"]) for row in deliveries]
    for topic in told:
        await ctx.need(Facts).forget(topic)
    return Erased(erased)


ROUTES = (Route("DELETE", "/api/v1/drivers/{id}/positions", erase_positions, Permission.POSITIONS_ERASE, Rate.WRITE),)
