"""One server process from start to clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import multiprocessing
import resource
import signal
from collections.abc import AsyncIterator, Callable
from typing import Final

from aiohttp import web

from kernel.clock import Clock, SystemClock
from kernel.log import get_logger
from onward.accounts import has_operator
from onward.compose import Installation, build
from onward.config import Settings
from onward.errors import Refused
from onward.maps.store import map_of, no_map
from onward.migrate import migrate

SYSTEM_CLOCK: Final = SystemClock()
GC_THRESHOLDS: Final = (50_000, 4, 250)
"""With more at a time everybody waits; with fewer, what stays a second for history is looked at again and again."""
QUIET_MAX_S: Final = 75.0
"""A connection without a whole request for so long is closed; proxies keep theirs for a minute."""

log = get_logger(__name__)


@contextlib.asynccontextmanager
async def running(settings: Settings, clock: Clock = SYSTEM_CLOCK) -> AsyncIterator[tuple[Installation, str]]:
    """Run a server inside this event loop; yield it and its base URL. The URLs in `settings` must be filled."""
    await migrate(settings.database_url)
    installation = await build(settings, clock)
    runner = web.AppRunner(
        installation.app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=5.0,
        handler_cancellation=False,
        keepalive_timeout=QUIET_MAX_S,
    )
    try:
        await runner.setup()
        site = web.TCPSite(
            runner, settings.host, settings.port, backlog=1024, reuse_address=True, reuse_port=settings.processes > 1
        )
        try:
            await site.start()
        except OSError as error:
            raise listen_refused(error, settings) from None
        port = runner.addresses[0][1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        yield installation, f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def serve(settings: Settings, *, ready: Callable[[str, tuple[str, ...]], None]) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is told the base URL and what is missing once requests are answered."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if (parent := multiprocessing.parent_process()) is not None:
        loop.add_reader(parent.sentinel, _orphaned, loop, parent.sentinel, stop)
    async with running(settings) as (installation, url):
        log.info("serving", url=url, data_dir=str(settings.data_dir))
        ready(url, await _missing(installation))
        collect_garbage_seldom()
        allow_many_sockets()
        await stop.wait()
        log.info("stopping")


def _orphaned(loop: asyncio.AbstractEventLoop, sentinel: int, stop: asyncio.Event) -> None:
    """The parent is gone, and the embedded servers with it."""
    loop.remove_reader(sentinel)
    stop.set()


def collect_garbage_seldom() -> None:
    """Leave what was made at the start out of every later collection, and collect less often.

    A socket server makes few cycles and keeps many objects: with the defaults a fifth of its time went into looking.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def allow_many_sockets() -> None:
    """Take as many open files as the system lets this process have: most systems begin with 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _missing(installation: Installation) -> tuple[str, ...]:
    """Return what an empty installation still needs, in words."""
    settings, hints = installation.settings, []
    if not await has_operator(installation.db):
        hints.append("Nobody can sign in yet: run `onward init`, here in another terminal or after Ctrl-C.")
    if not settings.style_url and map_of(settings) is None:
        hints.append(f"Pages show no street map. {no_map(settings)}")
    return tuple(hints)


def listen_refused(error: OSError, settings: Settings) -> Refused:
    """Return why nobody can listen there, in words."""
    if error.errno == errno.EADDRINUSE:
        return Refused(f"port {settings.port} is taken; choose another with --port, or --port 0 for any free one")
    return Refused(f"can't listen on {settings.host}, port {settings.port}: {error.strerror}")
