"""Travel times for the planner's process: the imported map's streets when there is one, the straight line otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geo.streets import StreetTimes
from geo.travel import CrowFlies, TravelTimes


@dataclass(frozen=True, slots=True)
class TravelFactory:
    """Picklable: the planner's process calls it once."""

    map_dir: Path | None

    def __call__(self) -> TravelTimes:
        """Return the travel times."""
        if self.map_dir is None:
            return CrowFlies()
        from onward.maps.store import load_map

        return StreetTimes(load_map(self.map_dir).graph)
