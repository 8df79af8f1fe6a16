"""The command line as a person at a terminal meets it: words instead of tracebacks, and Ctrl-C ends things well."""

from __future__ import annotations

import asyncio
import contextlib
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
import psutil
import pytest

STOP_S = 40.0
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


async def test_a_demo_prints_what_works_and_ctrl_c_ends_it_soon_and_well(
    data_dir: Path, terminals: list[Terminal]
) -> None:
    """The servers outlive the interrupt until everybody is home: nothing is lost, and nobody complains."""
    demo = Terminal("demo", "--drivers", "6", "--businesses", "1", "--port", "0", "--data-dir", str(data_dir))
    terminals.append(demo)
    password = demo.says("Sign in yourself").split()[-1]
    page, _, email = demo.says("Be a driver").partition("driver")[2].split()[:3]
    url, headers, body = asked(demo.says("curl -X POST").partition("delivery")[2])
    sign_in = page.replace("/driver/", "/api/v1/auth/login")
    account = {"email": email, "password": password}
    async with aiohttp.ClientSession() as http, http.post(sign_in, json=account) as reply:
        assert (await reply.json())["principal"]["role"] == "driver"
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


def below(folder: Path) -> dict[int, str]:
    """Return the servers that work in a folder, by process."""
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(folder) in " ".join(process.cmdline()):
                found[process.pid] = process.name()
    return found


async def test_a_benchmark_that_is_told_to_end_leaves_no_server_behind(
    data_dir: Path, terminals: list[Terminal]
) -> None:
    """PostgreSQL, Valkey and the server it measures end with it, by SIGTERM as by Ctrl-C."""
    data_dir.mkdir()
    bench = Terminal("bench", "soak", "--drivers", "5", "--viewers", "1", TMPDIR=str(data_dir))
    terminals.append(bench)
    async with asyncio.timeout(SPEAK_S):
        while not {"python", "postgres", "valkey-server"} <= set((await asyncio.to_thread(below, data_dir)).values()):
            pass
    bench.process.terminate()
    assert await asyncio.to_thread(bench.process.wait, STOP_S) != 0
    assert below(data_dir) == {}


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


def run(data_dir: Path, *words: str, answers: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end with the answers typed in."""
    return subprocess.run(
        [sys.executable, "-m", "onward", *words, "--data-dir", str(data_dir)],
        env={**os.environ, **environment},
        input=answers,
        capture_output=True,
        text=True,
        check=False,
    )


ANSWERS = """City Bikes

Nowhere/Land
Europe/Helsinki
me@
me@example.com
Rosso

Rosso Kamppi
Yrjönkatu 1
99,200
60.169,24.94
owner@example.com
"""


async def test_from_nothing_to_a_delivery_of_ones_own(data_dir: Path, terminals: list[Terminal]) -> None:
    """An empty server says what to do; `init` and `add` work beside it, and what they tell lets people in."""
    server = Terminal("serve", "--port", "0", "--data-dir", str(data_dir))
    terminals.append(server)
    url = re.findall(r"http://[0-9.:]+", server.says("is open at"))[0]
    server.says("run `onward init`")
    server.says("Pages show no street map. No map was imported: run `onward map import")

    early = run(data_dir, "add", "store")
    assert (early.returncode, early.stdout) == (1, "")
    assert "run `onward init` first" in early.stderr

    made = run(data_dir, "init", answers=ANSWERS)
    assert made.returncode == 0, made.stderr
    assert "Use a name like Europe/Helsinki." in made.stderr
    assert "This is not an e-mail address." in made.stderr
    assert "Use latitude and longitude" in made.stderr
    told = dict(line.split(maxsplit=1) for line in made.stdout.replace("API key", "key").splitlines())

    again = run(data_dir, "init")
    assert (again.returncode, again.stdout) == (1, "")
    assert "onward add business" in again.stderr

    driver = ("--name", "Dora", "--email", "dora@example.com", "--vehicle", "bicycle", "--password", "long-enough")
    added = run(data_dir, "add", "driver", *driver, "--business", "rosso")
    assert added.stdout.split() == ["Driver", "dora@example.com", "password", "long-enough"], added.stderr
    store = run(
        data_dir, "add", "store", "--business", "rosso", "--name", "Rosso 2", "--address", "X 1", "--at", "-1.5,2"
    )
    assert store.stdout.startswith("Store  sto_"), store.stderr

    async with aiohttp.ClientSession(url) as http:
        for login, role in ((told["Admin"], "platform_admin"), (told["Owner"], "business_owner")):
            email, password = login.split("  password ")
            async with http.post("/api/v1/auth/login", json={"email": email, "password": password}) as reply:
                assert (await reply.json())["principal"]["role"] == role
        body = {
            "store_id": told["Store"],
            "items": "2 × soup",
            "dropoff": {"name": "Eva", "address": "Mannerheimintie 1", "lat": 60.1699, "lng": 24.9384},
        }
        headers = {"Authorization": f"Bearer {told['key']}"}
        async with http.post("/api/v1/deliveries", json=body, headers=headers) as reply:
            assert reply.status == 201, await reply.text()
            assert (await reply.json())["tracking_url"].startswith(f"{url}/track/#trk_")
    assert server.ctrl_c()[0] == 0


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        (("serve", "--map", "atlantis"), {}, "There is no map called atlantis: run `onward map import"),
        (("serve", "--port", "99999"), {}, "--port: "),
        (("serve",), {"ONWARD_PORT": "many"}, "ONWARD_PORT: "),
        (
            ("init", "--name", "A", "--currency", "Euro"),
            {},
            "--currency: Use the three letters",
        ),
        (("replay", "no-such-file"), {}, "no-such-file can't be read: No such file or directory."),
        (("replay", __file__), {}, "is not in the format csv: it has no column vehicle"),
        (("replay", __file__, "--format", "x"), {}, "There is no format x: one of porto, capmetro, csv."),
        (("replay", "--date", "bogus"), {}, "--date: use yesterday, today, or a day like 2026-05-04."),
        (("add", "driver"), {}, "There is no operator yet: run `onward init` first."),
    ],
)
def test_what_is_wrong_is_told_in_words(
    data_dir: Path, words: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    """With the name of the option or variable, and without a traceback."""
    done = run(data_dir, *words, **environment)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
