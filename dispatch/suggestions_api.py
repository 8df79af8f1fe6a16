"""Whom the engine would take: a dispatcher who decides by hand sees the ranking that the engine would act on."""

from __future__ import annotations

import msgspec

from dispatch.deliveries_api import DeliveryPath
from dispatch.dispatcher_api import check_scope
from dispatch.planner import Planner, PlannerAway
from dispatch.tick import Dispatcher
from kernel.access import Permission
from kernel.db import Reason
from kernel.errors import Problem
from kernel.http import Ctx, Rate, Route
from kernel.ids import Kind, show


class Suggestion(msgspec.Struct, frozen=True):
    """A driver, and what it would cost to give it to him: weighted seconds, in total and by term."""

    driver_id: str
    driver_name: str | None
    total: int
    to_pickup_s: int
    terms: dict[str, int]


class Suggestions(msgspec.Struct, frozen=True):
    """The drivers who could take a delivery, best first; how many could not, by reason."""

    data: list[Suggestion]
    excluded: dict[str, int]


async def suggestions(ctx: Ctx, path: DeliveryPath) -> Suggestions:
    """Who could take this delivery, best first?"""
    delivery_id = path.delivery_id()
    await check_scope(ctx, delivery_id)
    try:
        question = await ctx.need(Dispatcher).question_about(ctx.principal.operator(), delivery_id)
        why = await ctx.need(Planner).suggest(question)
    except PlannerAway:
        raise Problem("unavailable", "The planner is starting anew: ask again.", retry_after_s=1) from None
    found = [one for one in (why.chosen, *why.runners_up) if one is not None]
    names = "SELECT id, name FROM driver_profiles WHERE id = ANY($1)"
    candidates = [one.driver_id for one in found]
    async with ctx.db.tx_of(ctx.principal, Reason.DISPATCHER, readonly=True) as con:
        rows = await con.fetch(names, candidates)
    known = {row["id"]: row["name"] for row in rows}
    return Suggestions(
        [
            Suggestion(
                driver_id=show(Kind.DRIVER, one.driver_id),
                driver_name=known.get(one.driver_id),
                total=round(one.total / 100),
                to_pickup_s=one.to_pickup_s,
                terms={name: round(cost / 100) for name, cost in msgspec.structs.asdict(one.terms).items()},
            )
            for one in found
        ],
        why.excluded,
    )


ROUTES = (Route("GET", "/api/v1/dispatch/deliveries/{id}/suggestions", suggestions, Permission.DISPATCH, Rate.READ),)
