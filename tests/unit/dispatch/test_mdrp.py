"""The benchmark's own rules: a made-up day is played by them, and its checker sees when they are broken."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks import mdrp


def make_day(folder: Path, *, orders: int = 24, couriers: int = 6, seed: int = 5) -> Path:
    """Write a small instance in the public format."""
    chance = random.Random(seed)

    def spot() -> str:
        return f"{chance.randint(0, 6_000)}\t{chance.randint(0, 6_000)}"

    folder.mkdir()
    (folder / "instance_parameters.txt").write_text(
        "meters_per_minute\tpickup\tdropoff\ttarget\tmaximum\tpay per order\tpay per hour\n320\t4\t4\t40\t90\t10\t15\n"
    )
    lines = ["restaurant\tx\ty", *(f"r{n}\t{spot()}" for n in range(4))]
    (folder / "restaurants.txt").write_text("\n".join(lines) + "\n")
    lines = [
        "courier\tx\ty\ton_time\toff_time",
        *(f"c{n}\t{spot()}\t0\t{chance.choice([120, 240])}" for n in range(couriers)),
    ]
    (folder / "couriers.txt").write_text("\n".join(lines) + "\n")
    lines = ["order\tx\ty\tplacement_time\trestaurant\tready_time"]
    for n in range(orders):
        placed = chance.randint(0, 100)
        lines.append(f"o{n}\t{spot()}\t{placed}\tr{chance.randint(0, 3)}\t{placed + chance.randint(3, 30)}")
    (folder / "orders.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_a_day_is_played_by_the_rules_the_same_each_time_and_written_down(tmp_path: Path) -> None:
    """Everything delivered, nothing better than possible, and a line per order in the solution."""
    folder = make_day(tmp_path / "1day")
    first, second = (mdrp.play(folder, tmp_path / "out") for _ in range(2))
    assert first["undelivered_pct"] == 0
    assert float(first["avoidable_min"]) >= 0
    assert first["orders"] == 24
    for figure in mdrp.FIGURES:
        assert first[figure] == second[figure]
    solution = tmp_path / "out" / "1day"
    assert len((solution / "solution_info_orders.txt").read_text().splitlines()) == 25
    assert (solution / "solution_info_assignments.txt").read_text().startswith("assignment_time pickup_time courier")
    assert (solution / "solution_info_couriers.txt").exists()
    assert mdrp.instances(tmp_path) == [folder]
    assert mdrp.summary([first])["instances"] == 1


def test_on_a_busy_day_too_nobody_has_an_order_before_it_is_his(tmp_path: Path) -> None:
    """What somebody fetches may change while he waits for it; what was somebody else's until now he has now at best."""
    day = mdrp.Day(mdrp.load(make_day(tmp_path / "1day", orders=90, couriers=10, seed=1)))
    day.play()
    assert mdrp.check(day) == []
    assert len(day.dropped) > 80
    job = day.trips[0][3][0]
    day.told[job] = day.picked[job] + 1
    assert mdrp.check(day) == [
        f"courier {day.instance.couriers[day.by[job]].id} picks up an order that was not his yet"
    ]


@pytest.mark.parametrize(
    ("at", "moved", "said"), [(1, -60, "too early"), (1, 10_000, "after his shift"), (3, (0,), "twice")]
)
def test_the_checker_sees_a_broken_rule(tmp_path: Path, at: int, moved: object, said: str) -> None:
    """A trip picked up too early, too late, or an order brought again."""
    day = mdrp.Day(mdrp.load(make_day(tmp_path / "1day")))
    day.play()
    assert mdrp.check(day) == []
    trip = list(day.trips[-1])
    trip[at] = trip[at] + moved if isinstance(moved, int) else (*trip[at], *day.trips[0][3])
    day.trips[-1] = tuple(trip)  # type: ignore[assignment]
    assert said in "; ".join(mdrp.check(day))
