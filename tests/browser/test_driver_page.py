"""A courier's phone in a real browser: served with a thumb, cut off in the middle, reloaded, opened twice."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from PIL import Image
from playwright.async_api import BrowserContext, Browser, Page, expect

from kernel import metrics
from kernel.db import Reason
from kernel.ids import Kind, parse, show
from tenancy.passwords import hash_password
from tests.support.pages import PHONE, open_page
from tests.support.people import create_delivery, eventually
from tests.support.server import Onward
from tests.support.world import Driver

OFFLINE_S = float(os.environ.get("ONWARD_OFFLINE_S", "10"))
"""How long the phone is without a network in the middle of a delivery."""
START = (60.1690, 24.9400)


def photo() -> dict[str, Any]:
    """A picture as a phone's camera makes it: bigger than anybody needs."""
    out = io.BytesIO()
    Image.effect_noise((2400, 1800), 60).convert("RGB").save(out, "JPEG")
    return {"name": "door.jpg", "mimeType": "image/jpeg", "buffer": out.getvalue()}


@dataclass
class Phone:
    """A driver's phone with the page open."""

    town: Onward
    page: Page
    complaints: list[str]
    who: Driver

    @property
    def context(self) -> BrowserContext:
        return self.page.context

    async def stands_at(self, lat: float, lng: float) -> None:
        await self.context.set_geolocation({"latitude": lat, "longitude": lng, "accuracy": 5})

    async def presses(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def photographs(self) -> None:
        await self.page.locator("input[type=file]").set_input_files(photo())  # type: ignore[arg-type]

    async def goes_online(self) -> None:
        await self.presses("Go online")
        await expect(self.page.get_by_text("Waiting for an offer")).to_be_visible()

    async def rows(self, query: str, *more: Any) -> list[Any]:
        async with self.town.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
            return list(await con.fetch(query, *more))


@asynccontextmanager
async def phone(town: Onward, browser: Browser, who: Driver, **more: Any) -> AsyncIterator[Phone]:
    """The page of a driver who signed in before."""
    page, complaints = await open_page(
        browser, PHONE, permissions=["geolocation"], geolocation={"latitude": START[0], "longitude": START[1]}, **more
    )
    account = json.dumps({"token": who.token, "driver_id": show(Kind.DRIVER, who.id), "name": who.name})
    await page.context.add_init_script(f"localStorage.getItem('driver') ?? localStorage.setItem('driver', '{account}')")
    await page.goto(f"{town.url}/driver/")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    yield Phone(town, page, complaints, who)
    await page.context.close()


async def test_a_driver_signs_in_and_serves_a_delivery_with_one_thumb(town: Onward, browser: Browser) -> None:
    """Sign in, go online, take the offer, one button after the other, a photo, and the money is there."""
    dora = town.world.dedicated
    kept = await hash_password("correct horse")
    async with town.installation.db.platform_tx(Reason.SEED) as con:
        await con.execute("UPDATE users SET password_hash = $1 WHERE email = 'driver0@example.com'", kept)
    page, complaints = await open_page(
        browser, PHONE, permissions=["geolocation"], geolocation={"latitude": START[0], "longitude": START[1]}
    )
    await page.goto(f"{town.url}/driver/")
    await page.get_by_label("E-mail").fill("driver0@example.com")
    await page.get_by_label("Password").fill("correct horse")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("Hello Dora")).to_be_visible()
    courier = Phone(town, page, complaints, dora)
    await courier.goes_online()
    delivery = await create_delivery(town, town.world.rosso, items="2× Soup")
    await expect(page.get_by_role("heading", name="New offer")).to_be_visible()
    await expect(page.get_by_role("timer")).to_be_visible()
    await courier.presses("Accept")
    await expect(page.get_by_role("heading", name="Rosso Kamppi")).to_be_visible()
    await expect(page.get_by_text(delivery["short_code"])).to_be_visible()
    for button in ("On my way", "I'm at the store", "Picked up", "On my way", "I'm at the door"):
        await courier.presses(button)
    await expect(page.get_by_role("button", name="Delivered", exact=True)).to_have_count(0)
    await courier.photographs()
    await courier.presses("Delivered")
    await expect(page.get_by_text("Waiting for an offer")).to_be_visible()
    statuses = await eventually(
        lambda: courier.rows(
            "SELECT status, source FROM delivery_status_history WHERE delivery_id = $1 ORDER BY version",
            parse(Kind.DELIVERY, delivery["id"]),
        ),
        lambda rows: rows and rows[-1]["status"] == "delivered",
        "it is delivered",
    )
    assert {row["source"] for row in statuses[2:]} <= {"driver", "geofence"}
    await page.locator(".earned").click()
    await expect(page.locator(".earnings")).to_contain_text("1 delivery today")
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert complaints == []
