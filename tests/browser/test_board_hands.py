"""The dispatcher's hands: drag to assign, with a mouse or a finger, and many at once."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

from playwright.async_api import Browser, expect

from tests.support.board import middle, named, open_board, projection, row
from tests.support.pages import DESK, PHONE
from tests.support.people import DEADLINE_S, courier, create_delivery
from tests.support.server import Onward


@contextlib.asynccontextmanager
async def the_own_driver_has_it(town: Onward) -> AsyncIterator[dict[str, Any]]:
    """A delivery that Rosso's own driver accepted at the store; a pool driver is on line, far away."""
    rosso = town.world.rosso
    async with courier(town, town.world.dedicated) as own, courier(town, town.world.pool[0]) as other:
        await own.goes_online(rosso.lat, rosso.lng)
        await other.goes_online(60.180, 24.96)
        made = await create_delivery(town, rosso)
        await own.answers(await own.is_offered(), "accept")
        yield made


async def test_a_delivery_dragged_onto_a_driver_goes_to_him_and_undo_takes_it_back(
    town: Onward, browser: Browser
) -> None:
    """The near own driver has it; it is dragged to a pool driver far away, who is asked; then all is as before."""
    dora, pia = town.world.dedicated, town.world.pool[0]
    async with the_own_driver_has_it(town) as made:
        page = await open_board(town, browser, DESK)
        await expect(row(page, made)).to_contain_text("Dora")
        await page.mouse.move(*await middle(row(page, made)))
        await page.mouse.down()
        await page.mouse.move(700, 400, steps=3)
        await expect(page.locator(".ghost")).to_contain_text("Drop it on a driver")
        target = page.locator(f'.tray [data-driver="{named(pia)}"]')
        await expect(target).to_contain_text(re.compile(r"\+\d+ min, stop 2, there at"))
        await expect(page.locator(f'.tray [data-driver="{named(dora)}"]')).to_have_count(0)
        await page.mouse.move(*await middle(target), steps=3)
        await expect(target).to_have_attribute("data-over", "true")
        await expect(page.locator(".ghost")).to_contain_text("→ Pia Pool 1")
        await page.mouse.up()
        await expect(page.locator(".undo")).to_contain_text("goes to Pia Pool 1")
        await expect(row(page, made)).to_contain_text("offered to Pia Pool 1")
        await page.get_by_role("button", name="Undo").click()
        await expect(row(page, made)).to_contain_text("offered to Dora")
        await expect(page.get_by_role("complementary")).to_have_count(0)
    assert page.complaints == []  # type: ignore[attr-defined]


async def test_escape_puts_back_what_is_dragged(town: Onward, browser: Browser) -> None:
    """Nothing is sent, and letting go afterwards means nothing."""
    async with courier(town, town.world.pool[0]) as pia:
        await pia.goes_online(60.19, 24.96)
        made = await create_delivery(town, town.world.verde)
        page = await open_board(town, browser, DESK)
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
        await page.mouse.move(*await middle(row(page, made)))
        await page.mouse.down()
        await page.mouse.move(700, 400, steps=3)
        await page.mouse.move(*await middle(page.locator(".tray li").first), steps=3)
        await expect(page.locator(".ghost")).to_have_attribute("data-over", "true")
        await page.keyboard.press("Escape")
        await expect(page.locator(".ghost")).to_have_count(0)
        await page.mouse.up()
        await expect(page.get_by_text("Put back.")).to_have_count(1)
    assert sent == []


async def test_a_door_on_the_map_is_dragged_onto_a_driver_on_the_map(town: Onward, browser: Browser) -> None:
    """The map stands still meanwhile, and moves again afterwards."""
    rosso, second = town.world.rosso, town.world.pool[1]
    async with courier(town, second) as far:
        await far.goes_online(60.1705, 24.9415)
        place = {"name": "Eva", "address": "Mannerheimintie 1", "lat": 60.1700, "lng": 24.9440}
        made = await create_delivery(town, rosso, dropoff=place)
        page = await open_board(town, browser, DESK)
        await expect(row(page, made)).to_be_visible()
        spot = await projection(page)
        door = spot(60.1700, 24.9440)
        async with asyncio.timeout(DEADLINE_S):  # until the map has drawn what it was given
            while not await page.locator(f'[data-item="{made["id"]}"][data-lit]').count():
                await page.mouse.move(door[0], door[1] - 40)
                await page.mouse.move(*door)
        await page.mouse.down()
        await page.mouse.move(door[0] + 20, door[1] + 20, steps=3)
        await page.mouse.move(*spot(60.1705, 24.9415), steps=4)
        await expect(page.locator(".ghost")).to_contain_text("→ Pia Pool 2")
        await page.mouse.up()
        await expect(page.locator(".undo")).to_contain_text("goes to Pia Pool 2")
        assert (await pins(town))[made["id"]] == named(second)


async def test_a_finger_drags_on_a_phone(town: Onward, browser: Browser) -> None:
    """Held for a moment it is taken; at once it scrolls the list."""
    pia = town.world.pool[0]
    async with the_own_driver_has_it(town) as made:
        page = await open_board(town, browser, PHONE, has_touch=True, is_mobile=True)
        fingers = await page.context.new_cdp_session(page)

        async def touch(kind: str, *points: tuple[float, float]) -> None:
            await fingers.send(
                "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]}
            )

        start = await middle(row(page, made))
        await touch("touchStart", start)
        await touch("touchMove", (start[0], start[1] - 30))
        await touch("touchEnd")
        await expect(page.locator(".ghost")).to_have_count(0)
        start = await middle(row(page, made))
        await touch("touchStart", start)
        await expect(page.locator(".tray")).to_be_visible()
        target = page.locator(f'.tray [data-driver="{named(pia)}"]')
        await expect(target).to_contain_text("there at")
        await touch("touchMove", (start[0], start[1] - 60))
        await touch("touchMove", await middle(target))
        await expect(page.locator(".ghost")).to_have_attribute("data-over", "true")
        await touch("touchEnd")
        await expect(row(page, made)).to_contain_text("offered to Pia Pool 1")
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


async def test_many_are_given_at_once_and_each_says_what_became_of_it(town: Onward, browser: Browser) -> None:
    """Ticked with Shift; Rosso's go to its own driver, Verde's can't; undo takes back what was done, and no more."""
    rosso, verde = town.world.rosso, town.world.verde
    first, second, other = [await create_delivery(town, one) for one in (rosso, rosso, verde)]
    async with courier(town, town.world.dedicated) as dora:
        await dora.goes_online(60.19, 24.96)
        await dora.answers(await dora.is_offered(), "decline")
        page = await open_board(town, browser, DESK)
        await row(page, first).click(modifiers=["Control"])
        await expect(page.get_by_role("toolbar")).to_contain_text("1 chosen")
        await page.locator(".row").first.focus()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("toolbar")).to_have_count(0)
        rows = page.locator('[data-group="waiting_list"] .row')
        await rows.first.click(modifiers=["Control"])
        await rows.last.click(modifiers=["Shift"])
        await expect(page.get_by_role("toolbar")).to_contain_text("3 chosen")
        await expect(page.locator(".tick :checked")).to_have_count(3)
        await page.keyboard.press("a")
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("Who takes these 3 deliveries?")
        await dialog.get_by_role("combobox").fill("dora")
        await expect(dialog.get_by_role("option")).to_have_count(1)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="2 of 3 done")).to_be_visible()
        wrong = page.locator('.results [data-ok="false"]')
        await expect(wrong).to_contain_text(other["short_code"])
        await expect(wrong).to_contain_text("not of this business")
        await expect(page.locator('.results [data-ok="true"]')).to_have_count(2)
        await page.get_by_role("dialog").get_by_role("button", name="Close").click()
        assert await pins(town) == {first["id"]: named(dora.who), second["id"]: named(dora.who), other["id"]: None}
        await page.get_by_role("button", name="Undo").click()
        await expect(page.get_by_text("As it was before.")).to_have_count(1)
        assert await pins(town) == {first["id"]: None, second["id"]: None, other["id"]: None}


async def pins(town: Onward) -> dict[str, str | None]:
    async with town.http.get("/api/v1/dispatch/board", headers=town.as_(town.world.admin_token)) as reply:
        return {one["id"]: one["pinned_driver_id"] for one in (await reply.json())["deliveries"]}
