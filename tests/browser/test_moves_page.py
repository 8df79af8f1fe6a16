"""Where an idle driver had better wait, as he and the dispatcher see it in a real browser."""

from __future__ import annotations

import json

from playwright.async_api import Browser, expect

from dispatch.moves import Moves
from kernel.db import Reason
from kernel.ids import Kind, show
from tests.support.pages import DESK, PHONE, open_page
from tests.support.people import create_delivery, eventually
from tests.support.server import Onward


async def test_a_driver_without_work_is_shown_where_orders_come_from_and_waves_it_away(
    town: Onward, browser: Browser
) -> None:
    """A card with a map and the way there on his phone, the reason on the board; dismissed, it is gone from both."""
    world, who = town.world, town.world.pool[0]
    async with town.installation.db.platform_tx(Reason.SEED) as con:
        await con.execute("UPDATE operators SET policy = $1", {"moves": True})
    await create_delivery(town, world.rosso, needs=["nobody_can"])
    page, complaints = await open_page(
        browser, PHONE, permissions=["geolocation"], geolocation={"latitude": 60.175, "longitude": 24.95, "accuracy": 5}
    )
    account = json.dumps({"token": who.token, "driver_id": show(Kind.DRIVER, who.id), "name": who.name})
    await page.context.add_init_script(f"localStorage.setItem('driver', '{account}')")
    await page.goto(f"{town.url}/driver/")
    await page.get_by_role("button", name="Go online").click()
    await expect(page.get_by_text("Waiting for an offer")).to_be_visible()

    async def told() -> int:
        await town.installation.parts[Moves].look()
        async with town.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
            count: int = await con.fetchval("SELECT count(*) FROM driver_moves")
        return count

    await eventually(told, lambda count: count == 1, "he is told")
    await expect(page.get_by_role("heading", name="Go towards Rosso Kamppi")).to_be_visible()
    await expect(page.get_by_role("img", name="Rosso Kamppi, 870 m away")).to_be_visible()
    board, more = await open_page(browser, DESK)
    await board.goto(f"{town.url}/board/#{world.admin_token}")
    await board.get_by_role("tab", name="Drivers").click()
    await board.get_by_role("button", name=who.name).click()
    await expect(board.get_by_text("Told to wait near Rosso Kamppi")).to_be_visible()
    await page.get_by_role("button", name="Stay here").click()
    await expect(page.get_by_role("heading", name="Go towards")).to_have_count(0)
    await expect(board.get_by_text("Told to wait near Rosso Kamppi")).to_have_count(0)
    assert complaints == more == []
