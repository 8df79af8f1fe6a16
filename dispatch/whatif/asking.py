"""Asking in a played day: who is asked what, who refuses because he did, who accepts, and when each answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from dispatch.offer import MISSED_MAX, pause_s
from dispatch.whatif.given import Delivery, Refusal
from dispatch.whatif.hands import Hand, Stop


@dataclass(slots=True, eq=False)
class Offer:
    """New jobs for one hand: his whole route with them, when he answers, and his refusal, if it is one."""

    hand: Hand
    jobs: tuple[int, ...]
    stops: list[Stop]
    joins: tuple[int, ...]
    at_s: int
    refusal: Refusal | None


@dataclass(slots=True)
class _Asked:
    """What one delivery's offers came to: how many there were, who is not to be asked until when, and its rest."""

    attempts: int = 0
    not_by: dict[UUID, int] = field(default_factory=dict)
    rests_until_s: int = 0
    told: dict[UUID, int] = field(default_factory=dict)
    pinned_to: UUID | None = None


class Asking:
    """The open offers of a day, and what was refused."""

    def __init__(self, deliveries: Sequence[Delivery], answer_s: int) -> None:
        self._deliveries = deliveries
        self._answer_s = answer_s
        self._known: dict[int, _Asked] = {}
        self.open: list[Offer] = []

    def _of(self, job: int) -> _Asked:
        return self._known.setdefault(job, _Asked())

    def held(self) -> set[int]:
        """Return the jobs that somebody is asked about."""
        return {job for offer in self.open for job in offer.jobs}

    def waits(self, job: int, now: int) -> bool:
        """Say whether nobody is to be asked now: its zone is paused, or many refused. A pin goes over a pause."""
        known = self._known.get(job)
        if known is not None and now < known.rests_until_s:
            return True
        pinned = known is not None and known.pinned_to is not None
        return not pinned and any(since <= now < until for since, until in self._deliveries[job].held)

    def not_by(self, job: int, now: int) -> frozenset[UUID]:
        """Return who refused it lately, or had it taken away."""
        known = self._known.get(job)
        return frozenset() if known is None else frozenset(who for who, until in known.not_by.items() if until > now)

    def pinned_to(self, job: int) -> UUID | None:
        """Return whom a dispatcher chose."""
        known = self._known.get(job)
        return None if known is None else known.pinned_to

    def pin(self, job: int, driver_id: UUID | None, not_again: UUID | None, forever_s: int) -> None:
        """Keep a dispatcher's word: for this driver, or for any but the one who had it. Open offers are taken back."""
        known = self._of(job)
        known.pinned_to, known.rests_until_s = driver_id, 0
        if driver_id is None and not_again is not None:
            known.not_by[not_again] = forever_s
        for offer in [offer for offer in self.open if job in offer.jobs]:
            self._close(offer)

    def ask(self, hand: Hand, jobs: tuple[int, ...], stops: list[Stop], joins: tuple[int, ...], now: int) -> Offer:
        """Ask one driver; he answers in his time."""
        refusal = None
        driver_id = hand.shift.driver_id
        for job in jobs:
            known, past = self._of(job), self._deliveries[job].refusals.get(driver_id, ())
            number = known.told.get(driver_id, 0)
            known.told[driver_id] = number + 1
            if refusal is None and number < len(past):
                refusal = past[number]
        after_s = self._answer_s if refusal is None else refusal.after_s
        offer = Offer(hand, jobs, stops, joins, now + after_s, refusal)
        hand.asked = True
        self.open.append(offer)
        return offer

    def count(self, jobs: tuple[int, ...]) -> None:
        """Note that jobs were offered once more, to however many at once."""
        for job in jobs:
            self._of(job).attempts += 1

    def due(self, now: int) -> list[Offer]:
        """Return the offers that are answered by now, the first answer first."""
        return sorted((one for one in self.open if one.at_s <= now), key=lambda one: (one.at_s, one.hand.number))

    def refuse(self, offer: Offer) -> None:
        """Close an offer that its driver does not want: he is left in peace with it, and in the end so is everybody."""
        assert offer.refusal is not None
        self._close(offer)
        if offer.refusal.missed:
            offer.hand.missed_s.append(offer.at_s)
        else:
            offer.hand.missed_s.clear()
        still = self.held()
        for job in offer.jobs:
            known = self._of(job)
            known.not_by[offer.hand.shift.driver_id] = offer.at_s + self._deliveries[job].cooldown_s
            if job not in still:
                known.pinned_to = None
                known.rests_until_s = offer.at_s + pause_s(known.attempts)

    def take(self, offer: Offer) -> None:
        """Close an accepted offer, and those of the others who were asked for the same."""
        offer.hand.missed_s.clear()
        for other in [other for other in self.open if set(other.jobs) & set(offer.jobs)]:
            self._close(other)

    def void(self, offer: Offer) -> None:
        """Close an offer that came too late: he has left the store."""
        self._close(offer)

    def quiet(self, hand: Hand, now: int, cooldown_s: int) -> bool:
        """Say whether he let so many offers pass that he is left in peace for a while."""
        return sum(at_s > now - cooldown_s for at_s in hand.missed_s[-MISSED_MAX:]) >= MISSED_MAX

    def _close(self, offer: Offer) -> None:
        offer.hand.asked = False
        self.open.remove(offer)
