"""The dot of each driver, which never moves back: his newest position in Redis gives way only to a newer one.

A driver may have two devices, on two processes that know nothing of each other's last fix. So Redis itself compares,
in the transaction that makes the fixes durable, and tells viewers only of dots that moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final
from uuid import UUID

from kernel import keys
from kernel.redis import Command
from tracking.fix import pack_position
from tracking.wire import WireFix

AT_ONCE_MAX: Final = 1_000
"""So many at a time: Lua's stack is bounded."""

# A packed position (`tracking.fix.pack_position`) begins with its time: a head, then an unsigned 64-bit number.
# What is told is an array of pairs: the driver's 16 bytes and the position that counts.
_MOVE: Final = """
local count, set, moved = #ARGV / 2, {}, {}
local known = redis.call('HMGET', KEYS[1], unpack(ARGV, 1, count))
for i = 1, count do
  local packed = ARGV[count + i]
  if not known[i] or struct.unpack('>I8', known[i], 3) < struct.unpack('>I8', packed, 3) then
    set[#set + 1] = ARGV[i]
    set[#set + 1] = packed
    moved[#moved + 1] = '\\146\\196\\16' .. ARGV[i] .. packed
  end
end
if #moved > 0 then
  redis.call('HSET', KEYS[1], unpack(set))
  redis.call('SPUBLISH', KEYS[2], struct.pack('>BI4', 0xdd, #moved) .. table.concat(moved))
end
"""


def moves(operator_id: UUID, newest: Mapping[bytes, tuple[WireFix, int]]) -> list[Command]:
    """Return the commands that keep and publish drivers' newest fixes (and when each was received), unless a newer one
    is there.
    """
    touched = (keys.positions(operator_id), keys.positions_channel(operator_id))
    commands: list[Command] = []
    waiting = iter(newest.items())
    while some := list(islice(waiting, AT_ONCE_MAX)):
        drivers = [driver for driver, _ in some]
        positions = [pack_position(fix, received_ms) for _, (fix, received_ms) in some]
        commands.append(("EVAL", _MOVE, len(touched), *touched, *drivers, *positions))
    return commands
