"""A process of its own for work that takes seconds of pure computing: one at a time, bounded, telling how far it is.

On the event loop it would stop the dispatcher, in the planner's process a tick.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any, Final, Generic, TypeVar

import msgspec
from aiohttp import web

from dispatch.processes import FORKED, beginning, end_with_parent
from kernel.errors import Problem

RETRY_AFTER_S: Final = 5

News = TypeVar("News")
Send = Callable[[News], None]


class OwnProcess(Generic[News]):
    """Runs one piece of work at a time; `what` completes the sentence "Another …"."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._busy = False

    async def run(self, work: Callable[[Send[News]], bytes], limit_s: float) -> AsyncGenerator[News | bytes, None]:
        """Yield what the work sends, at last the bytes it returns; raises `unavailable` or `TimeoutError`.

        `work` is picklable. Who stops listening ends the process.
        """
        if self._busy:
            raise Problem("unavailable", f"Another {self._what}: try again shortly.", retry_after_s=RETRY_AFTER_S)
        ours, theirs = FORKED.Pipe(duplex=False)
        process = FORKED.Process(target=_work, args=(theirs, work), daemon=True)
        self._busy = True
        starting = asyncio.ensure_future(asyncio.to_thread(_start, process, theirs))
        try:
            async with asyncio.timeout(limit_s):
                await asyncio.shield(starting)
                while not isinstance(heard := await asyncio.to_thread(ours.recv), bytes):
                    yield heard
            yield heard
        except EOFError:
            raise Problem("unavailable", "Its process ended before it was done.", retry_after_s=RETRY_AFTER_S) from None
        finally:
            self._busy = False
            starting.add_done_callback(lambda _: _end(process))  # also of what begins when nobody listens any more


def _start(process: ForkServerProcess, theirs: Connection) -> None:
    with theirs, contextlib.suppress(OSError, EOFError), beginning():
        process.start()  # who reads from the other end hears of it when it does not


def _end(process: ForkServerProcess) -> None:
    if process.pid is not None:
        process.kill()


def _work(out: Connection, work: Callable[[Send[Any]], bytes]) -> None:
    """Run in the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    with contextlib.suppress(BrokenPipeError):
        out.send(work(out.send))


async def as_lines(request: web.Request, lines: AsyncGenerator[bytes, None]) -> web.StreamResponse:
    """Answer with lines of JSON as they come. A problem is the last; before the first it has a status of its own."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"})
    async with contextlib.aclosing(lines):
        try:
            async for line in lines:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(line + b"\n")
        except Problem as problem:
            if not response.prepared:
                raise
            words = {"code": problem.code, "title": problem.title, "detail": problem.detail}
            await response.write(msgspec.json.encode({"problem": words}) + b"\n")
        except ConnectionResetError:  # nobody is waiting for it any more
            return response
    await response.write_eof()
    return response
