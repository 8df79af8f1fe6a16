"""The ledger's laws: it balances, or it does not exist."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finance.fees import Pricing, delivery_fee_minor, driver_pay_minor
from finance.ledger import Account, Posting, Unbalanced, balanced, delivered
from kernel.ids import new_id

money = st.integers(0, 10**9)


@given(money, money, money, money)
def test_a_delivery_always_balances_and_owes_the_driver_his_pay_and_tip(
    pay: int, tip: int, fee: int, cash: int
) -> None:
    """Whatever was paid at the door."""
    driver = new_id()
    postings = delivered(driver_id=driver, pay_minor=pay, tip_minor=tip, fee_minor=fee, cash_minor=cash)
    assert sum(posting.amount_minor for posting in postings) == 0
    assert -sum(p.amount_minor for p in postings if p.account is Account.DRIVER_PAYABLE) == pay + tip
    assert sum(p.amount_minor for p in postings if p.account is Account.CASH_WITH_DRIVER) == cash


@given(st.integers(1, 10**6))
def test_postings_that_do_not_cancel_out_are_refused(amount: int) -> None:
    """Not rounded, not hidden."""
    with pytest.raises(Unbalanced):
        balanced([Posting(Account.SALES, amount)])


@given(st.integers(0, 50_000), st.integers(0, 50_000))
def test_a_longer_way_never_costs_or_pays_less(a: int, b: int) -> None:
    """Fees and pay grow with the distance, in whole minor units, rounded half up."""
    pricing = Pricing(390, 80, 350, 70, "EUR")
    near, far = sorted((a, b))
    assert delivery_fee_minor(pricing, near) <= delivery_fee_minor(pricing, far)
    assert driver_pay_minor(pricing, near) <= driver_pay_minor(pricing, far)
    assert delivery_fee_minor(Pricing(0, 1, 0, 0, "EUR"), 500) == 1
