"""A real Chromium on the product's own pages."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright, expect

from onward.demo import bundled_helsinki
from onward.embedded import Servers
from onward.maps.importer import import_map
from onward.maps.store import maps_folder
from tests.support.people import DEADLINE_S
from tests.support.server import Onward, start_onward

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

expect.set_options(timeout=DEADLINE_S * 1000)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Chromium as `make test` found or installed it."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    assert path is not None, "Chromium is missing: `make test` installs it, or apt-get install chromium."
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        await running.close()


@pytest.fixture
async def town(db_url: str, servers: Servers, redis: Any, tmp_path: Path) -> AsyncIterator[Onward]:
    """The product with a real map under it."""
    import_map(bundled_helsinki(), maps_folder(tmp_path) / "helsinki", name="helsinki")
    async with start_onward(db_url, servers.redis_url, tmp_path) as running:
        yield running
