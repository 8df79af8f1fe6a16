"""Facts in order: each topic numbers what it says and keeps a bounded history, so a viewer who was away can catch up.

`epoch` changes when the history was lost (Redis emptied); an offset means something only within its epoch.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

import msgspec

from kernel import keys
from kernel.redis import Redis, Shards

HISTORY_MAX: Final = 1_000
HISTORY_TTL_S: Final = 24 * 3600

_PUBLISH = """
local epoch = redis.call('GET', KEYS[3])
if not epoch then
  epoch = ARGV[2]
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('SET', KEYS[3], epoch)
end
local offset = redis.call('INCR', KEYS[2])
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], offset .. '-0', 'c', ARGV[1])
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[4]) end
redis.call('SPUBLISH', KEYS[4], epoch .. ':' .. offset .. ':' .. ARGV[1])
return offset
"""

_HEAD = """
local epoch = redis.call('GET', KEYS[3])
if not epoch then
  epoch = ARGV[1]
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('SET', KEYS[3], epoch)
  redis.call('EXPIRE', KEYS[3], ARGV[2])
end
return {epoch, redis.call('GET', KEYS[2]) or '0'}
"""

_encode = msgspec.msgpack.Encoder().encode


class Fact(msgspec.Struct, frozen=True):
    """One numbered message of a topic."""

    epoch: str
    offset: int
    changes: list[dict[str, Any]]


class Facts:
    """Publishes and recalls what topics say."""

    def __init__(self, redis: Redis, shards: Shards) -> None:
        self._redis = redis
        self._shards = shards
        self._head = redis.register_script(_HEAD)

    async def publish(self, topic: str, changes: list[dict[str, Any]]) -> int:
        """Say something on a topic, for good, or a number could come twice with another meaning; return its offset."""
        touched = (*_keys(topic), keys.facts_channel(topic))
        said = (_encode(changes), secrets.token_hex(8), HISTORY_MAX, HISTORY_TTL_S)
        (offset,) = await self._shards.write(touched[0], ("EVAL", _PUBLISH, len(touched), *touched, *said))
        return int(offset)

    async def head(self, topic: str) -> tuple[str, int]:
        """Return the topic's epoch and newest offset."""
        epoch, offset = await self._head(keys=_keys(topic), args=[secrets.token_hex(8), HISTORY_TTL_S])
        return epoch.decode(), int(offset)

    async def forget(self, topic: str) -> None:
        """Forget what was said on a topic; its viewers take a fresh snapshot with the next thing that is said."""
        await self._redis.delete(*_keys(topic))

    async def since(self, topic: str, epoch: str, offset: int) -> list[Fact] | None:
        """Return what was said after `offset`; None when that is no longer known (take a new snapshot)."""
        now_epoch, newest = await self.head(topic)
        if now_epoch != epoch or offset > newest:
            return None
        entries = await self._redis.xrange(keys.facts_stream(topic), min=f"{offset + 1}-0")
        facts = [
            Fact(epoch, int(entry_id.split(b"-")[0]), msgspec.msgpack.decode(fields[b"c"]))
            for entry_id, fields in entries
        ]
        if len(facts) != max(0, newest - offset) and (not facts or facts[0].offset != offset + 1):
            return None
        return facts


def read_fact(payload: bytes) -> Fact:
    """Return the fact behind a channel's message."""
    epoch, offset, changes = payload.split(b":", 2)
    return Fact(epoch.decode(), int(offset), msgspec.msgpack.decode(changes))


def _keys(topic: str) -> list[str]:
    return [keys.facts_stream(topic), keys.facts_offset(topic), keys.facts_epoch(topic)]
