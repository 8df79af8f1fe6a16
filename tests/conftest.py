"""One real PostgreSQL and one real Valkey for the whole run; a database of its own for every test that asks for one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from kernel.db import Database
from kernel.log import configure
from kernel.redis import Redis, connect
from onward.embedded import Servers, embedded
from onward.migrate import migrate
from tests.support.server import Onward, start_onward
from tests.support.world import World, make_world

TEMPLATE = "onward_template"

configure(level="warning")


def database_url(servers: Servers, name: str) -> str:
    """Return the URL of a database of the test server."""
    return servers.database_url.replace("/postgres?", f"/{name}?")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Both servers, with durability off (what is tested here is not the disk)."""
    with embedded(tmp_path_factory.mktemp("data"), for_tests=True) as running:
        asyncio.run(_make_template(running))
        yield running


async def _make_template(servers: Servers) -> None:
    con = await asyncpg.connect(servers.database_url)
    await con.execute(f"CREATE DATABASE {TEMPLATE}")
    await con.close()
    await migrate(database_url(servers, TEMPLATE))


@pytest.fixture
async def db_url(servers: Servers) -> AsyncIterator[str]:
    """A migrated, empty database of the test's own."""
    name = f"t_{uuid.uuid4().hex}"
    con = await asyncpg.connect(servers.database_url)
    await con.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield database_url(servers, name)
    await con.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await con.close()


@pytest.fixture
async def db(db_url: str) -> AsyncIterator[Database]:
    """The product's own database object on the test's database."""
    database = await Database.connect(db_url, size_max=8)
    yield database
    await database.close()


@pytest.fixture
async def redis(servers: Servers) -> AsyncIterator[Redis]:
    """The product's own Redis client on an empty server."""
    client = connect(servers.redis_url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def repository() -> Path:
    """The checkout."""
    return Path(__file__).parent.parent


@pytest.fixture
async def world(db: Database) -> World:
    """A small world in the test's database."""
    return await make_world(db)


@pytest.fixture
async def onward(db_url: str, servers: Servers, redis: Redis, tmp_path: Path) -> AsyncIterator[Onward]:
    """The whole product on a real port, with a small world in it."""
    async with start_onward(db_url, servers.redis_url, tmp_path) as running:
        yield running
