"""A past day played again, as a person sees it in a real browser."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.support.axe import faults
from tests.support.pages import DESK, PHONE, open_page
from tests.support.server import Onward
from tests.support.yesterday import write_lunch, yesterday


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_a_day_is_played_with_two_drivers_fewer(town: Onward, browser: Browser, size: dict[str, int]) -> None:
    """From the board to the page, the question, how far it is, the answer in words, figures, charts and on the map."""
    await write_lunch(town.installation.db, town.world, yesterday(), deliveries=12)
    page, complaints = await open_page(browser, size)
    await page.goto(f"{town.url}/board/#{town.world.admin_token}")
    await page.get_by_role("link", name="What if?").click()
    await page.get_by_role("button", name="One driver fewer").click()
    await page.get_by_role("button", name="One driver fewer").click()
    await expect(page.locator("output")).to_have_text("2 drivers fewer")
    await page.get_by_role("button", name="Play the day").click()
    await expect(page.locator(".headline")).to_contain_text("2 drivers fewer")
    await expect(page.get_by_role("row", name="drivers 4 2 −2 4", exact=True)).to_be_visible()
    await expect(page.get_by_text("The check.")).to_be_visible()
    await expect(page.locator(".uplot canvas")).to_have_count(2)
    await page.get_by_text("The same as a table").first.click()
    await expect(page.get_by_role("rowheader", name="12:00").first).to_be_visible()
    areas = page.get_by_role("group", name="Alternative against as it is")
    await expect(areas).to_be_visible()
    await page.get_by_role("radio", name="difference").focus()
    await page.keyboard.press("ArrowLeft")
    await expect(page.get_by_role("radio", name="alternative")).to_be_checked()
    await expect(page.locator(".steps li").first).to_contain_text("less than")
    await page.get_by_role("radio", name="past the promise").check(force=True)
    await expect(page.get_by_role("group", name="Map of the doors")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert complaints == []
    assert await faults(page) == []


async def test_without_a_day_the_page_says_how_to_get_one(town: Onward, browser: Browser) -> None:
    """Nothing was delivered yet; and what the server refuses is said on the page."""
    page, _ = await open_page(browser, DESK)
    await page.goto(f"{town.url}/board/#{town.world.rosso.token}")
    await page.get_by_role("link", name="What if?").click()
    await expect(page.get_by_text("No day to play yet")).to_be_visible()
    await write_lunch(town.installation.db, town.world, yesterday(), deliveries=2)
    await page.reload()
    for _ in range(5):
        await page.get_by_role("button", name="One driver fewer").click()
    await page.get_by_role("button", name="Play the day").click()
    await expect(page.get_by_role("alert")).to_contain_text("worked that day")
