"""What each operator asks of its vehicles' fixes: kept in the database, remembered here, looked up on the hot path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from geo.travel import Vehicle
from kernel import db as database
from kernel.db import Connection, Database, Reason
from tracking.filters import DEFAULTS, FilterLimits

UNKNOWN: Final = DEFAULTS[Vehicle.CAR]
Kept = dict[str, dict[str, Any]]
"""Vehicle → the fields that differ from the shipped limits, as they are stored."""


def limits_of(kept: Kept) -> dict[Vehicle, FilterLimits]:
    """Return every vehicle's whole limits."""
    return {
        vehicle: msgspec.convert({**msgspec.to_builtins(shipped), **kept.get(vehicle, {})}, FilterLimits)
        for vehicle, shipped in DEFAULTS.items()
    }


def differing(limits: Mapping[Vehicle, FilterLimits]) -> Kept:
    """Return what is to be kept of limits: what the shipped ones do not say."""
    found: Kept = {}
    for vehicle, own in limits.items():
        shipped = msgspec.to_builtins(DEFAULTS[vehicle])
        changed = {name: value for name, value in msgspec.to_builtins(own).items() if value != shipped[name]}
        if changed:
            found[vehicle.value] = changed
    return found


class Filters:
    """The limits of all drivers this process has met; a timer refreshes them."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._operators: dict[UUID, dict[Vehicle, FilterLimits]] = {}
        self._vehicles: dict[UUID, Vehicle] = {}

    def limits(self, operator_id: UUID, driver_id: UUID) -> FilterLimits:
        """Return what is asked of a driver's fixes; of one not met what is asked of a car."""
        vehicle, operator = self._vehicles.get(driver_id), self._operators.get(operator_id)
        return UNKNOWN if vehicle is None or operator is None else operator[vehicle]

    async def meet(self, operator_id: UUID, driver_id: UUID) -> None:
        """Learn a driver's vehicle and his operator's limits, once; no fix waits for a database that is away."""
        if driver_id in self._vehicles and operator_id in self._operators:
            return
        try:
            async with self._db.platform_tx(Reason.DRIVER_PRESENCE, readonly=True) as con:
                await self._learn(con, [operator_id], [driver_id])
        except database.AWAY:
            return

    async def refresh(self) -> None:
        """Learn anew what may have changed."""
        if self._operators:
            async with self._db.platform_tx(Reason.DRIVER_PRESENCE, readonly=True) as con:
                await self._learn(con, list(self._operators), list(self._vehicles))

    async def _learn(self, con: Connection, operator_ids: list[UUID], driver_ids: list[UUID]) -> None:
        operators = await con.fetch("SELECT id, fix_filters FROM operators WHERE id = ANY($1)", operator_ids)
        drivers = await con.fetch("SELECT id, vehicle FROM driver_profiles WHERE id = ANY($1)", driver_ids)
        self._operators |= {row["id"]: limits_of(row["fix_filters"]) for row in operators}
        self._vehicles |= {row["id"]: Vehicle(row["vehicle"]) for row in drivers}
