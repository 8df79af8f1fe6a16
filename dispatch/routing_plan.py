"""Routes planned ahead as people ask for them and see them, and the way from the one to the other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from dispatch.engine.cost import Terms
from dispatch.engine.problem import Driver, Job
from dispatch.policy import Capacity, Policies
from dispatch.rides import Rides
from dispatch.routing.explain import Added
from dispatch.routing.problem import Planned, PlannedRoute
from dispatch.routing_process import Answer, AskedJob, AskedShift, Question
from dispatch.unassigned import UnassignedReason
from geo.point import Point
from geo.travel import Vehicle
from kernel.db import Record
from kernel.errors import invalid
from kernel.ids import Kind, new_id, show, show_or_none

SHIFTS_MAX = 50
HOURS_MAX = timedelta(hours=24)
AHEAD_MAX = timedelta(days=31)


class Hands(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose hours: a driver's, or those of `count` drivers of a `vehicle` whom nobody has named yet.

    Without `start` or `end` he begins at his first stop and is free at his last.
    """

    on_at: datetime
    off_at: datetime
    driver_id: str | None = None
    vehicle: Vehicle | None = None
    count: Annotated[int, Meta(ge=1, le=SHIFTS_MAX)] = 1
    start: Point | None = None
    end: Point | None = None
    capacity: Capacity | None = None


class StopView(msgspec.Struct, frozen=True):
    """A stop of a planned route: served from `at` on, `late_s` after its window; of the delivery's `version`."""

    kind: str
    delivery_id: str
    version: int
    short_code: str
    name: str
    address: str
    lat: float
    lng: float
    at: datetime
    late_s: int


class RouteView(msgspec.Struct, frozen=True):
    """One driver's round. Without a `driver_id` somebody with this vehicle has to be named to commit it."""

    driver_id: str | None
    driver_name: str | None
    vehicle: Vehicle
    start: Point | None
    end: Point | None
    start_at: datetime
    end_at: datetime
    drive_s: int
    wait_s: int
    late_s: int
    distance_m: int
    stops: list[StopView]

    def deliveries(self) -> dict[str, int]:
        """Return delivery → version, in the order of their pickups."""
        return {stop.delivery_id: stop.version for stop in self.stops if stop.kind == "pickup"}


class UnplannedView(msgspec.Struct, frozen=True):
    """A delivery on no route, and why."""

    delivery_id: str
    short_code: str
    address: str
    reason: UnassignedReason


class PlanView(msgspec.Struct, frozen=True, kw_only=True):
    """Proposed routes. `travel_source` says whose seconds they rest on; `travel_down`: straight lines stood in."""

    id: str
    business_id: str | None
    made_at: datetime
    committed_at: datetime | None = None
    travel_source: str
    travel_down: bool
    planned: int
    late: int
    late_s: int
    drive_s: int
    distance_m: int
    routes: list[RouteView]
    unplanned: list[UnplannedView]


class PlannedCandidate(msgspec.Struct, frozen=True):
    """A driver's price for a delivery on his round, and the seconds of driving it adds; None where nobody is named."""

    driver_id: UUID | None
    total: int
    terms: Terms
    added_s: int


class PlannedWhy(msgspec.Struct, frozen=True):
    """Why a delivery is on a round, as decisions are kept."""

    chosen: PlannedCandidate
    runners_up: list[PlannedCandidate]
    excluded: dict[str, int]
    together: list[str]
    method: str = "routes"


class Hand(msgspec.Struct, frozen=True):
    """One driver's hours in a plan; without a driver's row nobody is named yet."""

    asked: Hands
    vehicle: Vehicle
    driver: Record | None = None


def check_hours(hands: Sequence[Hands], now: datetime) -> None:
    """Raise `validation_failed` for hours that nobody can work."""
    for number, asked in enumerate(hands):
        field = f"drivers[{number}]"
        if (asked.driver_id is None) == (asked.vehicle is None):
            raise invalid(field, "Give either driver_id or vehicle.")
        if asked.driver_id is not None and asked.count > 1:
            raise invalid(f"{field}.count", "A driver you name is one.")
        if asked.on_at.tzinfo is None or asked.off_at.tzinfo is None:
            raise invalid(f"{field}.on_at", "Give the time zone: 2026-05-01T12:00:00Z.")
        if not timedelta() < asked.off_at - asked.on_at <= HOURS_MAX:
            raise invalid(f"{field}.off_at", "Hours end after they begin, and within 24 hours.")
        if asked.off_at <= now or asked.on_at > now + AHEAD_MAX:
            raise invalid(f"{field}.off_at", f"Hours are to come, at most {AHEAD_MAX.days} days ahead.")
    if sum(asked.count for asked in hands) > SHIFTS_MAX:
        raise invalid("drivers", f"At most {SHIFTS_MAX} drivers in one plan.")


def question_of(
    rows: Sequence[Record],
    hands: Sequence[Hand],
    policies: Policies,
    rides: Rides,
    now: datetime,
    *,
    limit_s: int,
    fewest_drivers: bool,
) -> Question:
    """Return what the planner is asked about these deliveries and these hours."""

    def second(at: datetime) -> int:
        return round((at - now).total_seconds())

    anybody = frozenset(need for row in rows for need in row["needs"])
    businesses = {row["business_id"]: 1 for row in rows}
    shifts = []
    for hand in hands:
        limits = policies.operator.vehicles[hand.vehicle]
        who = hand.driver
        driver = Driver(
            id=new_id() if who is None else who["id"],
            place=0,
            pool="dedicated" if who is None else who["pool"],
            business_priority=businesses
            if who is None
            else {UUID(key): value for key, value in who["priorities"].items()},
            skills=anybody if who is None else frozenset(who["skills"]),
            capacity=hand.asked.capacity or limits.capacity,
            distance_m_max=limits.distance_m_max,
        )
        on_s = max(0, second(hand.asked.on_at))
        hours = AskedShift(driver, hand.vehicle, on_s, second(hand.asked.off_at), hand.asked.start, hand.asked.end)
        shifts.append(hours)
    jobs = []
    for row in rows:
        job = Job(
            id=row["id"],
            business_id=row["business_id"],
            pickup=0,
            dropoff=0,
            placed_s=0,
            ready_s=second(row["ready_at"]),
            promised_s=second(row["promised_at"]),
            uses_shared_pool=row["uses_shared_pool"],
            needs=frozenset(row["needs"]),
            not_by=frozenset(row["kept_from"]),
            size=row["size"],
            distance_m=row["distance_m"],
        )
        until_s = None if row["pickup_until"] is None else second(row["pickup_until"])
        from_s = None if row["dropoff_from"] is None else second(row["dropoff_from"])
        ends = Point(row["p_lat"], row["p_lng"]), Point(row["q_lat"], row["q_lng"])
        jobs.append(AskedJob(Planned(job, until_s, from_s), *ends))
    return Question(
        tuple(shifts), tuple(jobs), policies.operator.weights, policies.weights(), fewest_drivers, float(limit_s), rides
    )


def whys_of(rows: Sequence[Record], hands: Sequence[Hand], answer: Answer) -> dict[str, PlannedWhy]:
    """Return for each planned delivery why it is on its round."""

    def candidate(added: Added) -> PlannedCandidate:
        driver = hands[added.shift].driver
        return PlannedCandidate(None if driver is None else driver["id"], added.terms.total, added.terms, added.added_s)

    return {
        show(Kind.DELIVERY, rows[why.job]["id"]): PlannedWhy(
            chosen=candidate(why.chosen),
            runners_up=[candidate(other) for other in why.runners_up if hands[other.shift].driver is not None],
            excluded=why.excluded,
            together=[show(Kind.DELIVERY, rows[job]["id"]) for job in why.together],
        )
        for why in answer.why
    }


def view_of(
    plan_id: UUID,
    business_id: UUID | None,
    rows: Sequence[Record],
    hands: Sequence[Hand],
    answer: Answer,
    now: datetime,
) -> PlanView:
    """Return the answer as people see it."""
    plan = answer.plan
    routes = [
        _route(rows, hands[route.shift], route, distance_m, now)
        for route, distance_m in zip(plan.routes, answer.distances_m, strict=True)
    ]
    left = [rows[number] for number in plan.left]
    return PlanView(
        id=show(Kind.ROUTE_PLAN, plan_id),
        business_id=show_or_none(Kind.BUSINESS, business_id),
        made_at=now,
        travel_source=answer.source,
        travel_down=answer.travel_down,
        planned=len(rows) - len(left),
        late=sum(visit.late_s > 0 for route in plan.routes for visit in route.visits if visit.kind == "dropoff"),
        late_s=sum(route.late_s for route in plan.routes),
        drive_s=sum(route.drive_s for route in plan.routes),
        distance_m=sum(answer.distances_m),
        routes=routes,
        unplanned=[
            UnplannedView(show(Kind.DELIVERY, row["id"]), row["short_code"], row["q_address"], reason)
            for row, reason in zip(left, answer.reasons, strict=True)
        ],
    )


def _route(rows: Sequence[Record], hand: Hand, route: PlannedRoute, distance_m: int, now: datetime) -> RouteView:
    stops = []
    for visit in route.visits:
        row, end = rows[visit.job], "p" if visit.kind == "pickup" else "q"
        stops.append(
            StopView(
                kind=visit.kind,
                delivery_id=show(Kind.DELIVERY, row["id"]),
                version=row["version"],
                short_code=row["short_code"],
                name=row[f"{end}_name"],
                address=row[f"{end}_address"],
                lat=row[f"{end}_lat"],
                lng=row[f"{end}_lng"],
                at=now + timedelta(seconds=visit.at_s),
                late_s=visit.late_s,
            )
        )
    return RouteView(
        driver_id=None if hand.driver is None else show(Kind.DRIVER, hand.driver["id"]),
        driver_name=None if hand.driver is None else hand.driver["name"],
        vehicle=hand.vehicle,
        start=hand.asked.start,
        end=hand.asked.end,
        start_at=now + timedelta(seconds=route.start_s),
        end_at=now + timedelta(seconds=route.end_s),
        drive_s=route.drive_s,
        wait_s=route.wait_s,
        late_s=route.late_s,
        distance_m=distance_m,
        stops=stops,
    )
