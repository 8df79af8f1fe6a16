"""The product's own server on a real port, in the test's event loop."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from onward.compose import Installation
from onward.config import Settings
from onward.processes import running
from tests.support.world import World, make_world


@dataclass
class Onward:
    """A running installation, its world, and an HTTP client."""

    installation: Installation
    world: World
    url: str
    http: aiohttp.ClientSession

    def as_(self, token: str) -> dict[str, str]:
        """Return the headers of a caller."""
        return {"Authorization": f"Bearer {token}"}


@contextlib.asynccontextmanager
async def start_onward(
    database_url: str,
    redis_url: str,
    data_dir: Path,
    *,
    pool_drivers: int = 3,
    rate_limits: bool = False,
    wake_url: str = "",
) -> AsyncIterator[Onward]:
    """Run the product on these servers with a fresh world."""
    settings = Settings(
        database_url=database_url,
        redis_url=redis_url,
        data_dir=data_dir,
        port=0,
        rate_limits=rate_limits,
        wake_url=wake_url,
    )
    async with running(settings) as (installation, url), aiohttp.ClientSession(url) as http:
        yield Onward(installation, await make_world(installation.db, pool_drivers=pool_drivers), url, http)
