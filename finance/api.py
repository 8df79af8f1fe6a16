"""Money over HTTP: what a driver earned."""

from __future__ import annotations

from datetime import datetime

import msgspec

from kernel.access import Permission
from kernel.http import Ctx, Page, Rate, Route
from kernel.ids import Kind, show
from kernel.money import Money
from kernel.paging import page_of


class EarningView(msgspec.Struct, frozen=True):
    """What one delivery earned."""

    id: str
    delivery_id: str
    base_minor: int
    tip_minor: int
    currency: str
    earned_at: datetime


class Earnings(msgspec.Struct, frozen=True):
    """A page of earnings, newest first; `totals` are over all of them."""

    totals: list[Money]
    data: list[EarningView]
    has_more: bool
    next_cursor: str


async def get_earnings(ctx: Ctx, query: Page) -> Earnings:
    """What have I earned?"""
    driver_id = ctx.principal.driver()
    async with ctx.db.driver_tx(driver_id, readonly=True) as con:
        rows, has_more, cursor = await page_of(
            con, "SELECT * FROM driver_earnings WHERE driver_id = $1", (driver_id,), query
        )
        totals = await con.fetch(
            """SELECT currency, sum(base_minor + tip_minor)::bigint AS earned FROM driver_earnings
               WHERE driver_id = $1 GROUP BY currency ORDER BY currency""",
            driver_id,
        )
    views = [
        EarningView(
            show(Kind.EARNING, row["id"]),
            show(Kind.DELIVERY, row["delivery_id"]),
            row["base_minor"],
            row["tip_minor"],
            row["currency"],
            row["earned_at"],
        )
        for row in rows
    ]
    return Earnings([Money(row["earned"], row["currency"]) for row in totals], views, has_more, cursor)


ROUTES = (Route("GET", "/api/v1/driver/earnings", get_earnings, Permission.DRIVE, Rate.READ),)
