"""The offer's life as a table: a question with a clock, answered at most once."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from kernel.machine import Machine

OFFER_TTL_S: Final = 30
DECLINE_COOLDOWN_S: Final = 600
MISSED_MAX: Final = 3
"""A driver who let so many offers in a row expire is left in peace until the cool-down is over, or he comes anew."""
PAUSE_AFTER: Final = 3
PAUSE_S: Final = 60
PAUSE_MAX_S: Final = 600


def pause_s(attempts: int) -> int:
    """Return how long nobody is asked after so many offers in vain: not at first, then longer and longer."""
    if attempts < PAUSE_AFTER:
        return 0
    return min(PAUSE_MAX_S, PAUSE_S << min(attempts - PAUSE_AFTER, 10))


class OfferStatus(StrEnum):
    """Where an offer is in its life."""

    SENT = "sent"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    REVOKED = "revoked"


class OfferEvent(StrEnum):
    """What can happen to an offer."""

    ACCEPT = "be accepted"
    DECLINE = "be declined"
    EXPIRE = "expire"
    REVOKE = "be revoked"


OFFER: Final = Machine[OfferStatus, OfferEvent](
    "offer",
    OfferStatus.SENT,
    {
        (OfferStatus.SENT, OfferEvent.ACCEPT): OfferStatus.ACCEPTED,
        (OfferStatus.SENT, OfferEvent.DECLINE): OfferStatus.DECLINED,
        (OfferStatus.SENT, OfferEvent.EXPIRE): OfferStatus.EXPIRED,
        (OfferStatus.SENT, OfferEvent.REVOKE): OfferStatus.REVOKED,
    },
)
