"""The embedded servers outlive their owner's death by exactly one start."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from kernel.redis import connect
from onward.embedded import EmbeddedError, embedded

OWNER = """
import sys, time, asyncio, pathlib, asyncpg, redis
from onward.embedded import embedded
async def write(url):
    con = await asyncpg.connect(url)
    await con.execute("CREATE TABLE kept AS SELECT 42 AS n")
    await con.close()
with embedded(pathlib.Path(sys.argv[1])) as servers:
    asyncio.run(write(servers.database_url))
    redis.Redis.from_url(servers.redis_url).set("kept", "42")
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A short path that PostgreSQL's system user can reach."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="ow-") as folder:
        yield Path(folder) / "d"


async def read(database_url: str, redis_url: str) -> tuple[int, bytes]:
    con = await asyncpg.connect(database_url)
    number = await con.fetchval("SELECT n FROM kept")
    await con.close()
    client = connect(redis_url)
    value = await client.get("kept")
    await client.aclose()
    return number, value


def test_after_the_owner_is_killed_the_next_start_recovers_everything(data_dir: Path) -> None:
    """The orphans are found, stopped and started again with all that was committed."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"ready\n"
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert owner.stdin is not None
    owner.stdin.close()
    with embedded(data_dir) as servers:
        assert asyncio.run(read(servers.database_url, servers.redis_url)) == (42, b"42")


def test_two_owners_of_one_data_directory_are_refused(data_dir: Path) -> None:
    """The second one is told, and the first goes on."""
    with embedded(data_dir), pytest.raises(EmbeddedError, match=r"in use.*--data-dir"), embedded(data_dir):
        pass


def test_a_path_too_long_for_a_socket_is_refused_in_words(tmp_path: Path) -> None:
    """Not an obscure error of the kernel."""
    with pytest.raises(EmbeddedError, match="too long"), embedded(tmp_path / ("x" * 120)):
        pass
