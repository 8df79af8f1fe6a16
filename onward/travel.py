"""Travel times for the planner's process: a routing server's, the imported map's streets', or the straight line's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from geo.streets import StreetTimes
from geo.travel import CrowFlies, TravelTimes

SCHEMES: Final = ("osrm+http", "osrm+https", "valhalla+http", "valhalla+https")


@dataclass(frozen=True, slots=True)
class TravelFactory:
    """Picklable: the planner's process calls it once. `routing_url` comes before the map."""

    map_dir: Path | None
    routing_url: str = ""

    def __call__(self) -> TravelTimes:
        """Return the travel times."""
        if self.routing_url:
            return _server(self.routing_url)
        if self.map_dir is None:
            return CrowFlies()
        from onward.maps.store import load_map

        return StreetTimes(load_map(self.map_dir).graph)


def routing_url(text: str) -> str:
    """Return the URL of a routing server as it is set; raises `ValueError` in words."""
    if text and (urlsplit(text).scheme not in SCHEMES or not urlsplit(text).netloc):
        raise ValueError(f"write it as {' or '.join(f'{scheme}://host:port' for scheme in SCHEMES[::2])}")
    return text


def _server(url: str) -> TravelTimes:
    vendor, _, rest = url.partition("+")
    if vendor == "osrm":
        from onward.adapters.osrm import OsrmTimes

        return OsrmTimes(rest)
    from onward.adapters.valhalla import ValhallaTimes

    return ValhallaTimes(rest)
