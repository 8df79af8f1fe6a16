"""The roll call: who has no work and says nothing is woken, then taken off line; who speaks again is back.

It compares positions every few seconds, so a fix costs nothing on its way, and it is one for every way in: a socket,
HTTP, somebody else's app. A phone that greets is back at once (`desk`). Who carries work is the lookout's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from dispatch import shifts
from kernel import keys
from kernel.clock import Clock, JumpWatch, from_ms, to_ms
from kernel.db import Database, Reason, Record
from kernel.log import get_logger
from kernel.redis import Redis
from tracking.fix import Position
from tracking.live import LivePositions
from tracking.ports import WakeUp
from tracking.presence import Ears

WOKEN_AFTER: Final = timedelta(minutes=2)
OFF_AFTER: Final = timedelta(minutes=5)
WOKEN_KEPT_S: Final = 3_600

_ON_THE_ROLL: Final = """
SELECT id, state_since, silent_since FROM driver_profiles
WHERE operator_id = $1 AND (state = 'available' OR silent_since IS NOT NULL) ORDER BY id
"""

log = get_logger(__name__)


class RollCall:
    """Calls every operator's drivers who have no work."""

    def __init__(
        self,
        db: Database,
        redis: Redis,
        live: LivePositions,
        wake_up: WakeUp,
        clock: Clock,
        *,
        jumps: JumpWatch | None = None,
    ) -> None:
        self._db = db
        self._redis = redis
        self._live = live
        self._wake_up = wake_up
        self._clock = clock
        self._ears = Ears(clock, jumps)
        self._fixes: dict[UUID, int] = {}
        """When each silenced driver's newest fix came, as last seen: a new one differs, also once the clock was set."""

    async def look(self) -> None:
        """Call everybody once; two processes that do so at the same time harm nothing."""
        now = self._ears.listen()
        async with self._db.platform_tx(Reason.DRIVER_PRESENCE, readonly=True) as con:
            operators = [row["id"] for row in await con.fetch("SELECT id FROM operators ORDER BY id")]
        silenced: set[UUID] = set()
        fresh_ms = range(to_ms(now - WOKEN_AFTER), to_ms(now))
        for operator_id in operators:
            async with self._db.platform_tx(Reason.DRIVER_PRESENCE, readonly=True) as con:
                rows = await con.fetch(_ON_THE_ROLL, operator_id)
            seen = await self._live.positions(operator_id, [row["id"] for row in rows])
            for row in rows:
                position = seen.get(row["id"])
                if row["silent_since"] is not None:
                    await self._look_for(row, position, now)
                    silenced.add(row["id"])
                elif position is not None and position.received_ms in fresh_ms:
                    continue  # as with nearly everybody
                elif now - (heard_at := self._ears.heard_at(now, position, row["state_since"])) > WOKEN_AFTER:
                    await self._call(row, position, heard_at, now)
        for driver_id in self._fixes.keys() - silenced:
            del self._fixes[driver_id]
        self._ears.listened()

    async def _call(self, row: Record, position: Position | None, heard_at: datetime, now: datetime) -> None:
        """Wake a driver who is quiet, once each time, whoever leads; take off who stays so."""
        driver_id = row["id"]
        spoke_ms = max(to_ms(row["state_since"]), 0 if position is None else position.received_ms)
        woken = await self._redis.set(keys.woken(driver_id), spoke_ms, ex=WOKEN_KEPT_S, get=True)
        if woken != str(spoke_ms).encode():
            await self._wake_up.wake(driver_id, "silent")
        if now - heard_at > OFF_AFTER:
            async with self._db.platform_tx(Reason.DRIVER_PRESENCE) as con:
                gone = await shifts.fall_silent(
                    con, driver_id=driver_id, since=row["state_since"], heard_at=heard_at, at=self._clock.now()
                )
            if gone:
                log.info("driver_silent", driver=driver_id.hex, heard_at=heard_at.isoformat())

    async def _look_for(self, row: Record, position: Position | None, now: datetime) -> None:
        """Bring a silenced driver back when a fix has come since; after too long he is one who left himself."""
        fix_ms = 0 if position is None else position.received_ms
        known_ms = self._fixes.setdefault(row["id"], fix_ms)
        spoke = position is not None and (fix_ms != known_ms or from_ms(fix_ms) > row["silent_since"])
        if spoke or now - row["silent_since"] > shifts.BACK_WITHIN:
            async with self._db.platform_tx(Reason.DRIVER_PRESENCE) as con:
                await shifts.come_back(con, row["id"], self._clock.now())
