"""Money is an integer of minor units and an ISO 4217 code; it is never a float and never added across currencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from kernel.errors import Problem

Minor = Annotated[int, Meta(ge=0, le=10**12)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$")]


class Money(msgspec.Struct, frozen=True):
    """An amount in minor units (cents, öre, yen) of one currency."""

    amount_minor: int
    currency: str

    def __add__(self, other: Money) -> Money:
        if self.currency != other.currency:
            raise Problem("conflict", f"{self.currency} and {other.currency} can't be added.")
        return Money(self.amount_minor + other.amount_minor, self.currency)


def split(total_minor: int, weights: Sequence[int]) -> list[int]:
    """Split an amount by weights so that the parts add up exactly (largest remainder method)."""
    whole = sum(weights)
    if whole <= 0:
        raise ValueError("weights must add up to more than zero")
    parts = [total_minor * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: total_minor * weights[i] % whole, reverse=True)
    for i in by_remainder[: total_minor - sum(parts)]:
        parts[i] += 1
    return parts
