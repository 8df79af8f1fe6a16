"""What the clock does: every recurring job, on one page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from dispatch import offers
from dispatch.eta import EtaKeeper
from dispatch.eta_learner import EtaLearner
from dispatch.moves import Moves
from dispatch.numbers import BoardNumbers
from dispatch.roll_call import RollCall
from dispatch.watch import Lookout
from kernel.clock import JUMP_MIN_S, Clock, JumpWatch
from kernel.db import Database, Reason
from kernel.supervise import Supervisor
from tenancy import stores
from tracking.doorkeeper import LOOK_S, Doorkeeper
from tracking.filters_kept import Filters
from tracking.retention import forget_old
from tracking.streams import Streams

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Timer:
    """One job and how long it rests between two runs."""

    name: str
    period_s: float
    run: Callable[[], Awaitable[object]]


def everybodys(streams: Streams, filters: Filters, doorkeeper: Doorkeeper) -> tuple[Timer, ...]:
    """Return what every process does, for the viewers and the drivers that it has."""
    return (
        Timer("numbers", 5.0, streams.refresh_numbers),
        Timer("filters", 60.0, filters.refresh),
        Timer("doorkeeper", LOOK_S, doorkeeper.look),
    )


def leaders(
    db: Database,
    clock: Clock,
    eta: EtaKeeper,
    learner: EtaLearner,
    numbers: BoardNumbers,
    lookout: Lookout,
    roll_call: RollCall,
    moves: Moves,
) -> tuple[Timer, ...]:
    """Return what one process does for all. That two do it for a moment, when the leader changes, harms nothing."""

    jumps = JumpWatch(clock, asyncio.get_running_loop().time)

    async def expire_offers() -> None:
        now = clock.now()
        future = now + timedelta(seconds=JUMP_MIN_S)
        async with db.platform_tx(Reason.OFFER_EXPIRY) as con:
            await offers.restart_terms(con, now, LONG_AGO if jumps.jumped() else future)
            await offers.expire_due(con, now)

    async def open_stores() -> None:
        async with db.platform_tx(Reason.HOUSEKEEPING) as con:
            await stores.open_due(con, clock.now())

    async def forget() -> None:
        async with db.platform_tx(Reason.HOUSEKEEPING) as con:
            await con.execute("DELETE FROM sessions WHERE expires_at < now() - interval '7 days'")
            await con.execute("DELETE FROM idempotency_keys WHERE created_at < now() - interval '24 hours'")
            await con.execute("DELETE FROM driver_actions WHERE handled_at < now() - interval '14 days'")
            await con.execute("DELETE FROM alerts WHERE ended_at < now() - interval '90 days'")
            await con.execute("DELETE FROM rejected_fixes WHERE received_at < now() - interval '30 days'")
            await con.execute(
                """DELETE FROM route_plans p WHERE made_at < now() - interval '90 days'
                   AND NOT EXISTS (SELECT FROM planned_routes r WHERE r.plan_id = p.id)"""
            )
            await con.execute("DELETE FROM eta_predictions WHERE at < now() - interval '60 days'")
            await con.execute("DELETE FROM driver_moves WHERE sent_at < now() - interval '30 days'")
            await con.execute("DELETE FROM paused_zones WHERE least(until, ended_at) < now() - interval '90 days'")
            await con.execute("DELETE FROM outbox WHERE done_at < now() - interval '30 days'")

    return (
        Timer("expire_offers", 1.0, expire_offers),
        Timer("eta", 5.0, eta.refresh),
        Timer("eta_learning", 120.0, learner.learn),
        Timer("staffing", 60.0, numbers.note_staffing),
        Timer("lookout", 5.0, lookout.look),
        Timer("roll_call", 5.0, roll_call.look),
        Timer("moves", 30.0, moves.look),
        Timer("open_stores", 5.0, open_stores),
        Timer("forget", 3600.0, forget),
        Timer("retention", 3600.0, lambda: forget_old(db, clock.now())),
    )


def start(supervisor: Supervisor, table: tuple[Timer, ...]) -> None:
    """Run every job, each in a task of its own that comes back after a failure."""
    for timer in table:
        supervisor.start(timer.name, partial(_repeat, supervisor, timer))


async def _repeat(supervisor: Supervisor, timer: Timer) -> None:
    while True:
        await timer.run()
        supervisor.recovered(timer.name)
        await asyncio.sleep(timer.period_s)
