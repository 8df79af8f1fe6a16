"""Travel times of a Valhalla server: one set of tiles for every vehicle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from geo.point import Floats
from geo.travel import Seconds, Vehicle
from onward.adapters.tables import Block, Place, RoutingFailed, RoutingServer, Tables

COSTINGS: Final[dict[Vehicle, str]] = {
    Vehicle.CAR: "auto",
    Vehicle.SCOOTER: "motor_scooter",
    Vehicle.BICYCLE: "bicycle",
    Vehicle.FOOT: "pedestrian",
}


class _Cell(msgspec.Struct):
    time: float | None


class _Matrix(msgspec.Struct):
    sources_to_targets: list[list[_Cell]]


class ValhallaTimes:
    """The matrix service of Valhalla."""

    source = "valhalla"

    def __init__(self, url: str) -> None:
        self._server = RoutingServer(url)
        self._tables = Tables(self._block)

    def seconds(self, origins: Floats, destinations: Floats, vehicle: Vehicle) -> Seconds:
        """Return whole seconds from every origin to every destination; raises `RoutingFailed`."""
        return self._tables.seconds(origins, destinations, vehicle)

    def _block(self, origins: Sequence[Place], destinations: Sequence[Place], vehicle: Vehicle) -> Block:
        sources, targets = ([{"lat": lat, "lon": lng} for lat, lng in places] for places in (origins, destinations))
        asked = {"sources": sources, "targets": targets, "costing": COSTINGS[vehicle]}
        body = self._server.post(f"{self._server.url}/sources_to_targets", asked)
        try:
            matrix = msgspec.json.decode(body, type=_Matrix)
        except msgspec.DecodeError as error:
            raise RoutingFailed(f"{self._server.url}: {error}") from None
        return [[cell.time for cell in line] for line in matrix.sources_to_targets]
