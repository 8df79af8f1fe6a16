"""Passwords are kept as Argon2id; hashing runs beside the event loop, a few at a time: logins can't stall it."""

from __future__ import annotations

import asyncio
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

PASSWORD_LENGTH_MIN: Final = 8
PASSWORD_LENGTH_MAX: Final = 200
HASHES_AT_ONCE: Final = 2

_hasher = PasswordHasher()
_slots = asyncio.Semaphore(HASHES_AT_ONCE)
_NOBODY: Final = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$wgHnVtSeU5EbEJiLjGK+jn8VJhTWKpCqRkvPMR/1PF4"


async def hash_password(password: str) -> str:
    """Return the Argon2id hash of a password."""
    async with _slots:
        return await asyncio.to_thread(_hasher.hash, password)


async def verify_password(kept: str | None, password: str) -> bool:
    """Say whether the password is right; with nobody to compare it takes as long, to not tell who exists."""
    async with _slots:
        return await asyncio.to_thread(_verify, kept or _NOBODY, password) and kept is not None


def _verify(kept: str, password: str) -> bool:
    try:
        return _hasher.verify(kept, password)
    except VerificationError:
        return False
