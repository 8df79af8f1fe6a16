"""The offer's life as a table: a question with a clock, answered at most once."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from kernel.machine import Machine

OFFER_TTL_S: Final = 30
DECLINE_COOLDOWN_S: Final = 600


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
