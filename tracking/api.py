"""Tracking over HTTP: fixes for clients with no socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from kernel.access import Permission
from kernel.errors import Problem, invalid
from kernel.http import Ctx, Rate, Route
from tracking.ingest import Ingest, Overloaded
from tracking.wire import FIXES_PER_FRAME_MAX, ShortText, WireFix

DURABLE_WAIT_MAX_S: Final = 20.0
HTTP_DEVICE: Final = "http"


class LocationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reading (`t`, `lat`, `lng`, …) or a batch (`fixes`). Sending a batch again changes nothing twice."""

    fixes: Annotated[list[WireFix], Meta(max_length=FIXES_PER_FRAME_MAX)] = []
    t: int | None = None
    lat: float | None = None
    lng: float | None = None
    acc: float | None = None
    spd: float | None = None
    hdg: float | None = None
    alt: float | None = None
    bat: float | None = None
    src: ShortText | None = None

    def readings(self) -> list[WireFix]:
        """Return the fixes in either form."""
        if self.fixes:
            return self.fixes
        if self.t is None or self.lat is None or self.lng is None:
            raise invalid("fixes", "Send one fix with t, lat and lng, or a list of fixes.")
        return [WireFix(self.t, self.lat, self.lng, self.acc, self.spd, self.hdg, self.alt, self.bat, self.src)]


class LocationReceipt(msgspec.Struct, frozen=True):
    """How many fixes are durable, and how many were rejected for what."""

    accepted: int
    rejected: dict[str, int]


async def post_location(ctx: Ctx, body: LocationBody) -> LocationReceipt:
    """Report where the driver is: one fix or a batch; answered when durable"""
    fixes = body.readings()
    rejected = await keep(ctx.need(Ingest), ctx.principal.operator(), ctx.principal.driver(), HTTP_DEVICE, fixes)
    return LocationReceipt(len(fixes) - sum(rejected.values()), dict(rejected))


async def keep(
    ingest: Ingest, operator_id: UUID, driver_id: UUID, device_id: str, fixes: Sequence[WireFix]
) -> Mapping[str, int]:
    """Return how many fixes were rejected for what, once the others are durable; raises `unavailable`."""
    source = await ingest.meet(operator_id, driver_id, device_id)
    written: asyncio.Future[Mapping[str, int]] = asyncio.get_running_loop().create_future()

    def durable(_seq: int, rejected: Mapping[str, int]) -> None:
        if not written.done():
            written.set_result(rejected)

    try:
        ingest.add(source, 0, fixes, durable)
        async with asyncio.timeout(DURABLE_WAIT_MAX_S):
            return await written
    except (Overloaded, TimeoutError):
        raise Problem("unavailable", "The fixes are not safe yet: send them again.", retry_after_s=2) from None


ROUTES = (Route("POST", "/api/v1/driver/location", post_location, Permission.DRIVE, Rate.LOCATION),)
