"""How good estimates were, in figures: told arrivals beside real ones, in all, by minutes to go and by source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from geo.eta import HORIZONS_S, horizon

NEAR_MIN: Final = 3
FAR_MIN: Final = 5
SHARE_FLOOR_S: Final = 60
"""An error is a share of the real time, or of a minute where that is less."""


class Outcome(msgspec.Struct, frozen=True):
    """One estimate of an arrival, in seconds from when it was made, and the arrival."""

    p50_s: int
    p90_s: int
    actual_s: int
    source: str


class Accuracy(msgspec.Struct, frozen=True):
    """Figures over `n` estimates. Errors are estimate minus actual: a bias below 0 told people too early a time.

    `mape` and the shares are from 0 to 1; `p90_cover` is the share that had come by the time that nine in ten should.
    """

    n: int
    mae_s: int
    bias_s: int
    mape: float
    within_3_min: float
    within_5_min: float
    p90_cover: float


class Report(msgspec.Struct, frozen=True):
    """How good a time's estimates were; `total` is None when no estimate has an arrival yet."""

    days: int
    open: int
    total: Accuracy | None
    by_horizon: dict[str, Accuracy]
    by_source: dict[str, Accuracy]


def accuracy(outcomes: Sequence[Outcome]) -> Accuracy | None:
    """Return the figures; None of nothing."""
    if not outcomes:
        return None
    p50, p90, actual = (np.array([getattr(one, of) for one in outcomes]) for of in ("p50_s", "p90_s", "actual_s"))
    errors = p50 - actual
    wrong = np.abs(errors)
    return Accuracy(
        n=len(outcomes),
        mae_s=round(float(wrong.mean())),
        bias_s=round(float(errors.mean())),
        mape=_share(wrong / np.maximum(actual, SHARE_FLOOR_S)),
        within_3_min=_share(wrong <= 60 * NEAR_MIN),
        within_5_min=_share(wrong <= 60 * FAR_MIN),
        p90_cover=_share(actual <= p90),
    )


def report(days: int, open_: int, outcomes: Sequence[Outcome]) -> Report:
    """Return the report of so many days; `open_` estimates wait for their arrival."""
    return Report(
        days=days,
        open=open_,
        total=accuracy(outcomes),
        by_horizon=_by(outcomes, lambda one: horizon_name(horizon(one.p50_s))),
        by_source=_by(outcomes, lambda one: one.source),
    )


def horizon_name(number: int) -> str:
    """Return a horizon in minutes to go: `0-5`, …, `30+`."""
    bounds = [0, *(bound // 60 for bound in HORIZONS_S)]
    return f"{bounds[number]}+" if number == len(HORIZONS_S) else f"{bounds[number]}-{bounds[number + 1]}"


def _by(outcomes: Sequence[Outcome], name: Callable[[Outcome], str]) -> dict[str, Accuracy]:
    groups: dict[str, list[Outcome]] = {}
    for one in sorted(outcomes, key=lambda one: (horizon(one.p50_s), one.source)):
        groups.setdefault(name(one), []).append(one)
    found = {group: accuracy(own) for group, own in groups.items()}
    return {group: figures for group, figures in found.items() if figures is not None}


def _share(values: np.ndarray[Any, Any]) -> float:
    return round(float(values.mean()), 4)
