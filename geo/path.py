"""Moving along a path: a line of places, walked metre by metre."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from geo.distance import meters_between
from geo.point import Point


def length_m(path: Sequence[Point]) -> float:
    """Return a path's length in metres."""
    return sum(meters_between(a, b) for a, b in pairwise(path))


class Walk:
    """A position on a path that only moves forward."""

    __slots__ = ("_next", "_path", "at")

    def __init__(self, path: Sequence[Point]) -> None:
        if not path:
            raise ValueError("a path has at least one place")
        self._path = path
        self._next = 1
        self.at = path[0]

    @property
    def done(self) -> bool:
        """Say whether the end is reached."""
        return self._next >= len(self._path)

    def advance(self, meters: float) -> Point:
        """Move on by some metres, at most to the end; return where that is."""
        while meters > 0 and not self.done:
            target = self._path[self._next]
            step_m = meters_between(self.at, target)
            if step_m > meters:
                share = meters / step_m
                self.at = Point(
                    self.at.lat + share * (target.lat - self.at.lat), self.at.lng + share * (target.lng - self.at.lng)
                )
                return self.at
            meters -= step_m
            self.at = target
            self._next += 1
        return self.at
