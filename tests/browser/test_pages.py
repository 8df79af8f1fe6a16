"""What people see, in a real browser, under the real content security policy."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, expect

from tenancy.passwords import hash_password
from tests.integration.storefront_api.test_ordering import add_product
from tests.support.pages import DESK, PHONE, fill_in_an_order, open_page
from tests.support.people import courier, create_delivery
from tests.support.server import Onward


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_the_board_follows_a_delivery_and_says_why_this_driver(
    town: Onward, browser: Browser, size: dict[str, int]
) -> None:
    """A delivery appears, is offered, accepted, explained; nothing scrolls sideways, the browser has no complaint."""
    page, complaints = await open_page(browser, size)
    await page.goto(f"{town.url}/board/#{town.world.admin_token}")
    await expect(page.get_by_text("No deliveries yet")).to_be_visible()
    assert "ses_" not in page.url
    async with courier(town, town.world.pool[0]) as driver:
        await driver.goes_online(60.1721, 24.9451)
        delivery = await create_delivery(town, town.world.verde)
        row = page.locator(f'[data-id="{delivery["id"]}"]')
        await expect(row).to_contain_text("offered")
        await driver.answers(await driver.is_offered(), "accept")
        await expect(row).to_contain_text("assigned")
        await row.click()
        panel = page.get_by_role("complementary")
        await expect(panel).to_contain_text("Why this driver? Pia Pool 1")
        await expect(panel).to_contain_text("way to the store")
        await page.keyboard.press("Escape")
        await expect(panel).to_be_hidden()
        await driver.delivers(delivery["id"])
        await expect(row).to_contain_text("delivered")
    wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    assert complaints == []


async def test_the_board_is_worked_with_the_keyboard_alone(town: Onward, browser: Browser) -> None:
    """`/` searches, j goes down, Enter opens, Escape closes; the filter is in the URL."""
    first = await create_delivery(town, town.world.rosso)
    await create_delivery(town, town.world.verde)
    page, _ = await open_page(browser, DESK)
    await page.goto(f"{town.url}/board/#{town.world.admin_token}")
    await expect(page.locator(".row")).to_have_count(2)
    await page.keyboard.press("/")
    await page.keyboard.type(first["short_code"])
    await expect(page.locator(".row")).to_have_count(1)
    assert f"q={first['short_code']}" in page.url
    await page.keyboard.press("Escape")
    await expect(page.locator(".row")).to_have_count(2)
    await expect(page.locator(".search")).to_have_value("")
    assert "q=" not in page.url
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("complementary")).to_contain_text(first["short_code"])


async def test_the_list_is_one_tab_stop_and_focus_comes_back_to_the_row(town: Onward, browser: Browser) -> None:
    """Tab leaves the list instead of walking through it; Escape returns to where the panel was opened from."""
    await create_delivery(town, town.world.rosso)
    second = await create_delivery(town, town.world.verde)
    page, _ = await open_page(browser, DESK)
    await page.goto(f"{town.url}/board/#{town.world.admin_token}")
    await expect(page.locator(".row")).to_have_count(2)
    await expect(page.get_by_text("All calm")).to_have_count(0)
    await expect(page.locator('.row[tabindex="0"]')).to_have_count(1)
    row = page.locator(f'[data-id="{second["id"]}"]')
    await page.locator('.row[tabindex="0"]').focus()
    await page.keyboard.press("ArrowDown")
    await expect(row).to_be_focused()
    await expect(page.locator('.row[tabindex="0"]')).to_have_count(1)
    await expect(row).to_have_attribute("tabindex", "0")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("complementary").get_by_role("heading", level=2)).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(row).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.locator(".row:focus")).to_have_count(0)


async def test_a_session_is_every_tabs_and_signing_out_ends_it_in_all(town: Onward, browser: Browser) -> None:
    """A new tab needs no new sign-in; a bad link in one tab takes nothing from the others."""
    first, _ = await open_page(browser, DESK)
    await first.goto(f"{town.url}/board/#{town.world.admin_token}")
    await expect(first.get_by_text("Live", exact=True)).to_be_visible()
    second, third = await first.context.new_page(), await first.context.new_page()
    await third.goto(f"{town.url}/board/#ses_bad")
    await expect(third.get_by_text("This link is not valid")).to_be_visible()
    await second.goto(town.url)
    await expect(second.get_by_text("Live", exact=True)).to_be_visible()
    await second.get_by_role("button", name="Sign out").click()
    await expect(second.get_by_label("E-mail")).to_be_visible()
    await expect(first.get_by_label("E-mail")).to_be_visible()
    await first.goto(f"{town.url}/board/")
    await expect(first.get_by_label("E-mail")).to_be_visible()


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_a_customer_follows_the_courier_to_the_door(town: Onward, browser: Browser, size: dict[str, int]) -> None:
    """Status, arrival time, first name, stops, then the proof photo."""
    page, complaints = await open_page(browser, size)
    async with courier(town, town.world.pool[0]) as driver:
        await driver.goes_online(60.1721, 24.9451)
        delivery = await create_delivery(town, town.world.verde)
        await page.goto(delivery["tracking_url"])
        heading = page.get_by_role("heading", level=1)
        await expect(heading).to_have_text("Offered to a courier")
        await driver.answers(await driver.is_offered(), "accept")
        await expect(heading).to_have_text("Courier found")
        await expect(page.locator(".courier")).to_contain_text("Pia")
        await expect(page.locator(".courier")).not_to_contain_text("Pool")
        await expect(page.locator(".when")).to_contain_text("Arriving")
        await driver.delivers(delivery["id"])
        await expect(heading).to_have_text("Delivered")
        await expect(page.get_by_alt_text("Proof of delivery")).to_be_visible()
        await expect(page.locator(".courier")).to_have_count(0)
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert complaints == []


async def test_a_page_that_lost_its_server_says_since_when_and_comes_back(town: Onward, browser: Browser) -> None:
    """The picture stays, and its age is told."""
    page, _ = await open_page(browser, DESK)
    await page.goto(f"{town.url}/board/#{town.world.admin_token}")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await page.context.set_offline(True)
    await page.evaluate("0")
    async with courier(town, town.world.pool[0]):
        pass
    await page.context.set_offline(False)
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()


async def test_a_wrong_link_explains_itself(town: Onward, browser: Browser) -> None:
    """No blank page."""
    page, _ = await open_page(browser, PHONE)
    await page.goto(f"{town.url}/track/#trk_wrong-link")
    await expect(page.get_by_text("This link does not work")).to_be_visible()


async def test_an_owner_signs_in_and_sees_his_own_board(town: Onward, browser: Browser) -> None:
    """A wrong password says so; the right one opens the board."""
    from kernel.db import Reason

    kept = await hash_password("correct horse")
    async with town.installation.db.platform_tx(Reason.SEED) as con:
        await con.execute("UPDATE users SET password_hash = $1 WHERE email = 'owner@rosso.example'", kept)
    page, _ = await open_page(browser, PHONE)
    await page.goto(town.url)
    await page.get_by_label("E-mail").fill("owner@rosso.example")
    await page.get_by_label("Password").fill("wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_have_text("Wrong e-mail or password.")
    await page.get_by_label("Password").fill("correct horse")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Rosso")


async def test_a_guest_orders_in_the_shop_and_lands_on_the_tracking_page(town: Onward, browser: Browser) -> None:
    """Two taps to the basket, one page to the order. Before there is anything to sell, the shop says so."""
    page, complaints = await open_page(browser, PHONE)
    await page.goto(f"{town.url}/shop/?s=verde")
    await expect(page.get_by_text("There is nothing on the menu yet")).to_be_visible()
    await add_product(town, town.world.verde)
    await page.reload()
    await fill_in_an_order(page, telephone="+358 40 123 4567")
    await page.get_by_role("button", name="Order and pay").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Order received")
    await expect(page.get_by_text("Pay in cash at the door")).to_be_visible()
    assert complaints == []


async def test_a_wrong_field_is_named_beside_it_in_plain_words(town: Onward, browser: Browser) -> None:
    """What a decoder says is for programmers; a guest sees which field, marked, and what to write in it."""
    await add_product(town, town.world.verde)
    page, _ = await open_page(browser, PHONE)
    await page.goto(f"{town.url}/shop/?s=verde")
    await fill_in_an_order(page, telephone="")
    phone = page.get_by_label("Telephone")
    for wrong in ("abc", "040 123 4567"):
        await phone.fill(wrong)
        await page.get_by_role("button", name="Order and pay").click()
        await expect(phone).to_have_attribute("aria-invalid", "true")
        await expect(phone).to_have_accessible_description(re.compile("with the country code"))
        await expect(phone).to_be_focused()
        await expect(page.locator("[role=alert]")).to_be_empty()
    await phone.fill("+358 40 123 4567")
    await page.get_by_role("button", name="Order and pay").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Order received")


@pytest.mark.parametrize("token", ["ses_bad", "ses_b1JkgmaND07-FBYIQlqa4fkNiyICE0DTpRgYlJ3kxvw"])
async def test_a_board_link_that_is_not_valid_says_so_and_offers_to_sign_in(
    town: Onward, browser: Browser, token: str
) -> None:
    """Malformed or merely unknown: the same plain words."""
    page, _ = await open_page(browser, DESK)
    await page.goto(f"{town.url}/board/#{token}")
    await expect(page.get_by_text("This link is not valid")).to_be_visible()
    assert "Expected" not in await page.inner_text("body")
    await page.get_by_role("link", name="Sign in").click()
    await expect(page.get_by_label("E-mail")).to_be_visible()


async def test_the_board_says_what_its_marks_mean_and_cuts_no_number_off(town: Onward, browser: Browser) -> None:
    """Who is new opens the legend; on a phone the numbers wrap."""
    page, complaints = await open_page(browser, PHONE)
    await page.goto(f"{town.url}/board/#{town.world.admin_token}")
    await page.locator(".legend summary").click()
    legend = page.locator(".legend")
    for meaning in ("available", "busy", "on a break", "silent", "store", "door to deliver to"):
        await expect(legend.get_by_text(meaning, exact=True)).to_be_visible()
    await expect(page.get_by_text("on a break").first).to_be_in_viewport(ratio=1)
    assert await page.locator(".numbers").evaluate("e => e.scrollWidth - e.clientWidth") <= 0
    assert complaints == []


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_the_board_says_what_is_wrong_and_is_quiet_when_it_is_over(
    town: Onward, browser: Browser, size: dict[str, int]
) -> None:
    """What, since when, what to do; read out once; a click leads there; the strip is gone with the trouble."""
    page, complaints = await open_page(browser, size)
    delivery = await create_delivery(town, town.world.verde)
    await page.goto(f"{town.url}/board/#{town.world.admin_token}")
    strip = page.get_by_role("region", name="What is wrong")
    await expect(strip).to_contain_text("Verde: nobody on shift, 1 waiting")
    await expect(strip).to_contain_text("Call a driver in")
    await expect(page.locator(f'[data-id="{delivery["id"]}"]')).to_contain_text("No driver is on shift.")
    await strip.get_by_role("button").click()
    await expect(page.get_by_role("button", name="Take away the filter Verde")).to_be_visible()
    assert f"business={delivery['business_id']}" in page.url
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    async with courier(town, town.world.pool[0]) as pia:
        await pia.goes_online(60.1721, 24.9451)
        await expect(strip).to_have_count(0)
    assert complaints == []


async def test_a_dispatchers_morning(town: Onward, browser: Browser) -> None:
    """200 deliveries, one given by hand and taken back, one driver sick, one rush; the browser has no complaint."""
    page, complaints = await open_page(browser, DESK)
    rosso, dora, pia = town.world.rosso, town.world.dedicated, town.world.pool[0]
    async with courier(town, dora) as own, courier(town, pia) as other:
        await own.goes_online(rosso.lat, rosso.lng)
        made = await create_delivery(town, rosso)
        await own.answers(await own.is_offered(), "accept")
        for _ in range(199):
            await create_delivery(town, rosso)
        await page.goto(f"{town.url}/board/#{rosso.token}")
        await expect(page.locator(".row")).to_have_count(200)
        row = page.locator(f'[data-id="{made["id"]}"]')
        await expect(row).to_contain_text("Dora")

        # By hand: to Pia, who is far away, and back again.
        await other.goes_online(60.180, 24.96)
        first = page.locator(".row", has_text="waiting").first
        code = await first.locator(".code").inner_text()
        await page.keyboard.press("/")
        await page.keyboard.type(code)
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        panel = page.get_by_role("complementary")
        await panel.get_by_role("button", name="Assign").click()
        await page.get_by_role("dialog").get_by_role("combobox").fill("dora")
        await page.keyboard.press("Enter")
        await expect(panel).to_contain_text("Kept for Dora Dedicated")
        await page.get_by_role("button", name="Undo").click()
        await expect(panel).not_to_contain_text("Kept for")
        await page.keyboard.press("Escape")
        await page.locator(".search").fill("")

        # Dora is sick: all that is not in her hands goes to others.
        await row.click()
        await panel.get_by_role("button", name="Dora").click()
        await panel.get_by_role("button", name="Give all to others").click()
        await expect(page.get_by_text("Dora Dedicated is relieved.").first).to_be_visible()
        await expect(row).not_to_contain_text("Dora")

        # A rush.
        for _ in range(30):
            await create_delivery(town, rosso)
        await expect(page.locator(".row")).to_have_count(230)
    assert complaints == []
