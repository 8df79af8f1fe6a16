"""The columns to pick from: a driver with a bundle, or with a bundle and the one that follows it.

A busy driver counts from the time and place he becomes free; a follow-on makes "wait for the one who is about to
finish" a choice like any other. While everything fits the work limit all combinations are there. Beyond it the
cheapest few of each bundle are a start, and the prices that the relaxation puts on drivers and jobs tell which of all
the others are missing (column generation).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dispatch.engine.cost import Priced, Pricer
from dispatch.engine.problem import NOWHERE, Ints, Limits

KEEP_MIN: Final = 4
"""Drivers that each bundle keeps at first, however little work is allowed."""


@dataclass(slots=True)
class Columns:
    """n columns: `driver`, `first` and `second` (-1 for none) bundle numbers, each (n,), and their price."""

    driver: Ints
    first: Ints
    second: Ints
    priced: Priced


class Market:
    """All columns of a problem, known by their prices; a part of them is made into columns."""

    def __init__(self, pricer: Pricer, limits: Limits) -> None:
        self.pricer = pricer
        bundles = pricer.bundles
        self._keep = max(KEEP_MIN, limits.columns_max // (8 * max(1, len(bundles))))
        self._after_each = max(4, limits.columns_max // (16 * max(1, len(pricer.place))))
        self._key: Ints = np.zeros(0, np.int64)
        self._after_number = np.full((len(pricer.place), len(bundles)), -1, np.int64)
        self._after_price: NDArray[np.float64] = np.zeros((0, len(bundles)))

    @cached_property
    def _allowed(self) -> NDArray[np.bool_]:
        """Who may take which bundle whole (drivers, bundles), the way there not yet looked at."""
        bundles, jobs = self.pricer.bundles, self.pricer.eligible
        allowed = np.ones((len(jobs), len(bundles)), bool)
        for k in range(bundles.jobs.shape[1]):
            allowed &= (bundles.jobs[:, k] < 0) | jobs[:, bundles.jobs[:, k]]
        drivers, sizes = self.pricer.problem.drivers, np.array([job.size for job in self.pricer.problem.jobs], np.int64)
        room = np.array([max(d.capacity, sum(int(sizes[job]) for job in d.keeps)) for d in drivers], np.int64)
        load = np.where(bundles.jobs >= 0, sizes[bundles.jobs], 0).sum(axis=1)
        fits = (bundles.size == 1) | (load <= room[:, None])
        allowed &= fits & (self.pricer.stack_max[:, None] >= bundles.size)
        for number in np.flatnonzero(bundles.detour >= 0).tolist():
            driver = bundles.detours[bundles.detour[number]].driver
            allowed[:driver, number] = allowed[driver + 1 :, number] = False
        return allowed

    @cached_property
    def _firsts(self) -> NDArray[np.float64]:
        """The price of every bundle as each driver's first (drivers, bundles); infinite where it can't be."""
        pricer = self.pricer
        price = pricer.all_trips(np.arange(len(pricer.place)), pricer.place, pricer.free_s)
        price[~self._allowed] = np.inf
        bound = pricer.heading_to != NOWHERE
        price[bound[:, None] & (pricer.heading_to[:, None] != pricer.bundles.pickup)] = np.inf
        for d, driver in enumerate(pricer.problem.drivers):
            for job in driver.keeps:
                price[d, ~(pricer.bundles.jobs == job).any(axis=1)] = np.inf
        return price

    @cached_property
    def _conflict(self) -> NDArray[np.bool_]:
        """Which two bundles share a job (bundles, bundles)."""
        bundles = self.pricer.bundles
        bundle, position = np.nonzero(bundles.jobs >= 0)
        job = bundles.jobs[bundle, position]
        has = csr_array((np.ones(len(job), bool), (bundle, job)), shape=(len(bundles), len(self.pricer.ready_s)))
        return np.asarray((has @ has.T).toarray())

    def start(self) -> Columns:
        """Return the cheapest columns of each bundle, and all of drivers who are bound for a store.

        A job's first price is what it costs at least, brought alone: without it many jobs at once would be all that
        anybody wants.
        """
        pricer = self.pricer
        alone = self._firsts[:, : len(pricer.ready_s)].min(axis=0)
        job_price = np.minimum(0, np.where(alone < np.inf, alone, 0) - pricer.open_cost)
        bound = np.nonzero((self._firsts < np.inf) & (pricer.heading_to != NOWHERE)[:, None])
        return self._most_wanted(np.zeros(len(pricer.place)), job_price, extra=bound)

    def missing(self, driver_price: NDArray[np.float64], job_price: NDArray[np.float64], below: float) -> Columns:
        """Return new columns whose reduced cost by these prices (drivers,), (jobs,) is below a bound.

        Below nothing are those that would lower the relaxation: none are left when it is best.
        """
        return self._most_wanted(driver_price, job_price, below=below)

    def _most_wanted(
        self,
        driver_price: NDArray[np.float64],
        job_price: NDArray[np.float64],
        *,
        below: float = np.inf,
        extra: tuple[Ints, ...] = (),
    ) -> Columns:
        pricer = self.pricer
        jobs = pricer.bundles.jobs
        worth = pricer.open_costs(jobs) + np.where(jobs >= 0, job_price[jobs], 0).sum(axis=1)
        alone = self._firsts - worth - driver_price[:, None]
        driver, first = _lowest(alone, self._keep, below=below)
        if extra:
            driver, first = np.concatenate((driver, extra[0])), np.concatenate((first, extra[1]))
        after_driver, after_first = _lowest(alone.T, self._after_each, below=np.inf)[::-1]
        order = np.lexsort((after_first, after_driver))
        after_driver, after_first = after_driver[order], after_first[order]
        again, second = self._follow_ons(alone, worth, after_driver, after_first, below)
        return self._new(
            np.concatenate((driver, after_driver[again])),
            np.concatenate((first, after_first[again])),
            np.concatenate((np.full(len(first), -1), second)),
        )

    def _follow_ons(
        self, alone: NDArray[np.float64], worth: Ints, driver: Ints, first: Ints, below: float
    ) -> tuple[Ints, Ints]:
        """Return (row, bundle) pairs: what could come after which of these first trips."""
        if not len(driver):
            return driver, first
        both = self._after(driver, first)
        both -= worth
        both += alone[driver, first][:, None]
        rows, second = _lowest(both, self._keep, below=below)
        best, lowest = _best_of_each(both, driver)
        of_driver, seconds = _lowest(lowest, self._keep, below=below)
        return np.concatenate((rows, best[of_driver, seconds])), np.concatenate((second, seconds))

    def _after(self, driver: Ints, first: Ints) -> NDArray[np.float64]:
        """Return the price of every bundle after each of these first trips (n, bundles), remembered."""
        number = self._after_number[driver, first]
        new = np.flatnonzero(number < 0)
        if len(new):
            again, bundle = driver[new], first[new]
            trip = self.pricer.route(again, (bundle,))
            price = self.pricer.all_trips(again, trip.end_place, trip.end_s)
            price[~self._allowed[again] | self._conflict[bundle] | (self.pricer.bundles.detour >= 0)] = np.inf
            number[new] = len(self._after_price) + np.arange(len(new))
            self._after_number[again, bundle] = number[new]
            self._after_price = np.concatenate((self._after_price, price))
        return self._after_price[number]

    def _new(self, driver: Ints, first: Ints, second: Ints) -> Columns:
        """Return those columns that were not made before, priced term by term."""
        width = len(self.pricer.bundles) + 1
        key: Ints = np.unique((driver * width + first) * width + second + 1)
        key = key[np.searchsorted(self._key, key) == np.searchsorted(self._key, key, side="right")]
        self._key = np.sort(np.concatenate((self._key, key)))
        driver, first, second = key // (width * width), key // width % width, key % width - 1
        priced = self.pricer.route(driver, (first, second))
        good = priced.feasible > 0
        return Columns(driver[good], first[good], second[good], _only(priced, good))


def together(a: Columns, b: Columns) -> Columns:
    """Return the columns of both."""
    terms = {name: np.concatenate((values, b.priced.terms[name])) for name, values in a.priced.terms.items()}
    priced = Priced(
        terms,
        np.concatenate((a.priced.start_by_s, b.priced.start_by_s)),
        np.concatenate((a.priced.end_s, b.priced.end_s)),
        np.concatenate((a.priced.end_place, b.priced.end_place)),
        np.concatenate((a.priced.feasible, b.priced.feasible)),
    )
    return Columns(
        np.concatenate((a.driver, b.driver)),
        np.concatenate((a.first, b.first)),
        np.concatenate((a.second, b.second)),
        priced,
    )


def pairs(pricer: Pricer, drivers: Ints, jobs: Ints, count: int) -> Columns:
    """Return a column for each of these jobs and each of its nearest of these drivers: what a big market is made of."""
    found = pricer.problem.legs.near(pricer.place[drivers], pricer.pickup[jobs], count)
    if found is None:
        found = np.broadcast_to(np.arange(len(drivers)), (len(jobs), len(drivers)))
    job = np.repeat(jobs, found.shape[1])
    driver = drivers[found.ravel()]
    bound = pricer.heading_to[driver]
    good = pricer.eligible[driver, job] & ((bound == NOWHERE) | (bound == pricer.pickup[job]))
    driver, job = driver[good], job[good]
    priced = pricer.route(driver, (job,))
    good = priced.feasible > 0
    return Columns(driver[good], job[good], np.full(int(good.sum()), -1), _only(priced, good))


def _only(priced: Priced, good: NDArray[np.bool_]) -> Priced:
    terms = {name: values[good] for name, values in priced.terms.items()}
    return Priced(terms, priced.start_by_s[good], priced.end_s[good], priced.end_place[good], priced.feasible[good])


def _lowest(price: NDArray[np.float64], keep: int, *, below: float) -> tuple[Ints, Ints]:
    """Return the (row, column) of each column's `keep` lowest finite prices below a bound."""
    low = np.flatnonzero((price < below).any(axis=0))
    some = price if len(low) == price.shape[1] else price[:, low]
    if price.shape[0] > keep:
        rows = np.argpartition(some, keep - 1, axis=0)[:keep]
    else:
        rows = np.broadcast_to(np.arange(price.shape[0])[:, None], some.shape)
    good = np.take_along_axis(some, rows, axis=0) < below
    columns = np.broadcast_to(low, rows.shape)
    return rows[good].astype(np.int64), columns[good].astype(np.int64)


def _best_of_each(price: NDArray[np.float64], driver: Ints) -> tuple[Ints, NDArray[np.float64]]:
    """Return each driver's cheapest row for every bundle, and its price (drivers, bundles); rows are sorted by driver.

    Without it a few drivers who are free early would be everybody's only choice, and work beyond them nobody's.
    """
    starts = np.flatnonzero(np.diff(driver, prepend=-1))
    ends = np.append(starts[1:], len(driver))
    best, lowest = np.repeat(starts[:, None], price.shape[1], axis=1), price[starts]
    for step in range(1, int((ends - starts).max())):
        row = np.minimum(starts + step, ends - 1)
        next_price = price[row]
        best = np.where(next_price < lowest, row[:, None], best)
        lowest = np.minimum(lowest, next_price)
    return best, lowest
