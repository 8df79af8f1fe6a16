"""What each operator asks of its vehicles' fixes: kept in the database, remembered here, looked up on the hot path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from geo.travel import Vehicle
from kernel import db as database
from kernel.db import Database, Reason
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
        self._limits: dict[bytes, FilterLimits] = {}
        """By the 16 bytes of a driver's id."""

    def limits(self, driver: bytes) -> FilterLimits:
        """Return what is asked of a driver's fixes; of one not met what is asked of a car."""
        return self._limits.get(driver, UNKNOWN)

    async def meet(self, driver: bytes) -> None:
        """Learn a driver's vehicle and his operator's limits, once; no fix waits for a database that is away."""
        if driver in self._limits:
            return
        try:
            await self._learn(driver)
        except database.AWAY:
            return

    async def refresh(self) -> None:
        """Learn anew what may have changed."""
        if self._limits:
            await self._learn(*self._limits)

    async def _learn(self, *drivers: bytes) -> None:
        async with self._db.platform_tx(Reason.DRIVER_PRESENCE, readonly=True) as con:
            ids = [UUID(bytes=driver) for driver in drivers]
            met = await con.fetch("SELECT id, vehicle, operator_id FROM driver_profiles WHERE id = ANY($1)", ids)
            theirs = {row["operator_id"] for row in met}
            kept = await con.fetch("SELECT id, fix_filters FROM operators WHERE id = ANY($1)", list(theirs))
        operators = {row["id"]: limits_of(row["fix_filters"]) for row in kept}
        self._limits |= {row["id"].bytes: operators[row["operator_id"]][Vehicle(row["vehicle"])] for row in met}
