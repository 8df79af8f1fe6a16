"""The planner's process may die at any moment: that costs a call, never the next one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from dispatch.planner import Planner, PlannerAway
from geo.point import Point
from geo.travel import Vehicle
from onward.travel import TravelFactory
from tests.support.people import DEADLINE_S

LEG = (Point(60.17, 24.94), Point(60.18, 24.95), Vehicle.BICYCLE)


def kill(*, also_what_they_come_from: bool) -> None:
    """kill -9 whatever the planner has started, and see it gone."""
    me = psutil.Process()
    come_from = [child for child in me.children() if "forkserver" in " ".join(child.cmdline())]
    workers = [worker for process in come_from for worker in process.children()]
    assert workers
    for process in workers + come_from * also_what_they_come_from:
        process.kill()
    assert not psutil.wait_procs(workers, timeout=DEADLINE_S)[1]


@pytest.mark.parametrize("all_of_them", [False, True])
async def test_a_process_that_died_idle_is_replaced(*, all_of_them: bool) -> None:
    """Nobody is waiting for it when it dies; who asks next may be told so once, and then gets his answer."""
    planner = Planner(TravelFactory(None))
    try:
        before = await planner.leg_seconds([LEG])
        kill(also_what_they_come_from=all_of_them)
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    after = await planner.leg_seconds([LEG])
                    break
                except PlannerAway:
                    await asyncio.sleep(0)
        assert after == before
    finally:
        planner.close()


def test_a_planner_whose_server_was_killed_is_gone_too() -> None:
    """With kill -9 nobody says goodbye; what was started for the server ends by itself."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"planned\n"
        started = psutil.Process(server.pid).children(recursive=True)
        assert len(started) > 1
        server.kill()
        assert not psutil.wait_procs(started, timeout=DEADLINE_S)[1]


def test_nothing_is_imported_from_where_it_was_started(tmp_path: Path) -> None:
    """A folder may hold a package with our own name, or anything that somebody wants us to run."""
    script, elsewhere = tmp_path / "server.py", tmp_path / "elsewhere"
    script.write_text("if __name__ == '__main__':\n" + textwrap.indent(SERVER, "    "))
    (elsewhere / "dispatch").mkdir(parents=True)
    (elsewhere / "dispatch" / "__init__.py").write_text("print('ours now', flush=True)")
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, cwd=elsewhere) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"planned\n"
        server.kill()


def test_one_that_is_stopped_while_its_planner_begins_does_not_wait_for_it() -> None:
    """A planner that would never be ready (its travel times wait for a signal) holds nobody up."""
    done = subprocess.run([sys.executable, "-c", STOPPED_AT_ONCE], timeout=DEADLINE_S, capture_output=True, check=True)
    assert done.stdout == b"away\n"


SERVER = """
import asyncio
from dispatch.planner import Planner
from onward.travel import TravelFactory

async def serve():
    await Planner(TravelFactory(None)).warm_up()
    print("planned", flush=True)
    await asyncio.Event().wait()

asyncio.run(serve())
"""

STOPPED_AT_ONCE = """
import asyncio, signal
from dispatch.planner import Planner, PlannerAway

async def serve():
    planner = Planner(signal.pause)
    asked = asyncio.create_task(planner.warm_up())
    await asyncio.sleep(0)
    planner.close(kill=True)
    try:
        await asked
    except PlannerAway:
        print("away")

asyncio.run(serve())
"""


async def test_legs_that_follow_on_one_another_take_as_long_as_each_alone() -> None:
    """A route is one question to the provider; the answer has a figure for each leg, in order, and says whose it is."""
    a, b, c = Point(60.17, 24.94), Point(60.18, 24.95), Point(60.16, 24.99)
    legs = [(a, b, Vehicle.BICYCLE), (b, c, Vehicle.BICYCLE), (c, a, Vehicle.CAR), (b, a, Vehicle.CAR)]
    planner = Planner(TravelFactory(None))
    try:
        together = await planner.leg_seconds(legs)
        alone = [(await planner.leg_seconds([leg])).seconds[0] for leg in legs]
    finally:
        planner.close()
    assert together.seconds == alone
    assert together.source == "crow_flies"
