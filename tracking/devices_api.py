"""A driver's phone apps over HTTP: let one in, see when each was heard of, let it in no more."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from kernel import ids
from kernel.access import Permission
from kernel.db import Record
from kernel.http import Ctx, Rate, Route
from kernel.ids import Kind, show
from kernel.proxies import origin
from tenancy.tokens import TrackingLinks
from tracking import devices
from tracking.devices import Setup
from tracking.drivers import DriverPath, own_driver


class DevicePath(DriverPath, frozen=True):
    """Which device of which driver."""

    device_id: str


class NewDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name to tell phones apart."""

    label: Annotated[str, Meta(min_length=1, max_length=60)]


class DeviceView(msgspec.Struct, frozen=True):
    """A phone that is or was let in; `hint` is the end of its key."""

    id: str
    label: str
    hint: str
    created_at: datetime
    seen_at: datetime | None
    revoked_at: datetime | None


class Devices(msgspec.Struct, frozen=True):
    """A driver's devices, newest first."""

    data: list[DeviceView]


class DeviceKey(msgspec.Struct, frozen=True):
    """A new device and its key. The key and what holds it are shown once."""

    device: DeviceView
    key: str
    setups: list[Setup]


async def list_devices(ctx: Ctx, path: DriverPath) -> Devices:
    """Which phone apps report where a driver is?"""
    async with own_driver(ctx, path.driver_id()) as con:
        return Devices([_view(row) for row in await devices.listed(con, path.driver_id())])


async def add_device(ctx: Ctx, path: DriverPath, body: NewDevice) -> DeviceKey:
    """Connect a phone app (Traccar Client, OwnTracks): its key, shown once, also as QR codes that set the app up"""
    key = devices.new_key()
    async with own_driver(ctx, path.driver_id()) as con:
        row = await devices.add(con, driver_id=path.driver_id(), label=body.label, key=key, at=ctx.clock.now())
    base_url = ctx.need(TrackingLinks).public_url.rstrip("/") or origin(ctx.request)
    return DeviceKey(_view(row), key, devices.setups(base_url, key, body.label))


async def revoke_device(ctx: Ctx, path: DevicePath) -> None:
    """Let a phone app in no more"""
    device_id = ids.parse(Kind.DEVICE, path.device_id)
    async with own_driver(ctx, path.driver_id()) as con:
        await devices.revoke(con, driver_id=path.driver_id(), device_id=device_id, at=ctx.clock.now())


def _view(row: Record) -> DeviceView:
    return DeviceView(
        show(Kind.DEVICE, row["id"]), row["label"], row["hint"], row["created_at"], row["seen_at"], row["revoked_at"]
    )


ROUTES = (
    Route("GET", "/api/v1/drivers/{id}/devices", list_devices, Permission.DEVICES_WRITE, Rate.READ),
    Route("POST", "/api/v1/drivers/{id}/devices", add_device, Permission.DEVICES_WRITE, Rate.WRITE, 201),
    Route("DELETE", "/api/v1/drivers/{id}/devices/{device_id}", revoke_device, Permission.DEVICES_WRITE, Rate.WRITE),
)
