"""What the engine is asked in a played day: the same question as live, of what can be known at that moment."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dispatch.engine.problem import NOWHERE, OFF_NEVER_S, Driver, Job, Legs
from dispatch.engine.problem import Stop as RouteStop
from dispatch.whatif.asking import Asking
from dispatch.whatif.given import Delivery, Rules
from dispatch.whatif.hands import Hand, World
from dispatch.windows import in_windows


def job_of(
    number: int, delivery: Delivery, now: int, asking: Asking, rules: Rules, legs: Legs, vehicles: Collection[int]
) -> Job:
    """Return a delivery as a job, as things stand."""
    job = Job(
        id=delivery.id,
        business_id=delivery.business_id,
        pickup=delivery.pickup,
        dropoff=delivery.dropoff,
        placed_s=min(0, delivery.placed_s - now),
        ready_s=delivery.said_ready_s(now) - now,
        promised_s=delivery.promised_s - now,
        uses_shared_pool=delivery.uses_shared_pool,
        stack_max=delivery.stack_max,
        several_stores=delivery.several_stores,
        needs=delivery.needs,
        not_by=asking.not_by(number, now),
        pinned_to=asking.pinned_to(number),
        size=delivery.size,
        distance_m=delivery.distance_m,
    )
    return in_windows(
        job,
        None if delivery.pickup_until_s is None else delivery.pickup_until_s - now,
        None if delivery.dropoff_from_s is None else delivery.dropoff_from_s - now,
        legs=legs,
        vehicles=vehicles,
        service_s=rules.pickup_service_s,
    )


def driver_of(
    world: World, hand: Hand, deliveries: Sequence[Delivery], now: int, rules: Rules, keeps: tuple[int, ...] | None
) -> Driver:
    """Return a hand as a driver; `keeps`, where he is bound for a store and may be given more, is what he has there."""
    shift, heading_to, here = hand.shift, NOWHERE, NOWHERE
    route: tuple[RouteStop, ...] = ()
    if keeps is not None:
        fetch = next(visit for visit in world.visits(hand, now) if visit.stops[0].pickup)
        place, free_s, heading_to = fetch.place, fetch.arrive_s, fetch.place
    elif hand.idle:
        place, free_s = world.here(hand, now), max(hand.free_s, shift.on_s)
    else:
        place, free_s = world.end(hand, now)
        if all(stop.job is None or deliveries[stop.job].several_stores for stop in hand.stops):
            here = world.here(hand, now)
            route = tuple(
                _route_stop(stop.place, deliveries[stop.job], now, pickup=stop.pickup)
                for stop in hand.stops
                if stop.job is not None
            )
    return Driver(
        id=shift.driver_id,
        place=place,
        free_s=free_s - now,
        off_s=shift.off_s - now if rules.tells_end else OFF_NEVER_S,
        vehicle=shift.vehicle,
        pool=shift.pool,
        business_priority=shift.business_priority,
        jobs_done=hand.jobs_done,
        skills=shift.skills,
        capacity=shift.capacity,
        distance_m_max=shift.distance_m_max,
        heading_to=heading_to,
        keeps=keeps or (),
        here=here,
        route=route,
    )


def _route_stop(place: int, delivery: Delivery, now: int, *, pickup: bool) -> RouteStop:
    if pickup:
        return RouteStop(place, ready_s=delivery.said_ready_s(now) - now, size=delivery.size)
    return RouteStop(place, promised_s=delivery.promised_s - now, size=delivery.size)
