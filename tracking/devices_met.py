"""What is kept of a driver's devices between their connections: of a few of them, so that nobody fills the store.

A driver has a phone or two. Who greets with ever new devices makes the one met longest ago forgotten: should that one
come back, its frames are counted from anew.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID

from kernel import keys
from kernel.redis import Redis

DEVICES_MAX: Final = 8

_MEET: Final = """
local packed = redis.call('HGET', KEYS[2], ARGV[1])
local met, count, oldest = packed and cmsgpack.unpack(packed) or {}, 0, nil
met[ARGV[2]] = tonumber(ARGV[3])
for device, at in pairs(met) do
  count = count + 1
  if device ~= ARGV[2] and (not oldest or at < met[oldest]) then oldest = device end
end
if count > tonumber(ARGV[4]) then
  met[oldest] = nil
  redis.call('HDEL', KEYS[3], ARGV[1] .. oldest)
  redis.call('HDEL', KEYS[4], ARGV[1] .. oldest)
end
redis.call('HSET', KEYS[2], ARGV[1], cmsgpack.pack(met))
return {
  redis.call('HGET', KEYS[1], ARGV[1]),
  redis.call('HGET', KEYS[3], ARGV[1] .. ARGV[2]),
  redis.call('HGET', KEYS[4], ARGV[1] .. ARGV[2]),
}
"""


class Met(NamedTuple):
    """A driver's packed position, and of his device the highest durable frame and by how many ms its clock is ahead."""

    position: bytes | None
    durable_seq: int
    ahead_ms: int


class DevicesMet:
    """The devices of all drivers."""

    def __init__(self, redis: Redis) -> None:
        self._meet = redis.register_script(_MEET)

    async def meet(self, operator_id: UUID, driver_id: UUID, device_id: str, now_ms: int) -> Met:
        """Return what is known of a driver and his device, and remember that it came."""
        touched = [
            keys.positions(operator_id),
            keys.devices_met(operator_id),
            keys.durable_seqs(operator_id),
            keys.clocks_ahead(operator_id),
        ]
        said = [driver_id.bytes, device_id, now_ms, DEVICES_MAX]
        position, seq, ahead_ms = await self._meet(keys=touched, args=said)
        return Met(position, int(seq or 0), int(ahead_ms or 0))
