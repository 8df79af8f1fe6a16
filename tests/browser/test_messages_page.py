"""The thread of a delivery, on the board and on the customer's page."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.browser.test_driver_page import phone
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


async def test_a_driver_reads_and_writes_on_his_page_with_or_without_a_network(town: Onward, browser: Browser) -> None:
    """What he is told shows at once; what he writes off line waits on the phone, and is said once."""
    rosso = town.world.rosso
    async with phone(town, browser, town.world.dedicated) as dora:
        await dora.presses("Go online")
        delivery = await create_delivery(town, rosso)
        await dora.serves("Accept", "On my way", "I'm at the store", "Picked up")
        await dora.all_sent()
        path = f"/api/v1/deliveries/{delivery['id']}/messages"
        async with town.http.post(path, json={"text": "Ring twice"}, headers=town.as_(rosso.token)) as reply:
            assert reply.status == 201
        log = dora.page.get_by_role("log")
        await expect(log).to_contain_text("Ring twice")
        await dora.context.set_offline(True)
        await expect(dora.page.get_by_text("No connection since")).to_be_visible()
        await dora.page.get_by_role("textbox").fill("Two minutes")
        await dora.page.get_by_role("textbox").press("Enter")
        await expect(log).to_contain_text("Two minutes")
        await dora.context.set_offline(False)
        await dora.all_sent()
        await dora.page.get_by_label("Write to").select_option("Dispatch")
        await dora.page.get_by_role("textbox").fill("Done soon")
        await dora.presses("Send")
        await dora.all_sent()
        await dora.page.reload()
        await expect(log.get_by_role("listitem")).to_have_count(3)
        async with town.http.get(path, headers=town.as_(rosso.token)) as reply:
            said = [(m["sender"], m["channel"], m["text"]) for m in (await reply.json())["data"]]
        assert said == [
            ("driver", "desk", "Done soon"),
            ("driver", "customer", "Two minutes"),
            ("desk", "desk", "Ring twice"),
        ]
        assert await dora.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
