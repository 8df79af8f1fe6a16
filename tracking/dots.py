"""The dot of each driver, which never moves back: his newest position in Redis gives way only to a newer one.

A driver may have two devices, on two processes that know nothing of each other's last fix. So Redis itself compares,
in the transaction that makes the fixes durable, and tells viewers only of dots that moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from kernel import keys
from tracking.fix import Position, pack_rows

AT_ONCE_MAX: Final = 1_000
"""So many at a time: Lua's stack is bounded."""

# A packed position (`tracking.fix.Position.pack`) begins with its time: a head, then an unsigned 64-bit number.
# What is told is an array of the rows that count, each packed before.
_MOVE: Final = """
local count, set, moved = #ARGV / 3, {}, {}
local known = redis.call('HMGET', KEYS[1], unpack(ARGV, 1, count))
for i = 1, count do
  local packed = ARGV[count + i]
  if not known[i] or struct.unpack('>I8', known[i], 3) < struct.unpack('>I8', packed, 3) then
    set[#set + 1] = ARGV[i]
    set[#set + 1] = packed
    moved[#moved + 1] = ARGV[2 * count + i]
  end
end
if #moved > 0 then
  redis.call('HSET', KEYS[1], unpack(set))
  redis.call('SPUBLISH', KEYS[2], struct.pack('>BI4', 0xdd, #moved) .. table.concat(moved))
end
"""


def move(pipe: Any, operator_id: UUID, positions: Sequence[Position]) -> None:
    """Add to a pipeline that these positions are kept and published, each unless a newer one is there."""
    touched = (keys.positions(operator_id), keys.positions_channel(operator_id))
    for start in range(0, len(positions), AT_ONCE_MAX):
        some = positions[start : start + AT_ONCE_MAX]
        drivers = [p.driver_id.bytes for p in some]
        told = [pack_rows([p.driver_id.bytes, p.lat, p.lng, p.heading_deg, p.speed_mps, p.t_ms]) for p in some]
        kept = [p.pack() for p in some]
        pipe.execute_command("EVAL", _MOVE, len(touched), *touched, *drivers, *kept, *told)
