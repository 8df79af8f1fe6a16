"""Long-lived tasks that come back: one that fails is logged, counted and started again with back-off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from kernel import metrics
from kernel.log import get_logger

BACKOFF_MIN_S: Final = 0.1
BACKOFF_MAX_S: Final = 5.0
CANCEL_AGAIN_S: Final = 0.5

log = get_logger(__name__)


class Supervisor:
    """Owns the long-lived tasks of a process."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.failing: dict[str, str] = {}

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run `run()` until the supervisor stops; start it again when it fails."""
        self._tasks[name] = asyncio.create_task(self._keep(name, run), name=name)

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        backoff_s = BACKOFF_MIN_S
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                await run()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise asyncio.CancelledError from error  # what failed was the clean-up of a task being stopped
                if loop.time() - started > BACKOFF_MAX_S:
                    backoff_s = BACKOFF_MIN_S
                self.failing[name] = f"{type(error).__name__}: {error}"
                metrics.task_restarts.labels(name).inc()
                log.warning("task_failed", task=name, error=self.failing[name], retry_in_s=round(backoff_s, 2))
                await asyncio.sleep(backoff_s * random.uniform(0.8, 1.2))
                backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)
            else:
                return

    def recovered(self, name: str) -> None:
        """Say that a task that had failed works again (readiness reads this)."""
        if self.failing.pop(name, None):
            log.info("task_recovered", task=name)

    def names(self) -> list[str]:
        """Return what was started, oldest first."""
        return list(self._tasks)

    async def stop(self, *, but: Collection[str] = ()) -> None:
        """Cancel every task that is not named, newest first, and wait for each to end."""
        for name, task in [item for item in reversed(self._tasks.items()) if item[0] not in but]:
            while not task.done():  # a library may swallow a cancellation: ask again
                task.cancel()
                await asyncio.wait({task}, timeout=CANCEL_AGAIN_S)
            self._tasks.pop(name, None)
            self.failing.pop(name, None)
