"""Whoever wakes phones is told once, signed, without anybody waiting; and a broken relay hurts nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from kernel.clock import SystemClock
from kernel.ids import new_id
from kernel.redis import Redis
from onward.adapters.wake import AT_ONCE_MAX, WAITING_MAX, NobodyWakes, WebhookWakeUp, wake_up_by, wake_url
from onward.embedded import Servers
from tests.support.people import create_delivery, eventually, until
from tests.support.server import start_onward
from tests.support.wake import RecordingWakeUp, relay
from tests.support.world import Driver
from tracking.ports import WakeUp

SECRET = b"the installation's"


@asynccontextmanager
async def recording() -> AsyncIterator[tuple[WakeUp, Callable[[int], Any]]]:
    told = RecordingWakeUp()

    async def heard(_count: int) -> Any:
        return told.asked

    yield told, heard


@asynccontextmanager
async def by_webhook() -> AsyncIterator[tuple[WakeUp, Callable[[int], Any]]]:
    async with relay(SECRET) as told:
        wakes = WebhookWakeUp(told.url, SECRET, SystemClock())

        async def heard(count: int) -> Any:
            await until(lambda: len(told.asked) >= count, "the relay is told", told.changed)
            return sorted(told.asked)

        yield wakes, heard
        await wakes.aclose()


@pytest.mark.parametrize("made", [recording, by_webhook])
async def test_who_is_to_be_woken_and_why_is_told_once(made: Any) -> None:
    """The one law of the port, for what tests use and for what installations use."""
    quiet, missed = sorted([new_id(), new_id()])
    async with made() as (wakes, heard):
        await wakes.wake(quiet, "silent")
        await wakes.wake(missed, "offer")
        assert await heard(2) == [(quiet, "silent"), (missed, "offer")]


def outcomes() -> dict[str, float]:
    names = ("sent", "failed", "dropped")
    return {name: REGISTRY.get_sample_value("onward_wakes_total", {"outcome": name}) or 0 for name in names}


async def test_a_slow_relay_holds_up_nobody_and_is_asked_by_a_few_at_once() -> None:
    """Asking never waits; what would pile up without bound is dropped and counted."""
    before = outcomes()
    async with relay(SECRET) as told:
        told.gate.clear()
        wakes = WebhookWakeUp(told.url, SECRET, SystemClock())
        for _ in range(WAITING_MAX + 5):
            await wakes.wake(new_id(), "silent")
        await until(lambda: told.at_once == AT_ONCE_MAX, "a few are asked", told.changed)
        assert outcomes()["dropped"] - before["dropped"] == 5
        told.gate.set()
        await until(lambda: len(told.asked) == WAITING_MAX, "the others follow", told.changed)
        assert told.at_once_max == AT_ONCE_MAX
        await wakes.aclose()


async def test_a_relay_that_fails_or_is_away_is_told_of_in_the_metrics_alone() -> None:
    """Nothing is raised to who asked, a redirect is not followed, and a wrong secret is of no use."""
    before = outcomes()
    async with relay(SECRET) as told:
        wakes, stranger = (WebhookWakeUp(told.url, secret, SystemClock()) for secret in (SECRET, b"another"))
        told.status = 307
        await wakes.wake(new_id(), "silent")
        await until(lambda: told.asked, "the relay is told", told.changed)
        await stranger.wake(new_id(), "silent")
    away = WebhookWakeUp(told.url, SECRET, SystemClock())
    await away.wake(new_id(), "offer")

    async def ended() -> dict[str, float]:
        await asyncio.sleep(0)
        return {name: n - before[name] for name, n in outcomes().items()}

    await eventually(ended, lambda n: sum(n.values()) == 3, "all three have ended")
    assert await ended() == {"sent": 0, "failed": 3, "dropped": 0}
    assert len(told.asked) == 1
    for each in (wakes, stranger, away):
        await each.aclose()


def test_only_a_web_address_can_be_told() -> None:
    """A typing mistake stops the start, not a push at night; without one nobody is told."""
    assert wake_url("https://push.example/wake") == "https://push.example/wake"
    for wrong in ("push.example", "ftp://push.example", "https://"):
        with pytest.raises(ValueError, match="https://"):
            wake_url(wrong)
    assert isinstance(wake_up_by("", SECRET, SystemClock()), NobodyWakes)


async def test_an_offer_that_no_open_socket_can_hear_has_the_phone_woken(
    db_url: str, servers: Servers, redis: Redis, tmp_path: Path
) -> None:
    """His app reports by HTTP and holds no socket: the relay hears of the offer, signed by this installation."""
    (tmp_path / "secret").write_bytes(SECRET)
    async with (
        relay(SECRET) as told,
        start_onward(db_url, servers.redis_url, tmp_path, wake_url=told.url) as onward,
    ):
        driver: Driver = onward.world.pool[0]
        at = {"t": int(time.time() * 1000), "lat": onward.world.verde.lat, "lng": onward.world.verde.lng}
        for method, path, body in (
            ("POST", "/api/v1/driver/location", at),
            ("PATCH", "/api/v1/driver/availability", {"state": "available"}),
        ):
            async with onward.http.request(method, path, json=body, headers=onward.as_(driver.token)) as reply:
                assert reply.status == 200, await reply.text()
        await create_delivery(onward, onward.world.verde)
        await until(lambda: told.asked, "the relay is told", told.changed)
        assert told.asked == [(driver.id, "offer")]
        assert set(told.bodies[0]) == {"driver_id", "reason", "at"}
