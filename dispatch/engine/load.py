"""How busy everybody is: what the load adds to the price of a driver's second.

With hands to spare a driver's second is worth next to nothing. When the work that is there needs more driver-minutes
than there are in the next half hour, each of them delays somebody else's order, and bundles and short ways pay.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from dispatch.engine.problem import Problem

HORIZON_S: Final = 1_800
THERE_AND_BACK: Final = 1.6
"""Driving for one job as a share of the way from store to door: there, and on to the next store."""
LOAD_FROM: Final = 0.9
PRICE_PER_LOAD: Final = 100.0
PRICE_MAX: Final = 600


def second_price(problem: Problem) -> int:
    """Return what the load adds to a driver's second, in hundredths of a second's cost."""
    if not problem.jobs or not problem.drivers:
        return 0
    pickup = np.array([job.pickup for job in problem.jobs], np.int64)
    dropoff = np.array([job.dropoff for job in problem.jobs], np.int64)
    vehicle = problem.usual_vehicle()
    service_s = problem.pickup_service_s + problem.dropoff_service_s
    work_s = float((problem.legs.seconds(pickup, dropoff, vehicle) * THERE_AND_BACK + service_s).sum())
    free_s = np.array([max(0, driver.free_s) for driver in problem.drivers], np.float64)
    off_s = np.array([driver.off_s for driver in problem.drivers], np.float64)
    hands_s = float(np.clip(np.minimum(off_s, HORIZON_S) - free_s, 0, HORIZON_S).sum())
    load = work_s / max(hands_s, 60.0)
    return round(min(PRICE_MAX, max(0.0, load - LOAD_FROM) * PRICE_PER_LOAD))
