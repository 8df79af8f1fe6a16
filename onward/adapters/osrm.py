"""Travel times of an OSRM server (`osrm-routed`, API v1).

It serves one vehicle a data set. `{profile}` in the URL becomes `car`, `bike` or `foot`, for a server of each; without
it every vehicle gets the one data set's times, and what was learned of each makes the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from geo.point import Floats
from geo.travel import Seconds, Vehicle
from onward.adapters.tables import Block, Place, RoutingFailed, RoutingServer, Tables

PROFILES: Final[dict[Vehicle, str]] = {
    Vehicle.CAR: "car",
    Vehicle.SCOOTER: "car",
    Vehicle.BICYCLE: "bike",
    Vehicle.FOOT: "foot",
}


class _Table(msgspec.Struct):
    durations: Block


class OsrmTimes:
    """The table service of OSRM."""

    source = "osrm"

    def __init__(self, url: str) -> None:
        self._server = RoutingServer(url)
        self._tables = Tables(self._block)

    def seconds(self, origins: Floats, destinations: Floats, vehicle: Vehicle) -> Seconds:
        """Return whole seconds from every origin to every destination; raises `RoutingFailed`."""
        return self._tables.seconds(origins, destinations, vehicle)

    def _block(self, origins: Sequence[Place], destinations: Sequence[Place], vehicle: Vehicle) -> Block:
        profile = PROFILES[vehicle]
        places = ";".join(f"{lng:.6f},{lat:.6f}" for lat, lng in (*origins, *destinations))
        numbers = [str(number) for number in range(len(origins) + len(destinations))]
        sources, targets = ";".join(numbers[: len(origins)]), ";".join(numbers[len(origins) :])
        url = self._server.url.replace("{profile}", profile)
        body = self._server.get(
            f"{url}/table/v1/{profile}/{places}?annotations=duration&sources={sources}&destinations={targets}"
        )
        try:
            return msgspec.json.decode(body, type=_Table).durations
        except msgspec.DecodeError as error:
            raise RoutingFailed(f"{self._server.url}: {error}") from None
