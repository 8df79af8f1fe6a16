"""Travel times that always come: a provider that hangs or fails is left alone for a while, and straight lines stand in.

It lives in the planner's process. A call that still hangs when it is time to ask again can't be taken back, so the
process ends itself: that costs one tick, and the next one has a fresh provider.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Final

from geo.point import Floats
from geo.travel import CrowFlies, Seconds, TravelTimes, Vehicle
from kernel.log import get_logger

ANSWER_MAX_S: Final = 3.0
REST_S: Final = 30.0

log = get_logger(__name__)


class BoundedTimes:
    """A provider of travel times, bounded in time. `down` says whether straight lines stand in for it."""

    def __init__(
        self,
        provider: TravelTimes,
        *,
        answer_max_s: float = ANSWER_MAX_S,
        monotonic_s: Callable[[], float] = time.monotonic,
        give_up: Callable[[], None] = lambda: os._exit(1),
    ) -> None:
        self._provider = provider
        self.down = False
        self._answer_max_s = answer_max_s
        self._monotonic_s = monotonic_s
        self._give_up = give_up
        self._instead = CrowFlies()
        self._ask_again_at_s = 0.0
        self._hanging: threading.Thread | None = None

    @property
    def source(self) -> str:
        """Who answered the last question."""
        return self._instead.source if self.down else self._provider.source

    def seconds(self, origins: Floats, destinations: Floats, vehicle: Vehicle) -> Seconds:
        """Return whole seconds from every origin to every destination."""
        if not self.down or self._monotonic_s() >= self._ask_again_at_s:
            found = self._ask(origins, destinations, vehicle)
            if found is not None:
                return found
        return self._instead.seconds(origins, destinations, vehicle)

    def _ask(self, origins: Floats, destinations: Floats, vehicle: Vehicle) -> Seconds | None:
        if self._hanging is not None and self._hanging.is_alive():
            self._give_up()
            return None
        answers: list[Seconds] = []
        wrong: list[Exception] = []

        def ask() -> None:
            try:
                answers.append(self._provider.seconds(origins, destinations, vehicle))
            except Exception as error:  # whatever a provider raises, straight lines are the answer
                wrong.append(error)

        thread = threading.Thread(target=ask, daemon=True, name="travel-times")
        thread.start()
        thread.join(self._answer_max_s)
        self._hanging = thread if thread.is_alive() else None
        if answers:
            self.down = False
            return answers[0]
        self.down = True
        self._ask_again_at_s = self._monotonic_s() + REST_S
        log.warning(
            "travel_times_down", source=self._provider.source, error=str(wrong[0]) if wrong else "no answer in time"
        )
        return None
