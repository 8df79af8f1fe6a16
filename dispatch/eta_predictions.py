"""Estimates written down, to be compared with what became of them: a few a delivery, not every tick."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from geo.eta import Eta, Leg
from kernel.db import Connection, Record

EVERY_S: Final = 300

_INSERT: Final = """
INSERT INTO eta_predictions (business_id, delivery_id, phase, slot, operator_id, driver_id, at, source, model_version,
  inputs, estimate_s, p50_s, p90_s)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING
"""


class Prediction(msgspec.Struct, frozen=True):
    """One estimate of a door's arrival: before (`estimate_s`) and after past errors corrected it, with its legs."""

    business_id: UUID
    delivery_id: UUID
    phase: str
    slot: int
    operator_id: UUID
    driver_id: UUID
    at: datetime
    source: str
    model_version: int
    legs: Sequence[Leg]
    estimate_s: int
    p50_s: int
    p90_s: int

    @classmethod
    def of(
        cls,
        row: Record,
        phase: str,
        at: datetime,
        source: str,
        model_version: int,
        legs: Sequence[Leg],
        estimate_s: int,
        told: Eta,
    ) -> Prediction:
        """Return the estimate of a delivery's row."""
        return cls(
            business_id=row["business_id"],
            delivery_id=row["id"],
            phase=phase,
            slot=_slot(at),
            operator_id=row["operator_id"],
            driver_id=row["driver_id"],
            at=at,
            source=source,
            model_version=model_version,
            legs=legs,
            estimate_s=estimate_s,
            p50_s=told.p50_s,
            p90_s=told.p90_s,
        )


class Notebook:
    """Knows what this process wrote down; what another one did, the database refuses."""

    def __init__(self) -> None:
        self._last: dict[UUID, tuple[str, int]] = {}

    def wants(self, delivery_id: UUID, phase: str, at: datetime) -> bool:
        """Say whether it is time to write one down."""
        return self._last.get(delivery_id) != (phase, _slot(at))

    async def write(self, con: Connection, predictions: Sequence[Prediction]) -> None:
        """Write them down. Platform path."""
        if predictions:
            rows = [msgspec.structs.astuple(one) for one in predictions]
            await con.executemany(_INSERT, rows)
            self._last.update({one.delivery_id: (one.phase, one.slot) for one in predictions})

    def forget_all_but(self, delivery_ids: Set[UUID]) -> None:
        """Keep only what concerns these deliveries."""
        self._last = {delivery: last for delivery, last in self._last.items() if delivery in delivery_ids}


def _slot(at: datetime) -> int:
    return int(at.timestamp()) // EVERY_S
