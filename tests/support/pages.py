"""Pages in a browser: two sizes, and a page that keeps every complaint."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Browser, Page

from tests.support.people import DEADLINE_S

DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


async def fill_in_an_order(page: Page, *, telephone: str) -> None:
    """Put the soup of an open menu into the basket and say where it goes to, up to the last button."""
    await page.get_by_role("button", name="Add Soup").click()
    await page.get_by_label("Your name").fill("Eva")
    await page.get_by_label("Telephone").fill(telephone)
    await page.get_by_label("Address").fill("Mannerheimintie 1")
    await page.locator(".pick canvas").click()


async def open_page(browser: Browser, size: dict[str, int], **more: Any) -> tuple[Page, list[str]]:
    """Open a page that keeps every complaint of the browser."""
    page = await (await browser.new_context(viewport=size, **more)).new_page()
    page.set_default_timeout(DEADLINE_S * 1000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    return page, complaints
