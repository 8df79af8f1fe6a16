"""Late-risk: from when on, and why, an open delivery is likely to miss its promise.

The rule is one table, so that a board, an alert and a report mean the same. It gives an instant instead of a yes or no:
an object that is not published again stays true while time goes by.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from dispatch.delivery import WITH_DRIVER, DeliveryStatus
from geo.distance import DETOUR
from geo.travel import CROW_FLIES, Vehicle
from kernel.db import Record

PICKUP_S: Final = 120
"""What a pickup takes, from the driver's arrival at the store to his leaving it."""
SEEKING: Final = frozenset({DeliveryStatus.PENDING, DeliveryStatus.OFFERED})
ON_THE_WAY: Final = WITH_DRIVER - {DeliveryStatus.FAILED, DeliveryStatus.RETURNING}


def risk_of(row: Record) -> dict[str, Any] | None:
    """Return `{code, from}` of a delivery's row (`from` may be to come), or None when nobody can bring it any more.

    `eta_late`: the expected arrival is after the promise. `eta_tight`: one in ten such arrivals is. `no_time_left`:
    nobody has it, and even a driver who stood at the store would be late. `overdue`: the promised time has passed.
    """
    promised_at: datetime = row["promised_at"]
    if row["status"] in SEEKING:
        start_s, per_m_s = CROW_FLIES[Vehicle.BICYCLE]
        ride_s = start_s + per_m_s * row["distance_m"] / DETOUR
        return {"code": "no_time_left", "from": promised_at - timedelta(seconds=round(PICKUP_S + ride_s))}
    if row["status"] not in ON_THE_WAY:
        return None
    if row["eta_dropoff_p50"] is not None and row["eta_dropoff_p50"] > promised_at:
        return {"code": "eta_late", "from": row["created_at"]}
    if row["eta_dropoff_p90"] is not None and row["eta_dropoff_p90"] > promised_at:
        return {"code": "eta_tight", "from": row["created_at"]}
    return {"code": "overdue", "from": promised_at}
