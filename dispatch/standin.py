"""The planner, and what stands in for it: a few ticks may be lost, then simple matching goes on in this process."""

from __future__ import annotations

import asyncio
from typing import Final

from dispatch.planner import Planner
from dispatch.worker import Answer, Question, answer_plainly
from kernel import metrics
from kernel.log import get_logger

MISSES_MAX: Final = 3
REST_S: Final = 15.0
"""So often a planner that is down is asked whether it is back."""

log = get_logger(__name__)


class StandIn:
    """Answers each tick, with the planner or without."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._misses = 0
        self._ask_again_at_s = 0.0

    @property
    def down(self) -> bool:
        """Say whether the planner did not answer for several ticks."""
        return self._misses >= MISSES_MAX

    async def answer(self, questions: list[Question]) -> list[Answer] | None:
        """Return the plans for one tick, one for each market's question; None for a tick that is lost.

        Whatever the planner raises counts: a question that no solver survives must not stop everybody's work.
        """
        loop = asyncio.get_running_loop()
        if not self.down or loop.time() >= self._ask_again_at_s:
            try:
                answers = await asyncio.gather(*(self._planner.answer(question) for question in questions))
            except Exception as error:
                self._misses += 1
                self._ask_again_at_s = loop.time() + REST_S
                metrics.planner_misses.inc()
                log.warning("planner_away", error=f"{type(error).__name__}: {error}", misses=self._misses)
            else:
                self._misses = 0
                return answers
        if not self.down:
            return None
        return [await asyncio.to_thread(answer_plainly, question) for question in questions]
