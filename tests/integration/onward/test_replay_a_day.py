"""`onward replay --date` as an operator meets it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from kernel.db import Database
from kernel.errors import Problem
from onward.config import Settings
from onward.errors import Refused
from onward.whatif import read_policy, run_whatif
from tests.support.world import World
from tests.support.yesterday import write_lunch, yesterday


async def onward_says(*words: str, database_url: str) -> tuple[int, str, str]:
    """Run the command; return its status and what it said on both outputs."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "onward", *words),
        env={**os.environ, "DATABASE_URL": database_url, "REDIS_URL": "redis://127.0.0.1:1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    return child.returncode or 0, out.decode(), err.decode()


async def test_a_day_is_played_from_the_command_line(db: Database, db_url: str, world: World, tmp_path: Path) -> None:
    """A table for people, one line for programs; fewer drivers and another policy in one go."""
    await write_lunch(db, world, yesterday(), deliveries=6)
    policy = tmp_path / "one-by-one.toml"
    policy.write_text("stack_max = 1\n[weights]\nempty_travel = 50\n")
    day = ("replay", "--date", yesterday().isoformat())
    status, out, err = await onward_says(
        *day, "--drivers", "-2", "--policy", str(policy), "--json", database_url=db_url
    )
    assert status == 0, err
    found = json.loads(out)
    assert found["alternative"]["work"]["drivers"] == 2
    assert found["change"]["policy"]["weights"]["empty_travel"] == 50
    assert "click to door, 90 % within min" in err
    assert "The check" in err


async def test_what_is_not_there_is_told_in_words(db_url: str, world: World) -> None:
    """A day without deliveries, a word that is no day, a business nobody knows."""
    settings = Settings(database_url=db_url)
    for day, business, said in (
        ("2020-02-03", None, "no deliveries on 2020-02-03"),
        ("noon", None, "use yesterday, today, or a day"),
        ("today", "nowhere", "There is no business nowhere"),
    ):
        with pytest.raises((Refused, Problem), match=said):
            await asyncio.to_thread(run_whatif, settings, day=day, drivers=0, policy=None, business=business)
    with pytest.raises(Refused, match="--drivers"):
        run_whatif(settings, day="today", drivers=-400, policy=None, business=None)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.toml", "stack_max = 9", "<= 3"),
        ("a.toml", "patience = 1", "patience"),
        ("a.toml", "[weights]\ndelay = 0\nlateness = 0", "can't both be 0"),
        ("a.json", '{"weights": {"delay": "much"}}', "Expected `int"),
        ("a.toml", "stack_max =", "is not a policy"),
        ("a.json", "{", "is not a policy"),
    ],
)
def test_a_bad_policy_file_is_refused_with_words(tmp_path: Path, name: str, text: str, why: str) -> None:
    """What is wrong, and in which file."""
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(Refused, match=why) as refused:
        read_policy(file)
    assert name in str(refused.value)
    with pytest.raises(Refused, match="can't be read"):
        read_policy(tmp_path / "nowhere.toml")
