"""The driver's state as a table. Work makes a driver busy; only a driver without work can leave or take a break.

Who falls silent without work is taken off line, and is back as soon as his phone is; who left himself is not.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from kernel.machine import Machine


class DriverState(StrEnum):
    """Whether a driver can be given work."""

    OFFLINE = "offline"
    AVAILABLE = "available"
    BUSY = "busy"
    ON_BREAK = "on_break"


class DriverEvent(StrEnum):
    """What can happen to a driver's state."""

    GO_ONLINE = "go on line"
    TAKE_WORK = "take work"
    RUN_OUT_OF_WORK = "run out of work"
    TAKE_A_BREAK = "take a break"
    GO_OFFLINE = "go off line"
    FALL_SILENT = "fall silent"
    COME_BACK = "come back"


S, E = DriverState, DriverEvent

DRIVER: Final = Machine[DriverState, DriverEvent](
    "driver",
    S.OFFLINE,
    {
        (S.OFFLINE, E.GO_ONLINE): S.AVAILABLE,
        (S.ON_BREAK, E.GO_ONLINE): S.AVAILABLE,
        (S.AVAILABLE, E.GO_ONLINE): S.AVAILABLE,
        (S.BUSY, E.GO_ONLINE): S.BUSY,
        (S.AVAILABLE, E.TAKE_WORK): S.BUSY,
        (S.ON_BREAK, E.TAKE_WORK): S.BUSY,
        (S.BUSY, E.TAKE_WORK): S.BUSY,
        (S.BUSY, E.RUN_OUT_OF_WORK): S.AVAILABLE,
        (S.AVAILABLE, E.TAKE_A_BREAK): S.ON_BREAK,
        (S.ON_BREAK, E.TAKE_A_BREAK): S.ON_BREAK,
        (S.AVAILABLE, E.GO_OFFLINE): S.OFFLINE,
        (S.ON_BREAK, E.GO_OFFLINE): S.OFFLINE,
        (S.OFFLINE, E.GO_OFFLINE): S.OFFLINE,
        (S.AVAILABLE, E.FALL_SILENT): S.OFFLINE,
        (S.OFFLINE, E.COME_BACK): S.AVAILABLE,
    },
)

ASKED: Final[dict[str, DriverEvent]] = {
    "available": E.GO_ONLINE,
    "on_break": E.TAKE_A_BREAK,
    "offline": E.GO_OFFLINE,
}
"""The states a driver can ask for."""

ON_SHIFT: Final = frozenset({S.AVAILABLE, S.BUSY})
"""The states in which a driver is at work."""
