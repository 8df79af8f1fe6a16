"""The floor that is always there: the column that saves most per job first, until drivers or jobs run out."""

from __future__ import annotations

import numpy as np

from dispatch.engine.columns import Columns
from dispatch.engine.cost import Pricer
from dispatch.engine.problem import Ints


def take_greedily(pricer: Pricer, columns: Columns) -> Ints:
    """Return the numbers of the columns taken in one pass; ties go to the earlier column."""
    jobs = jobs_of(pricer, columns)
    count = np.maximum(1, (jobs >= 0).sum(axis=1))
    saving = columns.priced.total - pricer.open_costs(jobs)
    drivers_used: set[int] = set()
    jobs_used: set[int] = set()
    taken: list[int] = []
    best_first = np.argsort(saving / count, kind="stable")
    for number in best_first[saving[best_first] < 0].tolist():
        if (driver := int(columns.driver[number])) in drivers_used:
            continue
        mine = {job for job in jobs[number].tolist() if job >= 0}
        if mine & jobs_used:
            continue
        drivers_used.add(driver)
        jobs_used |= mine
        taken.append(number)
    return np.array(taken, np.int64)


def jobs_of(pricer: Pricer, columns: Columns) -> Ints:
    """Return the jobs of each column (columns, 6), -1 for none."""
    jobs = pricer.bundles.jobs
    after = np.where(columns.second[:, None] >= 0, jobs[columns.second], -1)
    return np.concatenate((jobs[columns.first], after), axis=1)
