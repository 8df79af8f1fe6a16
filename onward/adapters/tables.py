"""Travel times of a routing server: asked in blocks it accepts, several at once, and remembered for some minutes.

Stores and doors stay where they are, so from one tick to the next only the rows of drivers who moved are asked for. A
server that is slow or fails raises: `dispatch/bounded` leaves it alone for a while, and straight lines stand in.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec
import numpy as np
import urllib3

from geo.point import Floats
from geo.travel import CROW_FLIES, UNREACHABLE_S, Seconds, Vehicle

BLOCK_PLACES: Final = 50
"""Both servers refuse more than 50 × 50 as they are shipped."""
AT_ONCE: Final = 4
CONNECT_MAX_S: Final = 1.0
ANSWER_MAX_S: Final = 2.5
KEPT_S: Final = 600.0
ROWS_KEPT_MAX: Final = 5_000

Place = tuple[float, float]
"""Latitude and longitude."""
Block = list[list[float | None]]
"""Seconds from each origin to each destination; None for no way."""
Row = tuple[float, dict[Place, int]]


class RoutingFailed(Exception):
    """A routing server did not answer, or not with a table."""


class RoutingServer:
    """A server's connections. Whatever it answers but 200 with JSON is a failure."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        timeout = urllib3.Timeout(connect=CONNECT_MAX_S, total=ANSWER_MAX_S)
        self._pool = urllib3.PoolManager(maxsize=AT_ONCE, timeout=timeout, retries=False)

    def get(self, url: str) -> bytes:
        """Return the body of an answer; raises `RoutingFailed`."""
        return self._ask("GET", url, None)

    def post(self, url: str, body: object) -> bytes:
        """Return the body of the answer to a JSON body; raises `RoutingFailed`."""
        return self._ask("POST", url, msgspec.json.encode(body))

    def _ask(self, method: str, url: str, body: bytes | None) -> bytes:
        try:
            answer = self._pool.request(method, url, body=body, headers={"Content-Type": "application/json"})
        except urllib3.exceptions.HTTPError as error:
            raise RoutingFailed(f"{self.url}: {error}") from None
        if answer.status != 200:
            raise RoutingFailed(f"{self.url} answered {answer.status}: {answer.data[:200].decode(errors='replace')}")
        return answer.data


class Tables:
    """Travel times from a server that answers blocks: `ask(origins, destinations, vehicle)` returns one."""

    def __init__(self, ask: Callable[[Sequence[Place], Sequence[Place], Vehicle], Block]) -> None:
        self._ask = ask
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="routing")
        self._kept: OrderedDict[tuple[Vehicle, Place], Row] = OrderedDict()

    def seconds(self, origins: Floats, destinations: Floats, vehicle: Vehicle) -> Seconds:
        """Return whole seconds from every origin to every destination; raises `RoutingFailed`."""
        sources, targets = ([(row[0], row[1]) for row in places.tolist()] for places in (origins, destinations))
        rows = {source: self._row(vehicle, source) for source in sources}
        wanted = dict.fromkeys(targets)
        missing: dict[tuple[Place, ...], list[Place]] = {}
        for source, row in rows.items():
            if lacks := tuple(target for target in wanted if target not in row):
                missing.setdefault(lacks, []).append(source)
        blocks = [
            (some, others) for lacks, lacking in missing.items() for some in _parts(lacking) for others in _parts(lacks)
        ]
        until_s = time.monotonic() + ANSWER_MAX_S

        def ask(block: tuple[Sequence[Place], Sequence[Place]]) -> Block:
            if time.monotonic() > until_s:
                raise RoutingFailed("no answer in time for so many places")
            return self._ask(*block, vehicle)

        start_s = CROW_FLIES[vehicle][0]
        for (some, others), block in zip(blocks, self._threads.map(ask, blocks), strict=True):
            if [len(line) for line in block] != [len(others)] * len(some):
                raise RoutingFailed("the table has another shape than was asked for")
            for source, line in zip(some, block, strict=True):
                found = (UNREACHABLE_S if cell is None else round(cell + start_s) for cell in line)
                rows[source].update(zip(others, found, strict=True))
        table = [[rows[source][target] for target in targets] for source in sources]
        return np.array(table, np.int32).reshape(len(sources), len(targets))

    def _row(self, vehicle: Vehicle, source: Place) -> dict[Place, int]:
        """Return what is known from a place, and forget what is old."""
        now_s, key = time.monotonic(), (vehicle, source)
        born_s, row = self._kept.pop(key, (now_s, {}))
        if now_s - born_s > KEPT_S:
            born_s, row = now_s, {}
        self._kept[key] = born_s, row
        while len(self._kept) > ROWS_KEPT_MAX:
            self._kept.popitem(last=False)
        return row


def _parts(places: Sequence[Place]) -> list[Sequence[Place]]:
    return [places[start : start + BLOCK_PLACES] for start in range(0, len(places), BLOCK_PLACES)]
