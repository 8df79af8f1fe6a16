"""The command line as a person at a terminal meets it: words instead of tracebacks, and Ctrl-C ends things well."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

STOP_S = 20.0
SPEAK_S = 60.0


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A short path that PostgreSQL's system user can reach."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="ow-") as folder:
        yield Path(folder) / "d"


class Terminal:
    """A command in the foreground of a terminal of its own: one process group, as a shell makes it."""

    def __init__(self, *words: str, **environment: str) -> None:
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "onward", *words],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def says(self, words: str) -> str:
        """Read on until a line has the words; return that line."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if words in line:
                return line
        raise AssertionError(f"it ended with {self.process.wait()} and never said {words!r}: {''.join(self.said)}")

    def ctrl_c(self) -> tuple[int, str]:
        """Interrupt the whole group; return the status and everything that was said."""
        os.killpg(self.process.pid, signal.SIGINT)
        _, rest = self.process.communicate(timeout=STOP_S)
        return self.process.returncode, "".join(self.said) + rest

    def end(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(STOP_S)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    """Commands that were started; they end with the test."""
    started: list[Terminal] = []
    yield started
    for terminal in started:
        terminal.end()


def asked(command: str) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Return the URL, headers and body of a printed curl command."""
    words = shlex.split(command)
    headers = [words[n + 1].split(": ", 1) for n, word in enumerate(words) if word == "-H"]
    return words[words.index("POST") + 1], dict(headers), json.loads(words[words.index("-d") + 1])


async def test_a_demo_prints_a_command_that_works_and_ctrl_c_ends_it_soon_and_well(
    data_dir: Path, terminals: list[Terminal]
) -> None:
    """The servers outlive the interrupt until everybody is home: nothing is lost, and nobody complains."""
    demo = Terminal("demo", "--drivers", "6", "--businesses", "1", "--port", "0", "--data-dir", str(data_dir))
    terminals.append(demo)
    url, headers, body = asked(demo.says("curl -X POST").partition("delivery")[2])
    async with aiohttp.ClientSession(headers=headers) as http, asyncio.timeout(SPEAK_S):
        async with http.post(url, json=body) as reply:
            assert reply.status == 201, await reply.text()
            delivery = (await reply.json())["id"]
        driver_id = None
        while driver_id is None:
            async with http.get(f"{url}/{delivery}") as reply:
                driver_id = (await reply.json())["driver_id"]
    status, said = demo.ctrl_c()
    assert status == 0, said
    assert "Traceback" not in said
    assert re.search(r"fixes lost +0\s", said), said
    assert re.search(r"fixes acked +[1-9]", said), said


def test_ctrl_c_before_the_city_lives_is_no_failure(data_dir: Path, terminals: list[Terminal]) -> None:
    """Whoever starts the wrong thing stops it at once."""
    demo = Terminal("demo", "--drivers", "6", "--businesses", "1", "--port", "0", "--data-dir", str(data_dir))
    terminals.append(demo)
    demo.says("Ctrl-C stops everything")
    status, said = demo.ctrl_c()
    assert status == 0, said
    assert "Traceback" not in said


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_a_port_in_use_is_told_in_one_line(command: str, data_dir: Path, terminals: list[Terminal]) -> None:
    """With what to do about it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        terminal = Terminal(command, "--port", str(port), "--data-dir", str(data_dir))
        terminals.append(terminal)
        terminal.says(f"port {port} is taken; choose another with --port, or --port 0 for any free one")
        assert terminal.process.wait(STOP_S) == 1
    assert "Traceback" not in "".join(terminal.said)
