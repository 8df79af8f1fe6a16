"""Waking phones: a signed word to a server of yours that knows how (FCM, APNs, ntfy), or to nobody.

The signature is an HMAC-SHA256 over `<timestamp>.<body>`, under a key derived from the installation's secret: who
checks it can't make tracking links.
"""

from __future__ import annotations

import asyncio
import hmac
from typing import Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import msgspec

from kernel import metrics
from kernel.clock import Clock
from kernel.ids import Kind, show
from kernel.log import get_logger

TIMESTAMP: Final = "Onward-Timestamp"
SIGNATURE: Final = "Onward-Signature"
KEY_OF: Final = b"onward wake-up"
AT_ONCE_MAX: Final = 8
WAITING_MAX: Final = 1_000
ANSWER_MAX_S: Final = 5.0

log = get_logger(__name__)


def wake_url(url: str) -> str:
    """Return a URL that can be told; raises `ValueError`."""
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("Write it as https://host/path.")
    return url


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return what the signature header of a body says, in hex."""
    key = hmac.digest(secret, KEY_OF, "sha256").hex().encode()
    return hmac.digest(key, timestamp.encode() + b"." + body, "sha256").hex()


class NobodyWakes:
    """Phones wake by themselves."""

    async def wake(self, driver_id: UUID, reason: Literal["silent", "offer"]) -> None:
        """Do nothing."""

    async def aclose(self) -> None:
        """Do nothing."""


class WebhookWakeUp:
    """POSTs `{driver_id, reason, at}` to a URL. Lossy on purpose: what does not get through is told and counted."""

    def __init__(self, url: str, secret: bytes, clock: Clock) -> None:
        self._url = url
        self._secret = secret
        self._clock = clock
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_MAX_S))
        self._free = asyncio.Semaphore(AT_ONCE_MAX)
        self._posts: set[asyncio.Task[None]] = set()

    async def wake(self, driver_id: UUID, reason: Literal["silent", "offer"]) -> None:
        """Tell the URL, some time soon; never raises."""
        if len(self._posts) >= WAITING_MAX:
            metrics.wakes.labels("dropped").inc()
            return
        now = self._clock.now()
        said = {"driver_id": show(Kind.DRIVER, driver_id), "reason": reason, "at": now}
        post = asyncio.create_task(self._post(str(int(now.timestamp())), msgspec.json.encode(said)))
        self._posts.add(post)
        post.add_done_callback(self._posts.discard)

    async def _post(self, timestamp: str, body: bytes) -> None:
        headers = {
            "Content-Type": "application/json",
            TIMESTAMP: timestamp,
            SIGNATURE: signature(self._secret, timestamp, body),
        }
        try:
            async with (
                self._free,
                self._http.post(self._url, data=body, headers=headers, allow_redirects=False) as reply,
            ):
                status = reply.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            metrics.wakes.labels("failed").inc()
            log.warning("wake_failed", error=f"{type(error).__name__}: {error}")
            return
        metrics.wakes.labels("sent" if status < 300 else "failed").inc()
        if status >= 300:
            log.warning("wake_failed", status=status)

    async def aclose(self) -> None:
        """Give up what waits and close the connections."""
        for post in list(self._posts):
            post.cancel()
        await asyncio.gather(*self._posts, return_exceptions=True)
        await self._http.close()


def wake_up_by(url: str, secret: bytes, clock: Clock) -> NobodyWakes | WebhookWakeUp:
    """Return what wakes phones in this installation."""
    return WebhookWakeUp(url, secret, clock) if url else NobodyWakes()
