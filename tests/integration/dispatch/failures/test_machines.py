"""Machines that fail: a planner that dies, a tick that breaks, two dispatchers on one market."""

from __future__ import annotations

import asyncio
from typing import Any

from dispatch.planner import Planner, PlannerAway
from dispatch.tick import Dispatcher
from geo.travel import CrowFlies
from kernel.ids import Kind, parse
from tests.support.people import create_delivery, eventually
from tests.support.server import Onward
from tests.support.trouble import at_their_places, part, sql
from tracking.live import LivePositions


class NoPlanner:
    """A planner that dies, until it is mended."""

    def __init__(self, real: Planner) -> None:
        self.real = real
        self.dies = True
        self.asked = 0

    async def answer(self, question: Any) -> Any:
        self.asked += 1
        if self.dies:
            raise PlannerAway("BrokenProcessPool")
        return await self.real.answer(question)


async def test_a_planner_that_dies_costs_a_tick_and_one_that_stays_dead_is_stood_in_for(onward: Onward) -> None:
    """Two ticks are lost, the third matches plainly and raises the alert; when the planner is back it is over."""
    world, installation = onward.world, onward.installation
    await installation.supervisor.stop()
    planner = NoPlanner(part(onward, Planner))
    dispatcher = Dispatcher(installation.db, part(onward, LivePositions), planner, installation.clock)  # type: ignore[arg-type]
    await at_their_places(onward, 2)
    delivery = await create_delivery(onward, world.verde)
    assert [await dispatcher.tick(world.operator_id) for _ in range(2)] == [0, 0]
    assert await sql(onward, "SELECT 1 FROM alerts") == []
    assert await dispatcher.tick(world.operator_id) == 1
    sent = await sql(onward, "SELECT delivery_id FROM offer_deliveries")
    assert [row["delivery_id"] for row in sent] == [parse(Kind.DELIVERY, delivery["id"])]
    opened = await sql(onward, "SELECT code, severity FROM alerts WHERE ended_at IS NULL")
    assert [tuple(row) for row in opened] == [("planner_down", "critical")]
    assert planner.asked == 3
    planner.dies = False
    dispatcher._planner._ask_again_at_s = 0.0
    await create_delivery(onward, world.verde)
    assert await dispatcher.tick(world.operator_id) == 1
    assert await sql(onward, "SELECT 1 FROM alerts WHERE ended_at IS NULL") == []


async def test_a_planner_killed_from_outside_is_replaced_at_the_next_question(onward: Onward) -> None:
    """kill -9 while it is idle: one call fails, the next has a new process."""
    planner = Planner(CrowFlies)
    try:
        await planner.warm_up()
        assert planner._pool is not None
        for process in list(planner._pool._processes.values()):
            process.kill()
            await asyncio.to_thread(process.join)

        async def asked() -> bool:
            try:
                return (await planner.leg_seconds([])).seconds == []
            except PlannerAway:
                return False

        await eventually(asked, bool, "a new process answers")
    finally:
        planner.close()


async def test_a_tick_that_fails_does_not_end_the_loop(onward: Onward) -> None:
    """Redis answers nonsense once: it is told, counted, and the next tick does its work."""
    world, installation = onward.world, onward.installation
    await installation.supervisor.stop()
    await at_their_places(onward, 1)
    await create_delivery(onward, world.verde)
    live = part(onward, LivePositions)

    class OnceWrong:
        wrong = True

        async def nearest(self, *args: Any, **more: Any) -> Any:
            if self.wrong:
                self.wrong = False
                raise ValueError("nonsense")
            return await live.nearest(*args, **more)

        async def positions(self, *args: Any) -> Any:
            return await live.positions(*args)

    dispatcher = Dispatcher(installation.db, OnceWrong(), part(onward, Planner), installation.clock)  # type: ignore[arg-type]
    task = asyncio.create_task(dispatcher.run())
    try:
        await eventually(lambda: sql(onward, "SELECT 1 FROM offers"), bool, "the next tick sends an offer")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_two_dispatchers_on_one_market_cannot_give_one_delivery_twice(onward: Onward) -> None:
    """Both planned from the same snapshot, the lock is of no use: the database lets one offer through."""
    world, installation = onward.world, onward.installation
    await installation.supervisor.stop()
    await at_their_places(onward, 2)
    for _ in range(4):
        await create_delivery(onward, world.verde)
    live, planner = part(onward, LivePositions), part(onward, Planner)
    both = asyncio.Barrier(2)

    class Together:
        """Both have their plans before either commits."""

        async def answer(self, question: Any) -> Any:
            answer = await planner.answer(question)
            await both.wait()
            return answer

    pair = [Dispatcher(installation.db, live, Together(), installation.clock) for _ in range(2)]  # type: ignore[arg-type]
    sent = await asyncio.gather(*(one._tick(world.operator_id) for one in pair))
    held = await sql(onward, "SELECT delivery_id FROM offer_deliveries WHERE holds")
    assert len(held) == len({row["delivery_id"] for row in held})
    offers_open = await sql(onward, "SELECT driver_id FROM offers WHERE status = 'sent'")
    assert sum(number or 0 for number in sent) == len(offers_open) >= 1
    assert len(offers_open) == len({row["driver_id"] for row in offers_open})
