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


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """Chromium as `make test` found or installed it."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    assert path is not None, "Chromium is missing: `make test` installs it, or apt-get install chromium."
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        await running.close()


@pytest.fixture
async def browser(chromium: Browser) -> AsyncIterator[Browser]:
    """The browser without anything open, and nothing left open after the test."""
    yield chromium
    for context in chromium.contexts:
        await context.close()


@pytest.fixture(scope="session")
def helsinki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map, imported once."""
    folder = tmp_path_factory.mktemp("maps") / "helsinki"
    import_map(bundled_helsinki(), folder, name="helsinki")
    return folder


@pytest.fixture
async def town(db_url: str, servers: Servers, redis: Any, tmp_path: Path, helsinki: Path) -> AsyncIterator[Onward]:
    """The product with a real map under it."""
    maps_folder(tmp_path).mkdir()
    (maps_folder(tmp_path) / "helsinki").symlink_to(helsinki)
    async with start_onward(db_url, servers.redis_url, tmp_path) as running:
        yield running
