"""Laws of the floor: machines, ids, money, problems."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.delivery import DELIVERY, DeliveryEvent, DeliveryStatus
from dispatch.driver import DRIVER, DriverEvent, DriverState
from dispatch.offer import OFFER, OfferEvent, OfferStatus
from kernel.errors import Problem
from kernel.http import validation_problem
from kernel.ids import Kind, new_id, parse, show
from kernel.machine import IllegalTransition
from kernel.money import split
from storefront_api.orders.order import ORDER, OrderEvent, OrderStatus


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    lat: float


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    dropoff: Inner


MALFORMED = ["", "ord_", "del_0198", "ord_" + "g" * 32, "ord_" + "0" * 33, "'; DROP TABLE orders; --"]
MACHINES = [
    (DELIVERY, DeliveryStatus, DeliveryEvent),
    (OFFER, OfferStatus, OfferEvent),
    (DRIVER, DriverState, DriverEvent),
    (ORDER, OrderStatus, OrderEvent),
]


@pytest.mark.parametrize(("machine", "states", "events"), MACHINES)
def test_an_event_that_is_not_in_the_table_raises_and_names_what_is_possible(machine, states, events) -> None:  # type: ignore[no-untyped-def]
    """Every pair of state and event either has one outcome or is refused with words."""
    for state in states:
        for event in events:
            if machine.allows(state, event):
                assert machine.next(state, event) in states
            else:
                with pytest.raises(IllegalTransition, match=f"that is {state}"):
                    machine.next(state, event)


@pytest.mark.parametrize(("machine", "states", "events"), MACHINES)
def test_every_state_can_be_reached_from_the_first(machine, states, events) -> None:  # type: ignore[no-untyped-def]
    """No state is dead wood."""
    reached = {machine.initial}
    for _ in states:
        reached |= {after for (before, _), after in machine.table.items() if before in reached}
    assert reached == set(states)


def test_ids_sort_by_time_and_survive_the_round_trip() -> None:
    """An id is a UUIDv7 with a prefix."""
    ids = [new_id() for _ in range(50)]
    assert [i.version for i in ids] == [7] * 50
    assert all(parse(Kind.ORDER, show(Kind.ORDER, i)) == i for i in ids)


@pytest.mark.parametrize(
    "text", ["", "ord_", "del_0198", "ord_" + "g" * 32, "ord_" + "0" * 33, "'; DROP TABLE orders; --"]
)
def test_a_malformed_id_names_nothing(text: str) -> None:
    """It is not found, like any other id that is not there."""
    with pytest.raises(Problem, match="not_found"):
        parse(Kind.ORDER, text)


@given(st.integers(0, 10**9), st.lists(st.integers(0, 1000), min_size=1, max_size=20).filter(lambda w: sum(w) > 0))
def test_a_split_adds_up_and_no_part_is_off_by_a_unit(total: int, weights: list[int]) -> None:
    """Largest remainder: nothing is lost, nothing invented."""
    parts = split(total, weights)
    assert sum(parts) == total
    assert all(abs(part - total * w / sum(weights)) < 1 for part, w in zip(parts, weights, strict=True))


def test_a_wrong_field_is_named_by_its_path() -> None:
    """`dropoff.lat`, not "invalid input"."""

    for raw, field in ((b'{"dropoff":{"lat":"x"}}', "dropoff.lat"), (b'{"dropoff":{"lat":1,"z":2}}', "dropoff.z")):
        with pytest.raises(msgspec.ValidationError) as caught:
            msgspec.json.decode(raw, type=Outer)
        assert validation_problem(caught.value).errors[0].field == field
