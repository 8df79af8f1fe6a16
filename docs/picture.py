"""`make picture`: the README's picture, taken from a running demo: the board, and a customer's phone beside it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

from PIL import Image, ImageDraw
from playwright.async_api import Browser, async_playwright

OUT: Final = Path(__file__).parent / "onward.png"
WARM_UP_S: Final = 90.0
"""Until the city is in full swing."""
DESK, PHONE, MARGIN_PX, RADIUS_PX = (1280, 800), (390, 800), 15, 14
GROUND: Final = "#dfe5e4"
FLAGS: Final = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic"]
BOARD: Final = re.compile(r"http://\S+/board/#\S+")


async def main() -> None:
    """Let a city live for a while, and take its picture."""
    with tempfile.TemporaryDirectory() as folder:
        demo = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "onward", "demo", "--no-faults", "--port", "0", "--data-dir", folder,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert demo.stderr is not None
        try:
            link = None
            while link is None:
                line = (await demo.stderr.readline()).decode()
                if not line:
                    raise SystemExit("The demo did not start; `make demo` says why.")
                link = BOARD.search(line)
            drain = asyncio.create_task(demo.stderr.read())
            await asyncio.sleep(WARM_UP_S)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
                _beside(*await _screens(browser, link[0])).save(OUT, optimize=True)
                await browser.close()
        finally:
            with contextlib.suppress(ProcessLookupError):
                demo.terminate()
            await demo.wait()
        await drain


async def _screens(browser: Browser, link: str) -> tuple[bytes, bytes]:
    """Return the board with a delivery opened that is on its way to the door, and that customer's page."""
    desk = await browser.new_page(viewport={"width": DESK[0], "height": DESK[1]}, color_scheme="light", locale="en-GB")
    await desk.goto(link)
    await desk.locator(".row", has_text="to door").first.click()
    await desk.mouse.move(700, 700)  # off the list, which stands still under the pointer
    await desk.locator(".panel .why").scroll_into_view_if_needed()
    tracking = await desk.get_by_role("link", name="Customer's page").get_attribute("href")
    phone = await browser.new_page(
        viewport={"width": PHONE[0], "height": PHONE[1]}, color_scheme="light", locale="en-GB"
    )
    await phone.goto(urljoin(link, tracking))
    await phone.locator(".maplibregl-canvas").wait_for()
    await asyncio.sleep(6)
    return await desk.screenshot(), await phone.screenshot()


def _beside(desk: bytes, phone: bytes) -> Image.Image:
    """Put two screens beside each other, with round corners."""
    whole = Image.new("RGB", (DESK[0] + PHONE[0] + 3 * MARGIN_PX, DESK[1] + 20), GROUND)
    x = MARGIN_PX
    for data in (desk, phone):
        screen = Image.open(io.BytesIO(data)).convert("RGB")
        corners = Image.new("L", screen.size, 0)
        ImageDraw.Draw(corners).rounded_rectangle((0, 0, screen.width - 1, screen.height - 1), RADIUS_PX, fill=255)
        whole.paste(screen, (x, 10), corners)
        x += screen.width + MARGIN_PX
    return whole


if __name__ == "__main__":
    asyncio.run(main())
