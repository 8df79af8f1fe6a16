"""A past delivery replayed, and a phone app connected, as a dispatcher does it in a real browser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from kernel.db import Reason
from kernel.ids import Kind, show
from tests.support.pages import DESK, PHONE, open_page
from tests.support.people import courier
from tests.support.server import Onward
from tests.support.trips import write_trip


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_a_delivered_delivery_is_replayed_from_the_board(
    town: Onward, browser: Browser, size: dict[str, int]
) -> None:
    """Its way, stops and speeds; by scrubber, stop, keys and clock; saved as GPX."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30)
    delivery_id, track = await write_trip(
        town.installation.db, town.world, town.world.rosso, town.world.dedicated, start
    )
    page, complaints = await open_page(browser, size)
    await page.goto(f"{town.url}/board/#{town.world.rosso.token}")
    await page.locator("summary").filter(has_text="Finished").click()
    await page.locator(f'.row[data-id="{show(Kind.DELIVERY, delivery_id)}"]').click()
    await page.get_by_role("link", name="Replay").click()
    await expect(page.locator(".events li")).to_have_count(2)
    await expect(page.locator(".uplot canvas")).to_have_count(1)
    await expect(page.locator(".maplibregl-canvas")).to_be_visible()
    scrubber, phase = page.get_by_role("slider"), page.locator(".moment span")
    await page.get_by_role("button", name="Rosso Kamppi").click()
    await expect(page.locator('.events [aria-current="true"]')).to_contain_text("Rosso Kamppi")
    await page.locator("body").press("Shift+ArrowRight")
    await expect(phase).to_have_text("Standing")
    before = int(await scrubber.input_value())
    await page.locator("body").press("ArrowRight")
    assert int(await scrubber.input_value()) == pytest.approx(before + 10_000, abs=1_000)
    await scrubber.fill(str(track[0].t_ms + 60_000))
    await expect(phase).to_contain_text("km/h")
    await scrubber.fill(str(track[-1].t_ms - 100_000))
    await page.get_by_label("Speed of the replay").select_option("60")
    await page.locator("body").press(" ")
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    await expect(page.get_by_role("button", name="Play")).to_be_visible()
    assert int(await scrubber.input_value()) >= track[-1].t_ms - 1_000
    async with page.expect_download() as saving:
        await page.get_by_role("button", name="Save as GPX").click()
    saved = Path(await (await saving.value).path()).read_text()
    assert saved.count("<trkpt") == len(track)
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert complaints == []


async def test_without_positions_the_stops_are_still_told_and_a_wrong_link_is_said_to_be_one(
    town: Onward, browser: Browser
) -> None:
    """Erased, another's, and none at all."""
    world, db = town.world, town.installation.db
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30)
    own, _ = await write_trip(db, world, world.rosso, world.dedicated, start)
    other, _ = await write_trip(db, world, world.verde, world.pool[0], start)
    async with db.platform_tx(Reason.SEED) as con:
        await con.execute("DELETE FROM driver_locations")
    page, _ = await open_page(browser, DESK)
    await page.goto(f"{town.url}/board/#{world.rosso.token}")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await page.goto(f"{town.url}/trip/?delivery={show(Kind.DELIVERY, own)}")
    await expect(page.get_by_text("No positions of this trip")).to_be_visible()
    await expect(page.locator(".events li")).to_have_count(2)
    await page.goto(f"{town.url}/trip/?delivery={show(Kind.DELIVERY, other)}")
    await expect(page.get_by_role("heading", name="This trip can't be shown")).to_be_visible()
    await page.goto(f"{town.url}/trip/")
    await expect(page.get_by_role("heading", name="Which delivery?")).to_be_visible()


async def test_a_trip_of_two_deliveries_says_whose_each_stop_is(town: Onward, browser: Browser) -> None:
    """One of them, then both with their codes, then the other, by its address in the URL."""
    world, db = town.world, town.installation.db
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30)
    first, _ = await write_trip(db, world, world.rosso, world.pool[0], start)
    second, _ = await write_trip(db, world, world.verde, world.pool[0], start + timedelta(minutes=2))
    page, complaints = await open_page(browser, PHONE)
    await page.goto(f"{town.url}/board/#{world.admin_token}")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await page.goto(f"{town.url}/trip/?delivery={show(Kind.DELIVERY, first)}")
    stops = page.locator('.events [data-kind="pickup"], .events [data-kind="dropoff"]')
    await expect(stops).to_have_count(2)
    codes = await page.locator(".parts .btn").all_inner_texts()
    assert codes[0] == "Whole trip, 2 deliveries"
    await page.get_by_role("button", name="Whole trip").click()
    await expect(stops).to_have_count(4)
    for code in codes[1:]:
        await expect(page.locator(".events .badge", has_text=code)).to_have_count(2)
    await page.get_by_role("button", name=codes[2], exact=True).click()
    await expect(stops).to_have_count(2)
    await page.wait_for_url(f"**/trip/?delivery={show(Kind.DELIVERY, second)}")
    await expect(page.get_by_role("heading", level=1)).to_contain_text(codes[2])
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert complaints == []


async def test_a_phone_app_is_connected_with_a_code_and_let_in_no_more(town: Onward, browser: Browser) -> None:
    """From the driver's panel; what the code says works at once, and no longer once it is disconnected."""
    page, complaints = await open_page(browser, DESK)
    async with courier(town, town.world.dedicated) as dora:
        await dora.goes_online(60.169, 24.94)
        await page.goto(f"{town.url}/board/#{town.world.rosso.token}")
        await page.get_by_role("tab", name="Drivers").click()
        await page.locator(".row.who").click()
        await page.get_by_text("Connect a phone app").click()
        await expect(page.get_by_text("No phone app is connected.")).to_be_visible()
        await page.get_by_label("Name of the phone").fill("Pixel")
        await page.get_by_role("button", name="Make a code").click()
        codes = page.get_by_role("dialog")
        await expect(codes.get_by_role("img")).to_have_count(2)
        link = await codes.get_by_role("link").first.get_attribute("href")
        await codes.get_by_role("button", name="Close").click()
        for status in (200, 401):
            async with town.http.get(f"{link}&lat=60.17&lon=24.94") as reply:
                assert reply.status == status
            if status == 200:
                await page.get_by_role("button", name="Disconnect Pixel").click()
                await expect(page.locator(".phones")).to_contain_text("disconnected")
    assert complaints == []
