"""Keys of the apps people have already: one per driver and phone, shown once, kept hashed, gone when revoked."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec
import segno

from kernel.db import Connection, Database, Reason, Record, one
from kernel.errors import Problem
from kernel.ids import new_id
from tenancy.tokens import token_hash

DEVICES_MAX: Final = 10
KEY_BYTES: Final = 18
SEEN_STEP: Final = timedelta(minutes=1)
HTTP_MODE: Final = 3
MOVE_MODE: Final = 2
PERIOD_S: Final = 5
MOVED_M: Final = 10


class Device(msgspec.Struct, frozen=True):
    """Whose phone a key belongs to."""

    id: UUID
    driver_id: UUID
    operator_id: UUID


class Setup(msgspec.Struct, frozen=True):
    """What sets an app up: its own kind of link, and the same as a QR code (an SVG as a data URI)."""

    app: str
    link: str
    qr: str


def new_key() -> str:
    """Return a fresh key (144 random bits), short enough to be typed from a screen."""
    return secrets.token_urlsafe(KEY_BYTES)


async def listed(con: Connection, driver_id: UUID) -> list[Record]:
    """Return a driver's devices, newest first, as far as the transaction sees them."""
    return list(await con.fetch("SELECT * FROM driver_devices WHERE driver_id = $1 ORDER BY id DESC", driver_id))


async def add(con: Connection, *, driver_id: UUID, label: str, key: str, at: datetime) -> Record:
    """Let a phone in; raises `conflict` when the driver has as many as he may."""
    open_now = await con.fetchval(
        "SELECT count(*) FROM driver_devices WHERE driver_id = $1 AND revoked_at IS NULL", driver_id
    )
    if open_now >= DEVICES_MAX:
        raise Problem("conflict", f"A driver has at most {DEVICES_MAX} devices: take one away first.")
    made = await con.fetchrow(
        """INSERT INTO driver_devices (id, driver_id, key_hash, label, hint, created_at)
           VALUES ($1, $2, $3, $4, $5, $6) RETURNING *""",
        new_id(),
        driver_id,
        token_hash(key),
        label,
        f"…{key[-4:]}",
        at,
    )
    return one(made, "device")


async def revoke(con: Connection, *, driver_id: UUID, device_id: UUID, at: datetime) -> None:
    """Let a phone in no more; again is fine. Raises `not_found`."""
    one(
        await con.fetchrow(
            """UPDATE driver_devices SET revoked_at = coalesce(revoked_at, $3)
               WHERE driver_id = $1 AND id = $2 RETURNING id""",
            driver_id,
            device_id,
            at,
        ),
        "device",
    )


async def holder(db: Database, key: str, now: datetime) -> Device | None:
    """Return whose key this is, and note that it was seen; None for one that is unknown or revoked.

    Found by the hash of a key of full entropy, so the time it takes tells nothing about any key.
    """
    async with db.platform_tx(Reason.AUTHENTICATE) as con:
        row = await con.fetchrow(
            """SELECT v.id, v.driver_id, v.seen_at, d.operator_id
               FROM driver_devices v JOIN driver_profiles d ON d.id = v.driver_id
               WHERE v.key_hash = $1 AND v.revoked_at IS NULL""",
            token_hash(key),
        )
        if row is None:
            return None
        if row["seen_at"] is None or row["seen_at"] < now - SEEN_STEP:
            await con.execute("UPDATE driver_devices SET seen_at = $2 WHERE id = $1", row["id"], now)
    return Device(row["id"], row["driver_id"], row["operator_id"])


def setups(base_url: str, key: str, label: str) -> list[Setup]:
    """Return what each app scans to be set up."""
    osmand, owntracks = f"{base_url}/ingest/osmand", f"{base_url}/ingest/owntracks"
    query = {"id": key, "url": osmand, "accuracy": "high", "interval": PERIOD_S, "distance": MOVED_M, "buffer": "true"}
    configuration = {
        "_type": "configuration",
        "mode": HTTP_MODE,
        "url": owntracks,
        "auth": True,
        "username": label,
        "password": key,
        "deviceId": label,
        "monitoring": MOVE_MODE,
        "moveModeLocatorInterval": PERIOD_S,
        "locatorInterval": PERIOD_S,
        "locatorDisplacement": MOVED_M,
    }
    inline = urlencode({"inline": base64.b64encode(msgspec.json.encode(configuration)).decode()})
    links = {"traccar": f"{osmand}?{urlencode(query)}", "owntracks": f"owntracks:///config?{inline}"}
    return [Setup(app, link, _qr(link)) for app, link in links.items()]


def _qr(link: str) -> str:
    """Return a QR code dark on light in any theme, for that is what cameras read."""
    return segno.make(link, error="m", micro=False).svg_data_uri(scale=4, border=4, dark="#000", light="#fff")
