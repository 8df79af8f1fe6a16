"""How processes beside the event loop begin: forked from one that has loaded the solvers, they are there in no time."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import forkserver, resource_tracker
from typing import Final

FORKED: Final = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(
    [
        "dispatch.worker",
        "ortools.graph.python.min_cost_flow",
        "ortools.math_opt.callback_pb2",
        "ortools.math_opt.core.python.solver",
        "ortools.math_opt.model_parameters_pb2",
        "ortools.math_opt.model_update_pb2",
        "ortools.math_opt.parameters_pb2",
        "ortools.sat.python.cp_model",
    ]
)
_SAFE_PATH: Final = "PYTHONSAFEPATH"
_ONE_AT_A_TIME: Final = threading.Lock()


@contextlib.contextmanager
def beginning() -> Iterator[None]:
    """A process of `FORKED` may be started meanwhile, never on the event loop: the first waits for the solvers.

    It inherits a mask, so that Ctrl-C never meets it half imported, and finds no module in the working directory.
    """
    with ctrl_c_held_back():
        with _ONE_AT_A_TIME:
            before = os.environ.get(_SAFE_PATH)
            os.environ[_SAFE_PATH] = "1"
            try:
                forkserver.ensure_running()
            finally:
                if before is None:
                    del os.environ[_SAFE_PATH]
                else:
                    os.environ[_SAFE_PATH] = before
        yield


@contextlib.contextmanager
def ctrl_c_held_back() -> Iterator[None]:
    """A process that is started meanwhile inherits the mask."""
    resource_tracker.ensure_running()  # started later, it would take the mask away
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
