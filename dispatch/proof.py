"""Proof pictures, photos and signatures: checked, stripped of everything but the picture, kept under their hash."""

from __future__ import annotations

import asyncio
import hashlib
import io
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from PIL import Image, ImageOps

from dispatch import service
from dispatch.handover import Picture
from kernel.db import Connection, act_for
from kernel.errors import Problem
from kernel.ids import new_id

PHOTO_BYTES_MAX: Final = 8 * 1024 * 1024
PIXELS_MAX: Final = 40_000_000
SIDE_MAX_PX: Final = 1600
JPEG_QUALITY: Final = 82
FORMATS: Final = ("JPEG", "PNG", "WEBP")


class Photo(msgspec.Struct, frozen=True):
    """A picture as it is kept."""

    jpeg: bytes
    sha256: bytes


class ProofStore:
    """Where photos lie: any object store that `obstore` speaks to."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def put(self, path: str, photo: Photo) -> None:
        """Keep a photo."""
        import obstore

        await obstore.put_async(self._store, path, photo.jpeg)

    async def get(self, path: str) -> bytes:
        """Return a photo's bytes."""
        import obstore

        found = await obstore.get_async(self._store, path)
        return bytes(await found.bytes_async())


async def read_photo(data: bytes) -> Photo:
    """Return a picture without its metadata, in a bounded size; raises `bad_image` or `body_too_large`."""
    if len(data) > PHOTO_BYTES_MAX:
        raise Problem("body_too_large", f"A photo has at most {PHOTO_BYTES_MAX // 2**20} MB.")
    return await asyncio.to_thread(_encode, data)


def _encode(data: bytes) -> Photo:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            if picture.width * picture.height > PIXELS_MAX:
                raise Problem("bad_image", "The picture has too many pixels.")
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Problem("bad_image", f"Send a JPEG, PNG or WebP picture ({error}).") from None
    upright.thumbnail((SIDE_MAX_PX, SIDE_MAX_PX))
    out = io.BytesIO()
    upright.save(out, "JPEG", quality=JPEG_QUALITY)
    return Photo(out.getvalue(), hashlib.sha256(out.getvalue()).digest())


def path_of(business_id: UUID, delivery_id: UUID, photo: Photo) -> str:
    """Return where a photo lies: below its business, so that a business can be erased as one."""
    return f"proofs/{business_id.hex}/{delivery_id.hex}/{photo.sha256.hex()}.jpg"


def check_taken_now(status: str) -> None:
    """Raise `illegal_transition` when a delivery has no proof in this status."""
    if status not in ("picked_up", "en_route_to_dropoff", "arrived_at_dropoff", "delivered"):
        raise Problem("illegal_transition", "A proof is taken between pickup and drop-off.")


async def keep(
    con: Connection,
    *,
    driver_id: UUID,
    delivery_id: UUID,
    photo: Photo,
    kind: Picture,
    at: datetime,
    lat: float | None,
    lng: float | None,
) -> UUID:
    """Write a photo's row; the same photo again is the same proof. In a driver's transaction."""
    row = await service.lock(con, delivery_id)
    await act_for(con, row["business_id"])
    check_taken_now(row["status"])
    proof_id: UUID = await con.fetchval(
        """INSERT INTO proofs (id, business_id, delivery_id, driver_id, kind, path, sha256, bytes, lat, lng, taken_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
           ON CONFLICT (business_id, delivery_id, sha256) DO UPDATE SET sha256 = excluded.sha256 RETURNING id""",
        new_id(),
        row["business_id"],
        delivery_id,
        driver_id,
        kind,
        path_of(row["business_id"], delivery_id, photo),
        photo.sha256,
        len(photo.jpeg),
        lat,
        lng,
        at,
    )
    return proof_id
