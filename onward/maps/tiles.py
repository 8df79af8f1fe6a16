"""Vector tiles out of one PMTiles file; the most asked-for are kept in memory."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from pmtiles.reader import MmapSource, Reader

from onward.maps.store import FORMAT_VERSION, TILES_FILE, CityMap

TILES_KEPT: Final = 2_048


class TileSource:
    """Reads gzip'd MVT tiles."""

    def __init__(self, city: CityMap) -> None:
        self._file = (city.folder / TILES_FILE).open("rb")
        self._reader = Reader(MmapSource(self._file))
        self.tile = lru_cache(TILES_KEPT)(self._read)
        self.etag = f"{city.info.source_sha256[:16]}-{FORMAT_VERSION}"

    def _read(self, z: int, x: int, y: int) -> bytes | None:
        """Return a tile's gzip'd bytes; None where the map has nothing."""
        data: bytes | None = self._reader.get(z, x, y)
        return data or None
