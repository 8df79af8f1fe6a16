"""What tracking asks of others: who a token is, what a driver's state is, what a viewer may see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol
from uuid import UUID

from kernel.access import Principal
from kernel.http import Rate
from tracking.wire import DriverAction


class Door(Protocol):
    """Turns a token into a caller."""

    async def authenticate(self, token: str) -> Principal:
        """Return the caller, or raise `unauthenticated` or `token_expired`."""

    async def ended(self, tokens: Sequence[str]) -> list[str]:
        """Return those of these tokens, which were good once, that were revoked or have run out."""


class DriverDesk(Protocol):
    """What drivers do, and what they need to know."""

    async def state(self, principal: Principal, last_event: str) -> dict[str, Any]:
        """Return `{driver, offers, route, notices, messages}`: all that a driver's app shows after it connects.

        `messages` are those after `last_event`, the newest that the phone knows.
        """

    async def act(self, principal: Principal, action: DriverAction) -> None:
        """Carry out an action once per its id; raise a `Problem` for a refusal (also when asked again)."""


class WakeUp(Protocol):
    """Makes a phone's operating system start the driver's app, so that it connects again."""

    async def wake(self, driver_id: UUID, reason: Literal["silent", "offer"]) -> None:
        """Ask for it, without waiting for an answer; never raises. His phone is silent, or missed an offer."""


class Limits(Protocol):
    """Counts requests."""

    async def hit(self, rate: Rate, key: str) -> object:
        """Count one request of whoever `key` names; raises `rate_limited`."""


class Views(Protocol):
    """What viewers see."""

    def topic(self, principal: Principal) -> str:
        """Return the topic a viewer follows, or raise `forbidden`."""

    async def view(self, principal: Principal) -> dict[str, Any]:
        """Return the viewer's whole object (`kind` board or tracking) as of now."""

    async def numbers(self, principal: Principal) -> dict[str, Any] | None:
        """Return the numbers of the viewer's board as of now; None when the viewer has no board."""
