"""Every Redis key and channel, on one page.

The braces are hash tags: an operator's live data, and what a topic says, stay on one shard each, with their channels.
"""

from __future__ import annotations

from uuid import UUID


def operators() -> str:
    """Set of the operators (16 bytes each) whose drivers ever came: whose streams history drains."""
    return "operators"


def positions(operator_id: UUID) -> str:
    """Hash driver id (16 bytes) → packed newest position."""
    return f"pos:{{{operator_id.hex}}}"


def geo_index(operator_id: UUID, minute: int) -> str:
    """Geo set of the drivers heard in a minute (Unix), member = driver id in hex; goes by itself."""
    return f"geo:{{{operator_id.hex}}}:{minute}"


def durable_seqs(operator_id: UUID) -> str:
    """Hash `driver:device` → highest durable frame sequence."""
    return f"seq:{{{operator_id.hex}}}"


def devices_met(operator_id: UUID) -> str:
    """Hash driver id (16 bytes) → packed map of his devices and when (ms) each came."""
    return f"met:{{{operator_id.hex}}}"


def clocks_ahead(operator_id: UUID) -> str:
    """Hash `driver:device` → by how many ms its clock is ahead; only of devices whose clock is off."""
    return f"ahead:{{{operator_id.hex}}}"


def fix_stream(operator_id: UUID) -> str:
    """Stream of packed batches of fixes, durable, on their way to history."""
    return f"fixes:{{{operator_id.hex}}}"


def positions_channel(operator_id: UUID) -> str:
    """Channel of packed position batches, one publish a tick."""
    return f"live:{{{operator_id.hex}}}:positions"


def facts_stream(topic: str) -> str:
    """Bounded history of a topic's facts, entry id = `<offset>-0`."""
    return f"facts:{{{topic}}}"


def facts_offset(topic: str) -> str:
    """The topic's newest offset."""
    return f"facts:{{{topic}}}:offset"


def facts_epoch(topic: str) -> str:
    """The topic's epoch: changes when its history was lost."""
    return f"facts:{{{topic}}}:epoch"


def facts_channel(topic: str) -> str:
    """Channel of a topic's facts."""
    return f"live:{{{topic}}}:facts"


def driver_channel(driver_id: UUID) -> str:
    """Channel of messages for one driver's sockets."""
    return f"live:{{{driver_id.hex}}}:driver"


def erased_channel() -> str:
    """Channel of drivers (16 bytes) whose positions were erased: every process forgets what it remembers of them."""
    return "live:erased"


def fences(operator_id: UUID) -> str:
    """Hash driver id → what the fence of his next stop remembers, packed."""
    return f"fence:{{{operator_id.hex}}}"


def next_stops(operator_id: UUID) -> str:
    """Hash driver id → his next stop and since when, packed."""
    return f"stop:{{{operator_id.hex}}}"


def woken(driver_id: UUID) -> str:
    """When a driver was heard last (ms) before his phone was woken for silence; goes by itself."""
    return f"woken:{driver_id.hex}"


def board_topic(operator_id: UUID) -> str:
    """Topic of everything an operator's board shows."""
    return f"board:{operator_id.hex}"


def business_topic(business_id: UUID) -> str:
    """Topic of everything a business' board shows."""
    return f"business:{business_id.hex}"


def delivery_topic(delivery_id: UUID) -> str:
    """Topic of what one delivery's customer sees."""
    return f"delivery:{delivery_id.hex}"


def staffing(scope_id: UUID) -> str:
    """Hash minute of the hour → packed (minute, open deliveries, available, busy drivers) of a board's scope."""
    return f"staffing:{scope_id.hex}"
