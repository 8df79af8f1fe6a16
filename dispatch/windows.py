"""Time windows of a delivery, as the engine can obey them: by when its goods are ready, and by when it is promised."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import numpy as np

from dispatch.engine.problem import Job, Legs


def in_windows(
    job: Job,
    pickup_until_s: int | None,
    dropoff_from_s: int | None,
    *,
    legs: Legs,
    vehicles: Collection[int],
    service_s: int,
) -> Job:
    """Return the job as the fastest direct way says: not picked up before its door may be knocked at, and late at the
    door when it was picked up after its window. Windows are in seconds from now, None where there is none."""
    if not vehicles or (pickup_until_s is None and dropoff_from_s is None):
        return job
    ways = legs.seconds(np.array([job.pickup]), np.array([job.dropoff]), np.array(sorted(vehicles)))
    direct_s = service_s + int(ways.min())
    ready_s, promised_s = job.ready_s, job.promised_s
    if dropoff_from_s is not None:
        ready_s = max(ready_s, dropoff_from_s - direct_s)
    if pickup_until_s is not None:
        promised_s = min(promised_s, pickup_until_s + direct_s)
    return msgspec.structs.replace(job, ready_s=ready_s, promised_s=promised_s)
