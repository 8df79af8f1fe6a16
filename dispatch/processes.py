"""How processes beside the event loop begin: forked from one that has loaded the solvers, they are there in no time."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from typing import Final

FORKED: Final = multiprocessing.get_context("forkserver")
"""The first process of all waits until everything is loaded (a second): start it in a thread."""
FORKED.set_forkserver_preload(["dispatch.worker"])


@contextlib.contextmanager
def ctrl_c_held_back() -> Iterator[None]:
    """A process that is started meanwhile inherits the mask: Ctrl-C never meets it half imported."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """End this process, whatever it is doing, once the one that asked for it is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
