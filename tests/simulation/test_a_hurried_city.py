"""The city's benchmark: a peak on the real server, faster than life, and what its figures mean."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from benchmarks.city import Peak, figures, gini, jain, run_city, union_s
from onward.config import Settings
from onward.pace import Pace

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_an_hour_of_timers_passes_in_moments(tmp_path: Path) -> None:
    """Clock and event loop go at one pace: what waits an hour waits until an hour later, and not sooner."""
    pace = Pace.start(tmp_path / "pace", 36_000)

    async def wait_an_hour() -> float:
        before = pace.now()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3_600):
                await asyncio.Event().wait()
        return (pace.now() - before).total_seconds()

    started = time.monotonic()
    assert pace.run(wait_an_hour()) >= 3_590
    assert time.monotonic() - started < 5


def test_whoever_shares_a_pace_is_slowed_with_it(tmp_path: Path) -> None:
    """Time never steps when its speed changes, and everybody sees the change."""
    here = Pace.start(tmp_path / "pace", 1_000)
    there = Pace(here.file, here.speed)
    before, began = here.seconds(), time.monotonic()
    here.go(1.0)
    assert there.at_speed() == 1.0
    assert before <= there.seconds() <= before + 1_000 * (time.monotonic() - began)
    assert abs((here.now() - there.now()).total_seconds()) < 1


def test_fairness_knows_equal_shares_from_one_who_has_everything() -> None:
    """Jain's index and the Gini coefficient at their ends."""
    same, one = np.full(4, 5.0), np.array([0.0, 0, 0, 20])
    assert (jain(same), gini(same)) == (1.0, 0.0)
    assert (jain(one), gini(one)) == (0.25, 0.75)


def test_a_courier_with_two_deliveries_at_once_is_busy_once() -> None:
    """Spans that overlap count for the time that they cover."""
    at = [NOON + timedelta(minutes=minute) for minute in range(60)]
    assert union_s([(at[0], at[10]), (at[5], at[15]), (at[20], at[30])]) == 25 * 60


def test_figures_follow_every_order_to_its_door() -> None:
    """Means over what was delivered, the rest counted, hours apart."""

    def order(placed: int, door: int | None, driver: int) -> dict[str, object]:
        return {
            "placed_at": NOON + timedelta(minutes=placed),
            "delivery_status": "pending" if door is None else "delivered",
            "driver_id": UUID(int=driver),
            "assigned_at": NOON + timedelta(minutes=placed),
            "finished_at": None if door is None else NOON + timedelta(minutes=placed + door),
            "promised_at": NOON + timedelta(minutes=placed + 30),
            "ready_at": NOON + timedelta(minutes=placed + 10),
            "picked_up_at": NOON + timedelta(minutes=placed + 12),
            "driver_pay_minor": 500,
            "pool": "shared_pool",
        }

    orders = [order(0, 20, 1), order(10, 40, 2), order(70, None, 1)]
    drivers = {"dedicated": 1, "shared_pool": 3}
    found = figures(orders, {"accepted": 2, "expired": 1, "revoked": 1}, drivers, 60.0)  # type: ignore[arg-type]
    assert (found["orders"], found["delivered"], found["undelivered"]) == (3, 2, 1)
    assert found["click_to_door_min"]["mean"] == 30.0
    assert found["late_share"] == 0.5
    assert (found["ready_to_pickup_min"]["mean"], found["ready_to_door_min"]["mean"]) == (2.0, 20.0)
    assert found["door_to_promise_min"]["mean"] == 0.0
    assert found["utilisation"] == 0.25
    assert (found["acceptance"], found["offers_per_delivery"]) == (0.667, 2.0)
    assert (found["pay"]["shared_pool"]["jain"], found["pay"]["shared_pool"]["jain_best"]) == (0.667, 0.667)
    assert found["pay"]["dedicated"]["minor_mean"] == 0
    assert [hour["orders"] for hour in found["per_hour"]] == [2, 1]


@pytest.mark.timeout(400)
def test_a_peak_is_lived_through_on_the_real_server() -> None:
    """A minute's orders are followed to their doors; nobody is assigned twice and nobody sees what is another's."""
    peak = Peak(minutes=1, drivers=4, orders_per_hour=240, seed=1, speed=6, preparation_s=(20, 40))
    shares: list[float] = []
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="ow-") as folder:  # PostgreSQL's system user must get there
        settings = Settings(data_dir=Path(folder) / "d")
        found = run_city(settings, None, peak, seen=lambda share, _: shares.append(share))
    assert found["orders"] > 0
    assert found["delivered"] == found["orders"], found
    assert found["offers"]["accepted"] > 0
    assert found["click_to_door_min"]["mean"] > 0
    assert found["double_assigned"] == found["cross_tenant_leaks"] == 0
    assert found["error_texts"] == []
    assert shares[-1] == 1.0
