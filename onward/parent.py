"""Several server processes on one port, and the parent that keeps them alive.

The kernel spreads connections over them (SO_REUSEPORT). A process that dies costs its own sockets, which come back to
the others; the parent starts it again with back-off. When the parent goes, however it does, its processes stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, Final

import uvloop
from prometheus_client import multiprocess

from dispatch.processes import ctrl_c_held_back
from kernel import log as logs
from kernel.log import get_logger
from onward.config import Settings
from onward.errors import Refused
from onward.health import METRICS_DIR
from onward.migrate import migrate
from onward.processes import listen_refused, serve

BACKOFF_MIN_S: Final = 0.1
BACKOFF_MAX_S: Final = 5.0
STOP_MAX_S: Final = 20.0

Ready = Callable[[str, tuple[str, ...]], None]
log = get_logger(__name__)


async def serve_several(settings: Settings, *, ready: Ready) -> None:
    """Run `settings.processes` servers until SIGINT or SIGTERM; `ready` is told once all of them answer.

    The URLs in `settings` must be filled. Raises `Refused` when the port is taken or the first start fails.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings.signing_secret()  # made once, by nobody else
    await migrate(settings.database_url)
    with _port(settings) as port, _metrics_dir():
        told = settings.model_copy(update={"port": port})
        children = [Child(told, number) for number in range(settings.processes)]
        keepers = [asyncio.create_task(child.keep()) for child in children]
        everybody = asyncio.create_task(_all_ready(children, ready))
        waiting = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({waiting, everybody}, return_when=asyncio.FIRST_COMPLETED)
            if everybody.done():
                everybody.result()
                await waiting
            log.info("stopping")
        finally:
            for task in (waiting, everybody, *keepers):
                task.cancel()
            await asyncio.gather(waiting, everybody, *keepers, return_exceptions=True)
            await asyncio.gather(*(child.stop() for child in children))


async def _all_ready(children: list[Child], ready: Ready) -> None:
    first = [await child.first for child in children]
    ready(*first[0])


class Child:
    """One server process and whoever takes its place."""

    def __init__(self, settings: Settings, number: int) -> None:
        self._settings = settings
        self._number = number
        self._process: Any = None
        self.first: asyncio.Future[tuple[str, tuple[str, ...]]] = asyncio.get_running_loop().create_future()
        """What the first process said when it answered: its URL and hints; or why it never will."""

    async def keep(self) -> None:
        """Start the process, and again whenever it ends, until cancelled."""
        backoff_s = BACKOFF_MIN_S
        while True:
            served = await self._run()
            code = self._process.exitcode
            multiprocess.mark_process_dead(self._process.pid)  # type: ignore[no-untyped-call]
            if not self.first.done():
                self.first.set_exception(Refused(f"a server process ended with {code} before it answered; see its log"))
                return
            backoff_s = BACKOFF_MIN_S if served else min(backoff_s * 2, BACKOFF_MAX_S)
            log.warning("process_died", number=self._number, code=code, retry_in_s=backoff_s)
            await asyncio.sleep(backoff_s)

    async def _run(self) -> bool:
        """Start a process and wait for its end; say whether it ever answered."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_child, args=(self._settings, theirs), name=f"onward {self._number}")
        with ctrl_c_held_back():  # Ctrl-C is the parent's to hear
            self._process.start()
        theirs.close()
        served = False
        with ours, contextlib.suppress(EOFError):
            await _readable(ours.fileno())
            said = ours.recv()
            served = True
            if not self.first.done():
                self.first.set_result(said)
        await _readable(self._process.sentinel)
        self._process.join()
        return served

    async def stop(self) -> None:
        """Ask the process to stop, and end it when it does not."""
        if self._process is None:
            return
        self._process.terminate()
        await asyncio.to_thread(self._process.join, STOP_MAX_S)
        if self._process.is_alive():
            log.warning("process_killed", number=self._number)
            self._process.kill()
            await asyncio.to_thread(self._process.join)


def _child(settings: Settings, parent: Connection) -> None:
    """Run in the process."""
    logs.configure(level=settings.log_level, json=settings.log_json)
    uvloop.run(serve(settings, ready=lambda url, hints: parent.send((url, hints))))


async def _readable(fd: int) -> None:
    """Wait until there is something to read, or the other end is gone."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fd, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(fd)


@contextlib.contextmanager
def _port(settings: Settings) -> Iterator[int]:
    """Hold the port without listening, so that it stays ours while processes come and go; raises `Refused`."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as alone, socket.socket(family, socket.SOCK_STREAM) as held:
        for holder in (alone, held):
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            alone.bind((settings.host, settings.port))  # another installation's shared port would let `held` in
            port: int = alone.getsockname()[1]
            alone.close()
            held.bind((settings.host, port))
        except OSError as error:
            raise listen_refused(error, settings) from None
        yield port


@contextlib.contextmanager
def _metrics_dir() -> Iterator[None]:
    """Give the processes a folder where each keeps its numbers, so that any of them can tell the sum."""
    with tempfile.TemporaryDirectory(prefix="onward-metrics-") as folder:
        os.environ[METRICS_DIR] = folder
        try:
            yield
        finally:
            del os.environ[METRICS_DIR]
