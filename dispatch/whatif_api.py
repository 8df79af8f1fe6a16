"""What if: a past day played again with other drivers or another policy, for the operator or for one business."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from datetime import date
from typing import Final
from uuid import UUID

import msgspec
from aiohttp import web

from dispatch import policy
from dispatch.engine.problem import Weights
from dispatch.own_process import as_lines
from dispatch.whatif.change import Change, changed
from dispatch.whatif.compare import check
from dispatch.whatif.past import PastDay
from dispatch.whatif_process import Progress, Replays
from dispatch.whatif_store import KnownDay, known_days, read_day
from kernel import ids
from kernel.access import Permission, Principal, Who
from kernel.db import Reason, one
from kernel.errors import Problem
from kernel.http import Ctx, Rate, Route
from kernel.ids import Kind

DELIVERIES_MAX: Final = 2_000


class DaysQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose days: an operator's admin may ask for one business."""

    business_id: str | None = None


class Days(msgspec.Struct, frozen=True):
    """The days that can be played again, newest first, and the weights of the policy as it is."""

    weights: Weights
    data: list[KnownDay]


class WhatIfBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which day, whose, and what is to be otherwise."""

    date: date
    change: Change = Change()
    business_id: str | None = None


async def get_days(ctx: Ctx, query: DaysQuery) -> Days:
    """Which days can be played again?"""
    business_id = await _business(ctx, query.business_id)
    operator_id = ctx.principal.operator()
    async with ctx.db.platform_tx(Reason.WHAT_IF, readonly=True) as con:
        policies = await policy.load(con, operator_id)
    own = policies.operator if business_id is None else policies.of(business_id)
    return Days(own.weights, await known_days(ctx.db, operator_id, business_id))


async def what_if(ctx: Ctx, body: WhatIfBody) -> web.StreamResponse:
    """Play a past day as it is and as it could be; lines of JSON: `progress`, at last `result` or `problem`"""
    business_id = await _business(ctx, body.business_id)
    day = await read_day(
        ctx.db, ctx.principal.operator(), business_id, body.date, ctx.clock.now(), deliveries_max=DELIVERIES_MAX
    )
    check(day)
    changed(day, body.change)
    return await as_lines(ctx.request, _lines(ctx, day, body.change, business_id))


async def _lines(ctx: Ctx, day: PastDay, change: Change, business_id: UUID | None) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(ctx.need(Replays).compare(day, change, business_id)) as heard:
        async for news in heard:
            yield msgspec.json.encode({"progress": news}) if isinstance(news, Progress) else b'{"result":' + news + b"}"


async def _business(ctx: Ctx, asked: str | None) -> UUID | None:
    """Return whose day the caller may see: his business', or for an admin everybody's or one business' of his."""
    principal: Principal = ctx.principal
    business_id = None if asked is None else ids.parse(Kind.BUSINESS, asked)
    if principal.who is not Who.ADMIN:
        if business_id not in (None, principal.business()):
            raise Problem("not_found", "There is no business with this id.")
        return principal.business()
    if business_id is not None:
        async with ctx.db.platform_tx(Reason.WHAT_IF, readonly=True) as con:
            one(
                await con.fetchrow(
                    "SELECT 1 FROM businesses WHERE id = $1 AND operator_id = $2", business_id, principal.operator()
                ),
                "business",
            )
    return business_id


ROUTES = (
    Route("GET", "/api/v1/dispatch/what-if", get_days, Permission.DISPATCH, Rate.READ),
    Route("POST", "/api/v1/dispatch/what-if", what_if, Permission.DISPATCH, Rate.WRITE),
)
