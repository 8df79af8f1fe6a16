"""The ledger's rules, pure: an entry's postings cancel out, or there is no entry."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

import msgspec


class Account(StrEnum):
    """The kinds of accounts a business has. Debits are positive, credits negative."""

    DRIVER_PAYABLE = "driver_payable"
    DELIVERY_COST = "delivery_cost"
    TIPS_HELD = "tips_held"
    DELIVERY_REVENUE = "delivery_revenue"
    CASH_WITH_DRIVER = "cash_with_driver"
    SALES = "sales"


class Posting(msgspec.Struct, frozen=True):
    """An amount on an account, of one driver where the account is per driver."""

    account: Account
    amount_minor: int
    driver_id: UUID | None = None


class Unbalanced(ValueError):
    """Debits and credits differ."""


def balanced(postings: list[Posting]) -> list[Posting]:
    """Return the postings without empty ones; raises `Unbalanced`."""
    total = sum(posting.amount_minor for posting in postings)
    if total:
        raise Unbalanced(f"the postings are off by {total}")
    return [posting for posting in postings if posting.amount_minor]


def delivered(*, driver_id: UUID, pay_minor: int, tip_minor: int, fee_minor: int, cash_minor: int) -> list[Posting]:
    """Return what a finished delivery posts: the driver's pay and tip, and the cash he took at the door.

    Cash holds the fee and the tip already; without cash they were paid elsewhere and only the driver's part is posted.
    """
    postings = [
        Posting(Account.DELIVERY_COST, pay_minor),
        Posting(Account.DRIVER_PAYABLE, -pay_minor, driver_id),
        Posting(Account.TIPS_HELD, tip_minor),
        Posting(Account.DRIVER_PAYABLE, -tip_minor, driver_id),
    ]
    if cash_minor:
        fee_in_cash = min(fee_minor, cash_minor)
        tip_in_cash = min(tip_minor, cash_minor - fee_in_cash)
        postings += [
            Posting(Account.CASH_WITH_DRIVER, cash_minor, driver_id),
            Posting(Account.DELIVERY_REVENUE, -fee_in_cash),
            Posting(Account.TIPS_HELD, -tip_in_cash),
            Posting(Account.SALES, -(cash_minor - fee_in_cash - tip_in_cash)),
        ]
    return balanced(postings)
