"""Everybody can work with the pages: axe finds nothing on them, in their states, in light and in dark."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

from PIL import Image
from playwright.async_api import Browser, Page, expect

from kernel.ids import Kind, show
from tests.browser.test_driver_page import phone
from tests.integration.storefront_api.test_ordering import add_product
from tests.support.axe import faults
from tests.support.pages import DESK, PHONE, fill_in_an_order, open_page
from tests.support.people import courier, create_delivery
from tests.support.server import Onward
from tests.support.trips import write_trip


async def test_a_drivers_page_has_no_fault_from_the_door_to_the_earnings(town: Onward, browser: Browser) -> None:
    """Each state on the way to a signature, and to a PIN that is at first wrong and shown on the customer's page."""
    customer, _ = await open_page(browser, PHONE)
    await customer.goto(f"{town.url}/driver/")
    await expect(customer.get_by_label("Password")).to_be_visible()
    found = {"signed out": await faults(customer)}
    async with phone(town, browser, town.world.dedicated) as dora:
        page, dialog = dora.page, dora.page.get_by_role("dialog")

        async def look(state: str, words: str) -> None:
            await expect(page.get_by_text(words).first).to_be_visible()
            found[state] = await faults(page)

        await look("at rest", "Hello Dora")
        await dora.presses("Go online")
        await look("waiting", "Waiting for an offer")
        made = await create_delivery(town, town.world.rosso, proof="signature")
        await look("an offer", "New offer")
        await dora.serves("Accept", "On my way", "I'm at the store")
        await look("at the store", "Picked up")
        await dora.serves("Picked up", "On my way", "I'm at the door", "Get a signature")
        await look("the signature", "Or type your name")
        await signs(page)
        await dialog.get_by_role("button", name="Keep it").click()
        await expect(page.locator(".taken")).to_contain_text("Signature")
        await dora.context.set_offline(True)
        await look("no network", "No connection since")
        await dora.context.set_offline(False)
        await dora.presses("Delivered")
        await dora.all_sent()
        async with town.http.get(
            f"/api/v1/deliveries/{made['id']}/proof", headers=town.as_(town.world.rosso.token)
        ) as reply:
            darkest, _ = Image.open(io.BytesIO(await reply.read())).convert("L").getextrema()
        assert darkest < 60

        made = await create_delivery(town, town.world.rosso, proof="pin")
        await dora.serves("Accept", "On my way", "I'm at the store", "Picked up", "On my way", "I'm at the door")
        await customer.goto(made["tracking_url"])
        pin = (await customer.locator(".pin .num").inner_text()).replace(" ", "")
        assert pin == made["proof_code"]
        for code in ("000000" if pin != "000000" else "111111", pin):
            await dora.presses("Ask for the PIN")
            await dialog.get_by_label("The six digits").fill(code)
            if code != pin:
                found["the PIN"] = await faults(page)
            await dialog.get_by_role("button", name="Delivered").click()
            if code != pin:
                await expect(page.get_by_text("The PIN or code was wrong.")).to_be_visible()
        await expect(page.get_by_text("Waiting for an offer")).to_be_visible()
        await expect(customer.locator(".pin")).to_have_count(0)
        await page.locator(".earned").click()
        await look("earnings", "2 deliveries today")
    assert {state: said for state, said in found.items() if said} == {}


async def test_a_customers_pages_have_no_fault(town: Onward, browser: Browser) -> None:
    """The door for owners, a link that is wrong, the menu, the order with a wrong field, and the courier's way."""
    await add_product(town, town.world.verde)
    page, _ = await open_page(browser, PHONE)
    await page.goto(town.url)
    await expect(page.get_by_label("E-mail")).to_be_visible()
    found = {"signed out": await faults(page)}
    await page.goto(f"{town.url}/track/#trk_wrong-link")
    await expect(page.get_by_text("This link does not work")).to_be_visible()
    found["a wrong link"] = await faults(page)
    await page.goto(f"{town.url}/shop/?s=verde")
    await expect(page.get_by_role("button", name="Add Soup")).to_be_visible()
    found["the menu"] = await faults(page)
    await fill_in_an_order(page, telephone="abc")
    await page.get_by_role("button", name="Order and pay").click()
    await expect(page.get_by_label("Telephone")).to_have_attribute("aria-invalid", "true")
    found["a wrong field"] = await faults(page)
    async with courier(town, town.world.pool[0]) as driver:
        await driver.goes_online(60.1721, 24.9451)
        delivery = await create_delivery(town, town.world.verde)
        await page.goto(delivery["tracking_url"])
        await driver.answers(await driver.is_offered(), "accept")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Courier found")
        found["the courier"] = await faults(page)
        await driver.delivers(delivery["id"])
        await expect(page.get_by_alt_text("Proof of delivery")).to_be_visible()
        found["delivered"] = await faults(page)
    assert {state: said for state, said in found.items() if said} == {}


async def signs(page: Page) -> None:
    """Draw a stroke where a customer signs."""
    await expect(page.get_by_role("dialog").get_by_role("button", name="Keep it")).to_be_disabled()
    box = await page.locator(".proof canvas").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 40, box["y"] + 60)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 200, box["y"] + 90, steps=8)
    await page.mouse.up()


async def test_the_desks_pages_have_no_fault(town: Onward, browser: Browser) -> None:
    """The board with a panel and its filters, an area being drawn, each tab of the rules, and a trip of two."""
    world, db = town.world, town.installation.db
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30)
    carried, _ = await write_trip(db, world, world.rosso, world.pool[0], start)
    await write_trip(db, world, world.verde, world.pool[0], start + timedelta(minutes=2))
    made = await create_delivery(town, world.rosso)
    page, _ = await open_page(browser, DESK)
    await page.goto(f"{town.url}/board/#{world.admin_token}")
    await page.locator(f'.row[data-id="{made["id"]}"]').click()
    await page.get_by_role("button", name="Filters").click()
    found = {"board": await faults(page)}
    await page.get_by_role("button", name="Draw an area").click()
    found["drawing"] = await faults(page)
    for tab in ("policy", "zones", "stores", "routes", "fairness"):
        await page.goto(f"{town.url}/rules/#{tab}")
        await expect(page.locator(f"#tab-{tab}[aria-selected=true]")).to_be_visible()
        await expect(page.locator(".ghosts")).to_have_count(0)
        found[tab] = await faults(page)
    await page.goto(f"{town.url}/trip/?delivery={show(Kind.DELIVERY, carried)}")
    await page.get_by_role("button", name="Whole trip").click()
    await expect(page.locator(".events .badge")).to_have_count(4)
    found["trip"] = await faults(page)
    assert {state: said for state, said in found.items() if said} == {}
