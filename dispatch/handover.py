"""How a hand-over is shown: by a photo, a signature, the customer's PIN or the parcel's barcode, as its business asked.

A PIN has six digits: at the rate that a driver may try, guessing one takes longer than any delivery.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from kernel.db import Connection, Record
from kernel.errors import Problem, invalid
from kernel.ids import new_id

Picture = Literal["photo", "signature"]
Proof = Literal["photo", "signature", "pin", "barcode"]
PICTURES: Final = ("photo", "signature")
PIN_DIGITS: Final = 6
_ASKED: Final = {
    "photo": "Take the proof photo first (POST /api/v1/driver/deliveries/{id}/proof).",
    "signature": "Get the signature first (POST /api/v1/driver/deliveries/{id}/proof?kind=signature).",
}


def code_of(proof: Proof, barcode: str | None) -> str | None:
    """Return the code that the driver has to give: a new PIN, the barcode, or none; raises `validation_failed`."""
    if (proof == "barcode") != (barcode is not None):
        raise invalid("barcode", "Give it when `proof` is `barcode`, and only then.")
    return f"{secrets.randbelow(10**PIN_DIGITS):0{PIN_DIGITS}}" if proof == "pin" else barcode


async def check(con: Connection, row: Record, *, driver_id: UUID, code: str, at: datetime) -> None:
    """Let a delivery be handed over; raises `validation_failed` without its picture, and `wrong_code`.

    A right code is kept as a proof, by its hash. In a driver's transaction that acts for the business.
    """
    if row["proof"] in PICTURES:
        shown = "SELECT 1 FROM proofs WHERE delivery_id = $1 AND kind = $2 LIMIT 1"
        if not await con.fetchval(shown, row["id"], row["proof"]):
            raise invalid("proof", _ASKED[row["proof"]])
        return
    said = "".join(code.split()).encode()
    if not hmac.compare_digest(said, "".join(row["proof_code"].split()).encode()):
        raise Problem("wrong_code", "This is not the customer's PIN." if row["proof"] == "pin" else "Another parcel's.")
    await con.execute(
        """INSERT INTO proofs (id, business_id, delivery_id, driver_id, kind, sha256, bytes, taken_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING""",
        new_id(),
        row["business_id"],
        row["id"],
        driver_id,
        row["proof"],
        hashlib.sha256(said).digest(),
        len(said),
        at,
    )
