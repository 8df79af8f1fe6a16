"""Tokens: sessions and API keys are random and kept hashed; a tracking link is signed and kept nowhere.

A tracking token says which delivery of which business, and carries an HMAC-SHA256 under the installation's secret.
It goes into the fragment of a link (`/track/#…`), which browsers do not send to servers or write into referrers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from uuid import UUID

from kernel.errors import Problem

SESSION_PREFIX: Final = "ses_"
API_KEY_PREFIX: Final = "sk_live_"
TRACKING_PREFIX: Final = "trk_"
SESSION_TTL_S: Final = 30 * 24 * 3600
MAC_BYTES: Final = 16
ID_BYTES: Final = 16


def new_session_token() -> str:
    """Return a fresh session token (256 random bits)."""
    return SESSION_PREFIX + secrets.token_urlsafe(32)


def new_api_key() -> str:
    """Return a fresh API key (256 random bits)."""
    return API_KEY_PREFIX + secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """Return what is kept of a token: its SHA-256 (it has full entropy, so no salt or stretching is needed)."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class TrackingLinks:
    """Makes and reads tracking links under the installation's secret."""

    secret: bytes
    public_url: str = ""
    """How people reach this server, when the operator says so."""

    def token(self, business_id: UUID, delivery_id: UUID) -> str:
        """Return the tracking token of one delivery."""
        return _token(self.secret, business_id.bytes + delivery_id.bytes)

    def path(self, business_id: UUID, delivery_id: UUID) -> str:
        """Return the path of the customer's tracking page, for our own pages."""
        return f"/track/#{self.token(business_id, delivery_id)}"

    def url(self, origin: str, business_id: UUID, delivery_id: UUID) -> str:
        """Return the whole URL of the customer's tracking page; `origin` is where the caller reached this server."""
        return f"{self.public_url.rstrip('/') or origin}{self.path(business_id, delivery_id)}"

    def read(self, token: str) -> tuple[UUID, UUID]:
        """Return (business id, delivery id), or raise `unauthenticated`."""
        text = token.removeprefix(TRACKING_PREFIX)
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        payload, mac = raw[: 2 * ID_BYTES], raw[2 * ID_BYTES :]
        if len(raw) != 2 * ID_BYTES + MAC_BYTES or not hmac.compare_digest(mac, _mac(self.secret, payload)):
            raise Problem("unauthenticated", "This tracking link is not valid.")
        return UUID(bytes=payload[:ID_BYTES]), UUID(bytes=payload[ID_BYTES:])


@lru_cache(maxsize=4096)
def _token(secret: bytes, payload: bytes) -> str:
    """Return a token, kept for a while: a board shows the links of all its deliveries each time it is asked for."""
    return TRACKING_PREFIX + base64.urlsafe_b64encode(payload + _mac(secret, payload)).decode().rstrip("=")


def _mac(secret: bytes, payload: bytes) -> bytes:
    return hmac.digest(secret, b"onward tracking\0" + payload, "sha256")[:MAC_BYTES]
