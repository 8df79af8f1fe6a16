"""Live positions: the newest fix of every driver, and who is near.

The index of places has a key a minute, which expires: who says nothing for two minutes is in none that is searched.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Final
from uuid import UUID

from geo.point import Point
from kernel import keys
from kernel.redis import Redis
from tracking.fix import Position, unpack_position

STALE_AFTER_MS: Final = 60_000
RADIUS_STEPS_M: Final = (500, 1_500, 5_000, 20_000)
MINUTE_MS: Final = 60_000
INDEXED_S: Final = 180
"""How long a minute's index is kept after it was last written: it is searched until the next minute is over."""


class LivePositions:
    """Reads what ingest writes."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def positions(self, operator_id: UUID, driver_ids: Sequence[UUID] | None = None) -> dict[UUID, Position]:
        """Return the newest position of some drivers, or of all."""
        key = keys.positions(operator_id)
        if driver_ids is None:
            found = await self._redis.hgetall(key)
        elif driver_ids:
            values = await self._redis.hmget(key, [driver.bytes for driver in driver_ids])
            found = dict(zip((d.bytes for d in driver_ids), values, strict=True))
        else:
            found = {}
        ids = ((UUID(bytes=field), packed) for field, packed in found.items() if packed is not None)
        return {driver: unpack_position(driver, packed) for driver, packed in ids}

    async def nearest(
        self,
        operator_id: UUID,
        places: Sequence[Point],
        *,
        count: int,
        now_ms: int,
        radius_steps_m: Sequence[int] = RADIUS_STEPS_M,
    ) -> list[list[tuple[UUID, float]]]:
        """Return for each place up to `count` drivers heard in this minute or the one before, nearest first, with their
        straight metres.

        The circle starts small and widens only for places that found too few: the index pays per member in the circle.
        Who was heard in both minutes counts where he was in this one, unless he has left the circle since.
        """
        minute = now_ms // MINUTE_MS
        keys_searched = (keys.geo_index(operator_id, minute - 1), keys.geo_index(operator_id, minute))
        found: list[list[tuple[UUID, float]]] = [[] for _ in places]
        open_places = list(range(len(places)))
        for radius_m in radius_steps_m:
            if not open_places:
                break
            pipe = self._redis.pipeline(transaction=False)
            for i in open_places:
                for key in keys_searched:
                    pipe.geosearch(
                        key,
                        longitude=places[i].lng,
                        latitude=places[i].lat,
                        radius=radius_m,
                        unit="m",
                        sort="ASC",
                        count=count,
                        withdist=True,
                    )
            answers = iter(await pipe.execute())
            for i in open_places:
                near = dict(next(answers)) | dict(next(answers))
                nearest = sorted(near.items(), key=itemgetter(1))[:count]
                found[i] = [(UUID(hex=member.decode()), float(meters)) for member, meters in nearest]
            open_places = [i for i in open_places if len(found[i]) < count]
        return found
