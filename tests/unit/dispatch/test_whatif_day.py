"""A day played again: nothing happens before its time, the same day goes the same way, and what is changed tells."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import msgspec
import pytest

from dispatch.policy import Policies, Policy, PolicyChange, WeightsChange
from dispatch.whatif.change import Change, changed, under
from dispatch.whatif.compare import compare
from dispatch.whatif.outcome import as_it_was, service, work
from geo.travel import CrowFlies
from kernel.errors import Problem
from tests.support.pastday import SHOPS, a_day


def test_the_same_day_goes_the_same_way() -> None:
    """Two runs give the same answer to the last digit, and an alternative that changes nothing is the baseline."""
    first, second = (compare(a_day(), Change(), CrowFlies()) for _ in range(2))
    assert msgspec.json.encode(first) == msgspec.json.encode(second)
    assert first.baseline == first.alternative
    assert first.baseline.service.undelivered == 0
    assert sum(hour.baseline.deliveries for hour in first.hours) == 24
    assert sum(business.baseline.late for business in first.businesses) == first.baseline.service.late


def test_nothing_happens_before_its_time() -> None:
    """No door before the food was ready and brought, nobody carries more than he may, empty ways are ways."""
    found = compare(a_day(), Change(), CrowFlies())
    for hour in found.hours:
        assert hour.baseline.click_to_door_mean_s is not None
        assert hour.baseline.click_to_door_mean_s > 600
    took = found.baseline.work
    assert 0 < took.empty_m < took.distance_m
    assert took.deliveries_per_trip is not None
    assert 1 <= took.deliveries_per_trip <= 2
    assert took.pay_minor == 24 * 500
    assert took.worked_s == 6 * 12_600
    assert took.pay_per_hour_minor == round(24 * 500 / (6 * 3.5))
    assert took.utilisation is not None
    assert 0 < took.utilisation <= 1


def test_with_fewer_drivers_it_gets_worse() -> None:
    """In a rush, three drivers fewer mean longer waits, less time idle and more to each trip."""
    found = compare(a_day(every_s=40), Change(drivers=-3), CrowFlies())
    before, after = found.baseline, found.alternative
    assert (before.work.drivers, after.work.drivers) == (6, 3)
    worse = [one.service.late_s + 7_200 * one.service.undelivered for one in (before, after)]
    assert worse[0] < worse[1]
    assert (before.work.utilisation or 1) < (after.work.utilisation or 0)


def test_those_who_brought_least_go_first_and_those_who_brought_most_come_twice() -> None:
    """Who is taken away or added follows from the day alone."""
    day = a_day()
    busiest = UUID(int=1_000)
    left = {shift.driver_id for shift in changed(day, Change(drivers=-5)).shifts}
    assert left == {busiest}
    more = changed(day, Change(drivers=2)).shifts
    assert len(more) == 8
    assert len({shift.driver_id for shift in more}) == 8
    assert more[6].at == day.shifts[0].at
    assert more[6].name is None
    assert changed(day, Change(drivers=2)).shifts == more
    with pytest.raises(Problem, match="at most 5"):
        changed(day, Change(drivers=-6))


def test_a_policy_tells() -> None:
    """Who may carry one at a time makes as many trips as deliveries; without the pool nobody may carry."""
    alone = compare(a_day(every_s=20, drivers=4), Change(policy=PolicyChange(stack_max=1)), CrowFlies())
    assert alone.alternative.work.deliveries_per_trip == 1
    assert alone.baseline.work.deliveries_per_trip != 1
    nobody = compare(a_day(), Change(policy=PolicyChange(uses_shared_pool=False)), CrowFlies())
    assert nobody.alternative.service.undelivered == 24
    assert nobody.alternative.service.click_to_door_mean_s is None
    assert nobody.alternative.work.pay_minor == 0


def test_a_business_keeps_what_the_alternative_does_not_name() -> None:
    """Its own stack stays where only weights are changed; what is named goes over the operator's and its own."""
    policies = Policies(Policy(), {SHOPS[1]: Policy(stack_max=3)})
    weighed = under(policies, PolicyChange(weights=WeightsChange(lateness=300)))
    assert weighed.of(SHOPS[1]).stack_max == 3
    assert [policy.weights.lateness for policy in (weighed.operator, weighed.of(SHOPS[1]))] == [300, 300]
    assert under(policies, PolicyChange(stack_max=1)).of(SHOPS[1]).stack_max == 1


def test_who_lacks_a_skill_does_not_bring_it() -> None:
    """What a delivery needs holds in a played day as it does live."""
    day = a_day(deliveries=4, drivers=2)
    needy = msgspec.structs.replace(day.deliveries[3], needs=frozenset({"age_check"}))
    day = msgspec.structs.replace(day, deliveries=(*day.deliveries[:3], needy))
    assert compare(day, Change(), CrowFlies()).baseline.service.undelivered == 1
    able = msgspec.structs.replace(day.shifts[1], skills=frozenset({"age_check"}))
    day = msgspec.structs.replace(day, shifts=(day.shifts[0], able))
    assert compare(day, Change(), CrowFlies()).baseline.service.undelivered == 0


@pytest.mark.parametrize(
    ("weights", "why"),
    [
        (WeightsChange(delay=0, lateness=0), "can't both be 0"),
        (WeightsChange(driver_time=500), "Dearer than a customer's"),
    ],
)
def test_absurd_weights_are_refused_with_words(weights: WeightsChange, why: str) -> None:
    """Each number may be right and all of them together make no sense."""
    with pytest.raises(Problem, match=why):
        under(Policies(Policy()), PolicyChange(weights=weights))


def test_an_empty_day_says_so() -> None:
    """No deliveries, or nobody at work: there is nothing to play."""
    day = a_day()
    for empty, why in (({"deliveries": ()}, "no deliveries"), ({"shifts": ()}, "Nobody worked")):
        with pytest.raises(Problem, match=why) as refused:
            compare(msgspec.structs.replace(day, **empty), Change(), CrowFlies())
        assert refused.value.code == "no_day"


def test_what_really_happened_is_measured_by_the_same_rules() -> None:
    """Two brought together are one trip; the way to the store is empty, the ways to the doors are not."""
    day = a_day(deliveries=2, drivers=1)
    first, second = day.deliveries
    together = msgspec.structs.replace(
        second, pickup=first.pickup, driver_id=first.driver_id, assigned_s=43_300, picked_s=44_100, door_s=45_600
    )
    real = as_it_was(msgspec.structs.replace(day, deliveries=(first, together)))
    assert real.trips() == 1
    assert Counter(move.aboard for move in real.moves) == {0: 1, 1: 2, 2: 1}
    assert real.busy_s() == 45_600 - 43_260
    served = service((first, together), real, [0, 1])
    assert (served.undelivered, served.late, served.late_s) == (0, 1, 45_600 - together.promised_s)
    assert work(msgspec.structs.replace(day, deliveries=(first, together)), real).deliveries_per_trip == 2
