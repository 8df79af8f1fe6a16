"""A past day, played: the day as the database knows it becomes a day that can be played, and that an outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dispatch.decisions import OFFER_LEAD_S
from dispatch.engine.legs import VEHICLES
from dispatch.engine.problem import REACH_MAX_S, Legs
from dispatch.policy import Mode, Policy
from dispatch.snapshot import LEAD_S
from dispatch.whatif.day import FOREVER, Day
from dispatch.whatif.given import Delivery, Refusal, Rules, Shift
from dispatch.whatif.outcome import Move, Outcome
from dispatch.whatif.past import PastDay, PastDelivery
from geo.point import Point
from kernel.clock import to_ms

EPOCH_S: Final = 20


def play(day: PastDay, legs: Legs, places: dict[Point, int], told: Callable[[float], None]) -> Outcome:
    """Play a day; `told` hears the share of it that is over."""
    limits, usual = day.policies.operator.vehicles, day.policies.operator
    played = Day(
        tuple(_delivery(one, day.policies.of(one.business_id), places) for one in day.deliveries),
        tuple(
            Shift(
                driver_id=shift.driver_id,
                place=places[shift.at],
                on_s=shift.on_s,
                off_s=shift.off_s,
                vehicle=VEHICLES.index(shift.vehicle),
                pool=shift.pool,
                business_priority=shift.business_priority,
                skills=shift.skills,
                capacity=limits[shift.vehicle].capacity,
                distance_m_max=limits[shift.vehicle].distance_m_max,
            )
            for shift in day.shifts
        ),
        legs,
        Rules(
            epoch_s=EPOCH_S,
            lead_s=OFFER_LEAD_S,
            tells_end=False,
            answer_s=min(day.lived.answer_s, usual.offer_ttl_s),
            cooldown_s=usual.decline_cooldown_s,
            moves=usual.moves,
            moves_every_s=usual.moves_every_s,
            pickup_service_s=day.lived.pickup_s,
            dropoff_service_s=day.lived.dropoff_s,
            weights=usual.weights,
            business_weights=day.policies.weights(),
        ),
        to_ms(day.starts_at),
    )
    played.play(told)
    return _outcome(day, played, list(places))


def _delivery(one: PastDelivery, policy: Policy, places: dict[Point, int]) -> Delivery:
    """Return a delivery under a policy: when the dispatcher learns of it, and how it may be given to whom."""
    known_s = max(one.placed_s, max(one.ready_s, (one.dropoff_from_s or -FOREVER) - REACH_MAX_S) - LEAD_S)
    by_hand = [pin.at_s for pin in one.pins]
    if policy.mode is Mode.MANUAL:
        given_s = min([*by_hand, FOREVER if one.assigned_s is None else one.assigned_s])
        known_s = max(one.placed_s, given_s)
    really_s = one.ready_s if one.picked_s is None else min(one.ready_s, one.picked_s)
    return Delivery(
        id=one.id,
        business_id=one.business_id,
        pickup=places[one.pickup],
        dropoff=places[one.dropoff],
        placed_s=one.placed_s,
        known_s=max(one.placed_s, min([known_s, *by_hand])),
        ready_s=really_s if one.was_ready_s is None else one.was_ready_s,
        announced_s=one.ready_s,
        promised_s=one.promised_s,
        pickup_until_s=one.pickup_until_s,
        dropoff_from_s=one.dropoff_from_s,
        uses_shared_pool=one.uses_shared_pool,
        several_stores=policy.several_stores,
        stack_max=policy.stack_max,
        needs=one.needs,
        size=one.size,
        distance_m=one.distance_m,
        pins=one.pins,
        held=one.paused,
        refusals={
            driver_id: tuple(_under(refusal, policy) for refusal in refusals)
            for driver_id, refusals in one.refusals.items()
        },
        cooldown_s=policy.decline_cooldown_s,
        asks=policy.offer_to_count if policy.mode is Mode.OFFER_TO_SEVERAL else 1,
    )


def _under(refusal: Refusal, policy: Policy) -> Refusal:
    """Return a refusal where offers are open for as long as the policy says."""
    return Refusal(policy.offer_ttl_s if refusal.missed else min(refusal.after_s, policy.offer_ttl_s), refusal.missed)


def _outcome(day: PastDay, played: Day, where: list[Point]) -> Outcome:
    """Return what came of a played day; goods are in hand, and handed over, when the hand-over is done."""

    def point(place: int) -> Point:
        amid = played.between(place)
        if amid is None:
            return where[place]
        start, end, share = point(amid[0]), point(amid[1]), amid[2]
        return Point(start.lat + share * (end.lat - start.lat), start.lng + share * (end.lng - start.lng))

    outcome = Outcome()
    half_pickup, half_dropoff = played.rules.pickup_service_s // 2, played.rules.dropoff_service_s // 2
    for job, shift in played.hand.items():
        outcome.driver[job] = day.shifts[shift].driver_id
        outcome.picked_s[job] = played.picked_s[job] + half_pickup
        outcome.door_s[job] = played.door_s[job] + half_dropoff
        outcome.told_s[job] = played.told_s[job]
    outcome.moves = [
        Move(day.shifts[way.shift].driver_id, way.at_s, point(way.start), point(way.end), way.aboard)
        for way in played.ways
    ]
    return outcome
