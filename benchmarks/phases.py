"""Where a tick's CPU goes: the engine's own functions with a clock around them, for as long as it is measured."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from dispatch.engine import cost, solve
from dispatch.engine.columns import Market
from dispatch.engine.packing import Packing

CLOCKED: Final[tuple[tuple[str, Any, str], ...]] = (
    ("candidates", cost, "eligible"),
    ("bundles", solve, "make_bundles"),
    ("pricing", Market, "start"),
    ("pricing", Market, "missing"),
    ("pricing", solve, "pairs"),
    ("relaxation", Packing, "relax"),
    ("pick", Packing, "pick"),
    ("matching", solve, "match"),
    ("greedy", solve, "take_greedily"),
    ("verify", solve, "verify"),
)
"""(phase, whose, function): what a phase is made of. A phase inside another counts for itself alone."""
PHASES: Final = tuple(dict.fromkeys(phase for phase, _, _ in CLOCKED))


@contextlib.contextmanager
def spent_by_phase() -> Iterator[dict[str, float]]:
    """Yield phase → CPU milliseconds, filled by what the engine does inside the block; one thread at a time."""
    spent = dict.fromkeys(PHASES, 0.0)
    inner = [0.0]

    def clocked(phase: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            inner.append(0.0)
            started = time.process_time()
            try:
                return work(*arguments, **named)
            finally:
                took = (time.process_time() - started) * 1000
                spent[phase] += took - inner.pop()
                inner[-1] += took

        return run

    before = [(whose, name, getattr(whose, name)) for _, whose, name in CLOCKED]
    for phase, whose, name in CLOCKED:
        setattr(whose, name, clocked(phase, getattr(whose, name)))
    try:
        yield spent
    finally:
        for whose, name, work in before:
            setattr(whose, name, work)
