"""The plan of a simulated city, the same for the same map and seed: who is there, what is sold, who is hungry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np

from geo.distance import destination, meters_between
from geo.point import Point
from geo.travel import Vehicle
from onward.maps.store import CityMap, Place

BUSINESS_NAMES: Final = (
    ("Harbor Kitchen", "harbor-kitchen", "#0f766e"),
    ("Noodle Quarter", "noodle-quarter", "#b45309"),
    ("Green Basket", "green-basket", "#4d7c0f"),
    ("Old Town Bakery", "old-town-bakery", "#be185d"),
    ("Pepper & Lime", "pepper-lime", "#7c3aed"),
)
DISHES: Final = (
    ("Salmon soup", 1290), ("Rye sandwich", 850), ("Mushroom risotto", 1490), ("Ramen", 1380), ("Dumplings", 990),
    ("Falafel bowl", 1190), ("Caesar salad", 1090), ("Margherita", 1250), ("Cinnamon bun", 420), ("Blueberry pie", 560),
    ("Lemonade", 390), ("Filter coffee", 320),
)  # fmt: skip
FIRST_NAMES: Final = (
    "Aino", "Eero", "Helmi", "Onni", "Sofia", "Väinö", "Lumi", "Oskari", "Aada", "Leo", "Venla", "Elias", "Ilona",
    "Mikael", "Saara", "Niilo", "Emma", "Joel", "Iida", "Otso", "Nour", "Amir", "Linh", "Diego", "Maja", "Kofi",
)  # fmt: skip
LAST_NAMES: Final = (
    "Korhonen", "Virtanen", "Mäkinen", "Nieminen", "Laine", "Heikkinen", "Koskinen", "Järvinen", "Lehtonen", "Saarinen",
    "Salo", "Rantanen", "Ahmed", "Nguyen", "Silva", "Larsen",
)  # fmt: skip
VEHICLES: Final = (Vehicle.BICYCLE,) * 7 + (Vehicle.SCOOTER,) * 2 + (Vehicle.CAR,)
DEDICATED_EVERY: Final = 3
ORDERS_NEARBY: Final = 0.75
WAITING_RADIUS_M: Final = 250.0
FIRST_ORDERS: Final = 12
FIRST_ORDERS_EVERY_S: Final = 1.0
BUSINESSES_MAX: Final = len(BUSINESS_NAMES)


class PlannedStore(msgspec.Struct, frozen=True):
    """A pickup place at a real address of the map."""

    name: str
    address: str
    lat: float
    lng: float


class PlannedBusiness(msgspec.Struct, frozen=True):
    """A business, its stores and its menu of (name, price in minor units)."""

    name: str
    subdomain: str
    color: str
    stores: tuple[PlannedStore, ...]
    menu: tuple[tuple[str, int], ...]


class PlannedCourier(msgspec.Struct, frozen=True):
    """A courier; `business` is the index of the one he works for, None in the shared pool."""

    name: str
    vehicle: Vehicle
    business: int | None
    lat: float
    lng: float
    seed: int


class PlannedOrder(msgspec.Struct, frozen=True):
    """Somebody gets hungry: when, where, and for what."""

    at_s: float
    business: int
    name: str
    phone: str
    address: str
    lat: float
    lng: float
    lines: tuple[tuple[int, int], ...]
    """(menu index, quantity)."""
    tip_minor: int
    watches: bool


class CityPlan(msgspec.Struct, frozen=True):
    """Everything that is decided before the city starts."""

    seed: int
    businesses: tuple[PlannedBusiness, ...]
    couriers: tuple[PlannedCourier, ...]


def make_plan(city: CityMap, *, seed: int, couriers: int, businesses: int = 3) -> CityPlan:
    """Return the plan for a map and a seed."""
    random = np.random.default_rng([seed, 1])
    addresses = _addresses(city)
    shops = _shop_places(city, addresses)
    chosen = random.choice(len(shops), size=min(len(shops), 2 * businesses), replace=False).tolist()
    planned = []
    for number, (name, subdomain, color) in enumerate(BUSINESS_NAMES[:businesses]):
        stores = []
        for place in [shops[i] for i in chosen[number::businesses]]:
            street = _nearest(addresses, place)
            stores.append(PlannedStore(f"{name}, {street.name}", street.name, place.lat, place.lng))
        menu = tuple(DISHES[i] for i in sorted(random.choice(len(DISHES), size=8, replace=False).tolist()))
        planned.append(PlannedBusiness(name, subdomain, color, tuple(stores), menu))
    people = []
    for number in range(couriers):
        vehicle = VEHICLES[int(random.integers(len(VEHICLES)))]
        own = (number // DEDICATED_EVERY) % businesses if number % DEDICATED_EVERY == 0 else None
        waits_at = planned[own if own is not None else int(random.integers(businesses))].stores
        home = _near(waits_at[int(random.integers(len(waits_at)))], random)
        people.append(PlannedCourier(_name(random, number), vehicle, own, home.lat, home.lng, seed * 10_000 + number))
    return CityPlan(seed, tuple(planned), tuple(people))


def demand(city: CityMap, plan: CityPlan, *, per_minute: float, quick: int = FIRST_ORDERS) -> Iterator[PlannedOrder]:
    """Yield orders for ever, as a Poisson process after some `quick` ones to start with."""
    random = np.random.default_rng([plan.seed, 2])
    addresses = _addresses(city)
    at_s = 1.0
    number = 0
    while True:
        door = addresses[int(random.integers(len(addresses)))]
        business = int(random.integers(len(plan.businesses)))
        if random.random() < ORDERS_NEARBY:
            business = _nearest_business(plan, door)
        count = int(random.integers(1, 4))
        menu = random.choice(len(plan.businesses[business].menu), size=count, replace=False).tolist()
        yield PlannedOrder(
            at_s=at_s,
            business=business,
            name=_name(random, number),
            phone=f"+35840{random.integers(1_000_000, 9_999_999)}",
            address=door.name,
            lat=door.lat,
            lng=door.lng,
            lines=tuple((dish, int(random.integers(1, 3))) for dish in menu),
            tip_minor=int(random.choice([0, 0, 100, 200])),
            watches=bool(random.random() < 0.4) or number == 0,
        )
        number += 1
        pause_s = float(random.exponential(60.0 / per_minute))
        at_s += FIRST_ORDERS_EVERY_S if number < quick else pause_s


def _near(store: PlannedStore, random: np.random.Generator) -> Point:
    """Return a corner near a store: that is where couriers wait."""
    return destination(point_of(store), float(random.uniform(0, 360)), float(random.uniform(20, WAITING_RADIUS_M)))


def _name(random: np.random.Generator, number: int) -> str:
    first = FIRST_NAMES[(number + int(random.integers(3))) % len(FIRST_NAMES)]
    return f"{first} {LAST_NAMES[int(random.integers(len(LAST_NAMES)))]}"


def _addresses(city: CityMap) -> list[Place]:
    """Return doors that a bicycle can reach, in a fixed order."""
    doors = [place for place in city.places if place.kind == "address"]
    west, south, east, north = city.info.bounds
    return [door for door in doors if west <= door.lng <= east and south <= door.lat <= north] or city.places


def _shop_places(city: CityMap, addresses: list[Place]) -> list[Place]:
    eating = [place for place in city.places if place.kind in ("restaurant", "cafe", "fast_food")]
    return eating if len(eating) >= 2 * BUSINESSES_MAX else addresses


def _nearest(addresses: list[Place], place: Place) -> Place:
    return min(addresses, key=lambda a: (a.lat - place.lat) ** 2 + ((a.lng - place.lng) / 2) ** 2)


def _nearest_business(plan: CityPlan, door: Place) -> int:
    def meters(number: int) -> float:
        stores = plan.businesses[number].stores
        return min(meters_between(point_of(store), Point(door.lat, door.lng)) for store in stores)

    return min(range(len(plan.businesses)), key=meters)


def point_of(place: PlannedStore | PlannedCourier | PlannedOrder) -> Point:
    """Return where something planned is."""
    return Point(place.lat, place.lng)
