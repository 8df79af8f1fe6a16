"""The columns to pick from: a driver with a bundle, or with a bundle and the one that follows it.

A busy driver counts from the time and place he becomes free; a follow-on makes "wait for the one who is about to
finish" a choice like any other. While everything fits the work limit all combinations are there; beyond it the most
promising are, ranked by a price that is quick to make, and only these are priced in full.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dispatch.engine.candidates import eligible
from dispatch.engine.cost import Priced, Pricer
from dispatch.engine.problem import NOWHERE, REACH_MAX_S, Ints, Limits

NEVER: Final = 2**60
KEEP_MIN: Final = 6
"""Drivers that each bundle keeps, and follow-on places, however little work is allowed."""


@dataclass(slots=True)
class Columns:
    """n columns: `driver`, `first` and `second` (-1 for none) bundle numbers, each (n,), and their price."""

    driver: Ints
    first: Ints
    second: Ints
    priced: Priced


def make_columns(pricer: Pricer, limits: Limits) -> Columns:
    """Return priced, feasible columns."""
    allowed = _allowed(pricer)
    driver, first = _firsts(pricer, allowed, limits)
    alone = pricer.route(driver, (first,))
    good = alone.feasible > 0
    driver, first, price = driver[good], first[good], alone.total[good]
    again, second = _follow_ons(pricer, allowed, limits, driver, first, price, _only(alone, good))
    drivers = np.concatenate((driver, driver[again]))
    firsts = np.concatenate((first, first[again]))
    seconds = np.concatenate((np.full(len(first), -1), second))
    priced = pricer.route(drivers, (firsts, seconds))
    good = priced.feasible > 0
    return Columns(drivers[good], firsts[good], seconds[good], _only(priced, good))


def nearest_pairs(pricer: Pricer, found: Ints) -> Columns:
    """Return a column for each job and each of its nearest drivers (jobs, k): what a big market starts from."""
    allowed = eligible(pricer.problem)
    job = np.repeat(np.arange(len(found)), found.shape[1])
    driver = found.ravel()
    bound = pricer.heading_to[driver]
    good = allowed[driver, job] & ((bound == NOWHERE) | (bound == pricer.pickup[job]))
    driver, job = driver[good], job[good]
    priced = pricer.route(driver, (job,))
    good = (priced.feasible > 0) & (priced.terms["empty_travel"] <= REACH_MAX_S * pricer.problem.weights.empty_travel)
    return Columns(driver[good], job[good], np.full(int(good.sum()), -1), _only(priced, good))


def _only(priced: Priced, good: NDArray[np.bool_]) -> Priced:
    terms = {name: values[good] for name, values in priced.terms.items()}
    return Priced(terms, priced.start_by_s[good], priced.end_s[good], priced.end_place[good], priced.feasible[good])


def _allowed(pricer: Pricer) -> NDArray[np.bool_]:
    """Return who may take which bundle whole (drivers, bundles), the way there not yet looked at."""
    bundles, jobs = pricer.bundles, eligible(pricer.problem)
    allowed = np.ones((len(jobs), len(bundles)), bool)
    for k in range(bundles.jobs.shape[1]):
        allowed &= (bundles.jobs[:, k] < 0) | jobs[:, bundles.jobs[:, k]]
    allowed &= pricer.stack_max[:, None] >= bundles.size
    return allowed


def _quick(
    pricer: Pricer, driver: Ints, place: Ints, at_s: Ints, allowed: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], Ints]:
    """Return a quick price of every bundle after every start (starts, bundles), and the way there in seconds."""
    bundles, weights, half_pickup = pricer.bundles, pricer.problem.weights, pricer.problem.half_services()[0]
    pickups, number = np.unique(bundles.pickup, return_inverse=True)
    way = pricer.problem.legs.seconds(place[:, None], pickups[None, :], pricer.vehicle[driver][:, None])[:, number]
    picked = np.maximum(at_s[:, None] + way + half_pickup, bundles.ready_s)
    price = (weights.delay * bundles.size) * picked.astype(np.float64)
    price += (pricer.per_second() + weights.empty_travel) * way
    price += pricer.share[driver][:, None] * bundles.size
    if pricer.dedicated is not None:
        for k in range(bundles.jobs.shape[1]):
            price += np.where(bundles.jobs[:, k] >= 0, pricer.dedicated[driver][:, bundles.jobs[:, k]], 0)
    bad = ~allowed | (picked > pricer.off_s[driver][:, None]) | (way > REACH_MAX_S)
    price[bad] = NEVER
    return price, way


def _lowest(price: NDArray[np.float64], keep: int) -> tuple[Ints, Ints]:
    """Return the (row, column) of each column's `keep` lowest prices."""
    if price.shape[0] > keep:
        rows = np.argpartition(price, keep - 1, axis=0)[:keep]
    else:
        rows = np.broadcast_to(np.arange(price.shape[0])[:, None], price.shape)
    columns = np.broadcast_to(np.arange(price.shape[1]), rows.shape)
    good = price[rows, columns] < NEVER
    return rows[good].astype(np.int64), columns[good].astype(np.int64)


def _firsts(pricer: Pricer, allowed: NDArray[np.bool_], limits: Limits) -> tuple[Ints, Ints]:
    everyone = np.arange(len(pricer.place))
    price, _ = _quick(pricer, everyone, pricer.place, pricer.free_s, allowed)
    bound = pricer.heading_to >= 0
    price[bound[:, None] & (pricer.heading_to[:, None] != pricer.bundles.pickup)] = NEVER
    for d, somebody in enumerate(pricer.problem.drivers):
        for job in somebody.keeps:
            price[d, ~(pricer.bundles.jobs == job).any(axis=1)] = NEVER
    keep = max(KEEP_MIN, limits.columns_max // (3 * max(1, len(pricer.bundles))))
    driver, first = _lowest(price, keep)
    own_driver, own_first = np.nonzero((price < NEVER) & bound[:, None])
    key: Ints = np.unique(
        np.concatenate((driver, own_driver)) * len(pricer.bundles) + np.concatenate((first, own_first))
    )
    return key // max(1, len(pricer.bundles)), key % max(1, len(pricer.bundles))


def _follow_ons(
    pricer: Pricer,
    allowed: NDArray[np.bool_],
    limits: Limits,
    driver: Ints,
    first: Ints,
    price: Ints,
    alone: Priced,
) -> tuple[Ints, Ints]:
    """Return (column, bundle) pairs: what could come after which column."""
    bundles = pricer.bundles
    if not len(driver):
        return driver, first
    per_driver = max(4, limits.columns_max // (4 * max(1, len(pricer.place))))
    order = np.lexsort((price // bundles.size[first], driver))
    rank = np.arange(len(order)) - np.searchsorted(driver[order], driver[order], side="left")
    after = np.sort(order[rank < per_driver])
    quick, _ = _quick(pricer, driver[after], alone.end_place[after], alone.end_s[after], allowed[driver[after]])
    has = np.zeros((len(bundles), len(pricer.ready_s)), np.float32)
    for k in range(bundles.jobs.shape[1]):
        here = np.flatnonzero(bundles.jobs[:, k] >= 0)
        has[here, bundles.jobs[here, k]] = 1
    quick[(has @ has.T)[first[after]] > 0] = NEVER
    keep = max(KEEP_MIN, limits.columns_max // (3 * max(1, len(bundles))))
    rows, second = _lowest(quick, keep)
    return after[rows], second
