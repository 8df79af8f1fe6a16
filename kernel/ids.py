"""Ids: UUIDv7 inside, a prefix that names the kind outside (`del_0198c0f2…`), so an id says what it is in any log.

UUIDv7 (RFC 9562) sorts by creation time, which keeps indexes dense. The database stores plain `uuid`.
"""

from __future__ import annotations

import os
import time
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from kernel.errors import Problem

HEX_LENGTH: Final = 32


class Kind(StrEnum):
    """The prefixes of public ids."""

    OPERATOR = "opr"
    BUSINESS = "biz"
    STORE = "sto"
    USER = "usr"
    CUSTOMER = "cus"
    DRIVER = "drv"
    DEVICE = "dev"
    PRODUCT = "prd"
    CATEGORY = "cat"
    ORDER = "ord"
    DELIVERY = "del"
    STOP = "stp"
    OFFER = "off"
    QUOTE = "quo"
    PROOF = "prf"
    DECISION = "dec"
    PAUSE = "pau"
    EARNING = "ern"
    EVENT = "evt"
    ALERT = "alr"
    ROUTE_PLAN = "rpl"
    MESSAGE = "msg"
    MOVE = "mov"
    API_KEY = "key"


def new_id() -> UUID:
    """Return a fresh UUIDv7: 48 bits of Unix milliseconds, then 74 random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def earliest(at: datetime) -> UUID:
    """Return the least id that `new_id` could have made at this time: ids from there on are no older."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def show(kind: Kind, value: UUID) -> str:
    """Return the public form of an id."""
    return f"{kind}_{value.hex}"


def show_or_none(kind: Kind, value: UUID | None) -> str | None:
    """Return the public form of an id that may be absent."""
    return None if value is None else show(kind, value)


def parse(kind: Kind, text: str) -> UUID:
    """Return the UUID behind a public id.

    Raises `Problem("not_found")`: a malformed id names nothing, and says no more than that.
    """
    prefix, _, tail = text.partition("_")
    if prefix == kind and len(tail) == HEX_LENGTH:
        try:
            return UUID(hex=tail)
        except ValueError:
            pass
    raise Problem("not_found", f"There is no {kind.name.lower()} with this id.")
