"""The thread of a delivery, on the board and on the customer's page."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.support.pages import DESK, PHONE, open_page
from tests.support.people import courier, create_delivery, until
from tests.support.server import Onward


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_the_desk_and_the_customer_write_to_the_courier_each_in_a_thread(
    town: Onward, browser: Browser, size: dict[str, int]
) -> None:
    """What one writes the other reads at once; the desk sees both threads, the customer his own alone."""
    board, complaints = await open_page(browser, size)
    customer, more_complaints = await open_page(browser, size)
    verde = town.world.verde
    async with courier(town, town.world.pool[0]) as pia:
        await pia.goes_online(verde.lat, verde.lng)
        delivery = await create_delivery(town, verde)
        await pia.answers(await pia.is_offered(), "accept")
        await board.goto(f"{town.url}/board/#{verde.token}")
        await board.locator(f'[data-id="{delivery["id"]}"]').click()
        panel = board.get_by_role("complementary")
        await expect(panel).to_contain_text("Nothing was written yet.")
        line = panel.get_by_role("textbox")
        await line.fill("Use the side door")
        await line.press("Enter")
        await expect(panel.get_by_role("log")).to_contain_text("Use the side door")
        await expect(line).to_have_value("")
        await until(lambda: (pia.last("message") or {}).get("text") == "Use the side door", "heard", pia.changed)

        await customer.goto(delivery["tracking_url"])
        await customer.get_by_role("textbox").fill("I wave from the window")
        await customer.get_by_role("button", name="Send").click()
        await until(lambda: (pia.last("message") or {}).get("sender") == "customer", "heard", pia.changed)
        await pia.client.act("message", delivery_id=delivery["id"], text="<b>I see you</b>", channel="customer")
        await expect(customer.get_by_role("log")).to_contain_text("<b>I see you</b>")
        await expect(customer.get_by_role("log").get_by_role("listitem")).to_have_count(2)
        await expect(panel.get_by_role("log").get_by_role("listitem")).to_have_count(3)
        await expect(panel.get_by_role("log")).to_contain_text("with the customer")

    for page in (board, customer):
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert complaints + more_complaints == []
