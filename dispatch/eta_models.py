"""What was learned, as the database keeps it: one model an operator, read again when its version moved."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from dispatch.learning import Learned, local
from kernel.db import Connection


class Model(msgspec.Struct, frozen=True):
    """One operator's model; version 0 is what is shipped."""

    version: int
    learned: Learned
    time_zone: str

    def local(self, at: datetime) -> datetime:
        """Return an instant as the operator's clocks show it."""
        return local(at, self.time_zone)


class Models:
    """Remembers each operator's newest model."""

    def __init__(self) -> None:
        self._kept: dict[UUID, Model] = {}

    async def of(self, con: Connection, operator_id: UUID) -> Model:
        """Return an operator's model as of now. Platform path."""
        row = await con.fetchrow(
            """SELECT o.time_zone, coalesce(m.version, 0) AS version
               FROM operators o LEFT JOIN eta_models m ON m.operator_id = o.id WHERE o.id = $1""",
            operator_id,
        )
        assert row is not None
        kept = self._kept.get(operator_id)
        if kept is None or kept.version != row["version"]:
            text = await con.fetchval("SELECT learned::text FROM eta_models WHERE operator_id = $1", operator_id)
            learned = Learned() if text is None else msgspec.json.decode(text, type=Learned)
            kept = self._kept[operator_id] = Model(row["version"], learned, row["time_zone"])
        return kept


async def save(con: Connection, operator_id: UUID, learned: Learned, *, after: int, now: datetime) -> bool:
    """Keep what was learned on top of version `after`; False when another process was faster. Platform path."""
    saved = await con.fetchval(
        """INSERT INTO eta_models (operator_id, version, learned, updated_at) VALUES ($1, $2 + 1, $3, $4)
           ON CONFLICT (operator_id) DO UPDATE
             SET version = excluded.version, learned = excluded.learned, updated_at = excluded.updated_at
             WHERE eta_models.version = $2
           RETURNING 1""",
        operator_id,
        after,
        msgspec.to_builtins(learned, str_keys=True),
        now,
    )
    return saved is not None
