"""What tests of the dispatch board do with its page."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import Browser, Locator, Page, expect

from kernel.ids import Kind, show
from tests.support.pages import open_page
from tests.support.server import Onward
from tests.support.world import Driver


def row(page: Page, delivery: dict[str, Any]) -> Locator:
    """Return a delivery's row in the lists."""
    return page.locator(f'.row[data-id="{delivery["id"]}"]')


def named(driver: Driver) -> str:
    """Return a driver's id as the wire shows it."""
    return show(Kind.DRIVER, driver.id)


async def middle(where: Locator) -> tuple[float, float]:
    """Return the middle of what is on the page."""
    box = await where.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


async def open_board(town: Onward, browser: Browser, size: dict[str, int], query: str = "", **more: Any) -> Page:
    """Open the board as an admin and wait until it is live."""
    page, complaints = await open_page(browser, size, **more)
    await page.goto(f"{town.url}/board/{query}#{town.world.admin_token}")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.complaints = complaints  # type: ignore[attr-defined]
    return page


async def projection(page: Page) -> Callable[[float, float], tuple[float, float]]:
    """Return where places are in the window, by the area that the map says it shows."""
    await page.get_by_role("button", name="Filters").click()
    await page.get_by_role("button", name="What the map shows").click()
    west, south, east, north = await area_of(page)
    await page.locator("body").press("c")
    await page.get_by_role("button", name="Filters").click()
    box = await page.locator(".maplibregl-canvas").bounding_box()
    assert box is not None

    def y(degrees: float) -> float:
        return math.asinh(math.tan(math.radians(degrees)))

    def spot(lat: float, lng: float) -> tuple[float, float]:
        across, down = (lng - west) / (east - west), (y(north) - y(lat)) / (y(north) - y(south))
        return box["x"] + across * box["width"], box["y"] + down * box["height"]

    return spot


async def area_of(page: Page) -> list[float]:
    """Return the area in the page's address: west, south, east, north."""
    await page.wait_for_url(re.compile("area="))
    return [float(part) for part in parse_qs(urlsplit(page.url).query)["area"][0].split(",")]
