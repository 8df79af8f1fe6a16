"""`onward replay --date` as an operator meets it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from kernel.db import Database
from onward.errors import Refused
from onward.whatif import read_policy
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
    assert "The model's error" in err
    for words, said in (
        (("replay", "--date", "2020-02-03"), "no deliveries on 2020-02-03"),
        (("replay", "--date", "noon"), "use yesterday, today, or a day"),
        ((*day, "--business", "nowhere"), "There is no business nowhere"),
        (("replay",), "Give a file of traces, or a day"),
    ):
        status, _, err = await onward_says(*words, database_url=db_url)
        assert status == 1
        assert said in err


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
