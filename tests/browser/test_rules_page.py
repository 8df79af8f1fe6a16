"""The rules as their owners see them in a real browser: policy, zones, stores, planned routes, suggestions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from playwright.async_api import Browser, Page, expect

from kernel.db import Reason
from tests.support.pages import DESK, PHONE, open_page
from tests.support.people import courier, create_delivery
from tests.support.server import Onward


async def open_rules(onward: Onward, browser: Browser, size: dict[str, int], token: str) -> tuple[Page, list[str]]:
    page, complaints = await open_page(browser, size, timezone_id="UTC")
    await page.goto(f"{onward.url}/board/#{token}")
    await page.get_by_role("link", name="Rules and routes").click()
    await expect(page.get_by_role("tab", name="Dispatching")).to_have_attribute("aria-selected", "true")
    return page, complaints


async def test_a_zone_is_drawn_and_a_day_is_planned_and_committed(town: Onward, browser: Browser) -> None:
    """Three taps are a zone; it is listed and ended; two parcels become a route on the map, kept for its driver, and
    the board says why."""
    world = town.world
    ready_at = datetime.now(UTC) + timedelta(days=1)
    for number in (1, 2):
        door = {"name": "Eva", "address": f"Street {number}", "lat": 60.169 + number / 500, "lng": 24.945}
        until = (ready_at + timedelta(hours=2)).isoformat()
        await create_delivery(town, world.rosso, dropoff=door, ready_at=ready_at.isoformat(), dropoff_until=until)
    page, complaints = await open_rules(town, browser, DESK, world.admin_token)
    await page.get_by_role("tab", name="Zones").click()
    canvas = page.locator(".maplibregl-canvas")
    await expect(canvas).to_be_visible()
    await expect(page.get_by_text("No zone is paused.")).to_be_visible()
    for number, spot in enumerate(((300, 100), (500, 100), (400, 300)), start=1):
        await canvas.click(position={"x": spot[0], "y": spot[1]})
        await expect(page.get_by_text(f"{number} corner")).to_be_visible()
    await page.get_by_label("Reason").fill("marathon")
    await page.get_by_role("button", name="Pause it").click()
    await expect(page.locator(".cards")).to_contain_text("marathon")
    await page.get_by_role("button", name="End it").click()
    await expect(page.get_by_text("No zone is paused.")).to_be_visible()

    await page.get_by_role("tab", name="Planned routes").click()
    await page.get_by_label("Day").fill(ready_at.date().isoformat())
    await expect(page.get_by_text("2 of 2 deliveries")).to_be_visible()
    await page.get_by_label("Dora Dedicated").check()
    on_at, off_at = ready_at - timedelta(minutes=30), ready_at + timedelta(hours=3)
    await page.get_by_label("From", exact=True).fill(f"{on_at:%H:%M}")
    await page.get_by_label("to", exact=True).fill(f"{off_at:%H:%M}")
    if on_at.date() < ready_at.date():  # just after midnight: his hours begin the evening before
        await page.get_by_label("From", exact=True).fill("00:00")
    await page.get_by_role("button", name="Plan routes").click()
    await expect(page.get_by_role("heading", name="2 deliveries on routes, 1 in all")).to_be_visible()
    await expect(page.locator(".way li")).to_have_count(4)
    await page.get_by_role("button", name="Commit these routes").click()
    await expect(page.locator(".way .fine")).to_have_count(2)
    async with town.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        driver = await con.fetchval("SELECT driver_id FROM planned_routes")
    assert driver == world.dedicated.id
    await page.goto(f"{town.url}/board/#{world.admin_token}")
    await page.locator(".row").first.click()
    await expect(page.locator(".why")).to_contain_text("Planned ahead: it makes Dora Dedicated's route")
    await expect(page.locator(".why")).to_contain_text("On one trip with 1 other delivery.")
    assert complaints == []


async def test_an_owner_rules_by_phone(onward: Onward, browser: Browser) -> None:
    """An absurd value is told at its field; a person decides from then on, and takes a suggestion; a store closes."""
    world, token = onward.world, onward.world.verde.token
    page, complaints = await open_rules(onward, browser, PHONE, token)
    await expect(page.get_by_role("tab")).to_have_text(["Dispatching", "Zones", "Stores", "Planned routes"])
    await expect(page.get_by_label("A driver's second")).to_have_count(0)
    await page.get_by_label("An offer is open for").fill("5")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_contain_text(">= 10")
    await page.get_by_label("An offer is open for").fill("45")
    await page.get_by_label("Who decides").select_option("manual")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("button", name="Save")).to_be_disabled()
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert all("422" in complaint for complaint in complaints)

    made = await create_delivery(onward, world.verde)
    async with courier(onward, world.pool[0]) as pia:
        await pia.goes_online(world.verde.lat, world.verde.lng)
        await page.get_by_role("link", name="Board").click()
        await page.locator(f'.row[data-id="{made["id"]}"]').click()
        await page.get_by_role("button", name="Give it to a pool driver").click()
        assert (await pia.is_offered())["deliveries"] == [made["id"]]

    await page.goto(f"{onward.url}/rules/#stores")
    await page.get_by_role("button", name="Close").click()
    await page.get_by_label("Reason").fill("no gas")
    await page.get_by_role("dialog").get_by_role("button", name="Close").click()
    await expect(page.locator(".cards")).to_contain_text("no gas")
    await page.get_by_role("button", name="Open again").click()
    await expect(page.locator(".cards")).to_contain_text("open by its hours")
