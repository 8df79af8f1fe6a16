"""What the tracking apps people have already say of a place, turned into fixes: Traccar Client and OwnTracks.

Pure. They know nothing of our protocol and read no problem: an app that is refused a position sends the same one again
for ever. So what is missing or odd beside place and time is left out here, and places are judged by the filters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec

from kernel.clock import to_ms
from kernel.errors import Problem, invalid
from tracking.wire import WireFix

T = TypeVar("T", bound=msgspec.Struct)

MPS_PER_KNOT: Final = 1852 / 3600
MPS_PER_KMH: Final = 1 / 3.6
SECONDS_MAX: Final = 100_000_000_000
"""A time above this is in milliseconds (in seconds it would be the year 5138)."""


class Coordinates(msgspec.Struct, frozen=True):
    """Where, in Traccar Client's JSON: metres and m/s; below 0 is not known."""

    latitude: float
    longitude: float
    accuracy: float | None = None
    speed: float | None = None
    heading: float | None = None
    altitude: float | None = None


class Battery(msgspec.Struct, frozen=True):
    """`level` from 0 to 1; below 0 is not known."""

    level: float | None = None


class Location(msgspec.Struct, frozen=True):
    """One position in Traccar Client's JSON."""

    timestamp: str | float
    coords: Coordinates
    battery: Battery | None = None


class TraccarBody(msgspec.Struct, frozen=True):
    """What Traccar Client posts as JSON; `device_id` is the key."""

    location: Location
    device_id: str


class OwnTracksBody(msgspec.Struct, frozen=True):
    """What OwnTracks posts: only a `location` has a place. `vel` is km/h, `batt` percent, `tst` seconds."""

    type: str = msgspec.field(name="_type")
    tst: int | None = None
    lat: float | None = None
    lon: float | None = None
    acc: float | None = None
    vel: float | None = None
    cog: float | None = None
    alt: float | None = None
    batt: float | None = None


def from_osmand(values: Mapping[str, str], now_ms: int) -> WireFix:
    """Return the fix of a query or form (OsmAnd's and Traccar Client's); raises `validation_failed`.

    Speed is in knots; the time in seconds, milliseconds or ISO 8601, and the present without one.
    """
    lat, _, lon = values.get("location", "").partition(",")
    return WireFix(
        t=_time_ms(values["timestamp"]) if "timestamp" in values else now_ms,
        lat=_place(values.get("lat", lat), "lat"),
        lng=_place(values.get("lon", lon), "lon"),
        acc=_known(values.get("accuracy")),
        spd=_known(values.get("speed"), MPS_PER_KNOT),
        hdg=_known(values.get("bearing", values.get("heading"))),
        alt=_number(values.get("altitude")),
        bat=_known(values.get("batt"), 0.01),
        src="traccar",
    )


def from_traccar(body: TraccarBody) -> WireFix:
    """Return the fix of Traccar Client's JSON; raises `validation_failed`."""
    at, coords = body.location.timestamp, body.location.coords
    return WireFix(
        t=_time_ms(str(at)),
        lat=coords.latitude,
        lng=coords.longitude,
        acc=_known(coords.accuracy),
        spd=_known(coords.speed),
        hdg=_known(coords.heading),
        alt=_number(coords.altitude),
        bat=_known(body.location.battery.level) if body.location.battery else None,
        src="traccar",
    )


def from_owntracks(body: OwnTracksBody) -> WireFix | None:
    """Return the fix of an OwnTracks message; None for one that tells no place (a card, a waypoint, a status)."""
    if body.type != "location" or body.tst is None or body.lat is None or body.lon is None:
        return None
    return WireFix(
        t=_time_ms(str(body.tst)),
        lat=body.lat,
        lng=body.lon,
        acc=_known(body.acc),
        spd=_known(body.vel, MPS_PER_KMH),
        hdg=_known(body.cog),
        alt=_number(body.alt),
        bat=_known(body.batt, 0.01),
        src="owntracks",
    )


def read_json(raw: bytes, shape: type[T]) -> T:
    """Return an app's JSON, whatever else is in it; raises `malformed_body`."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem("malformed_body", f"This is no position: {error}.") from None


def _number(value: str | float | None) -> float | None:
    try:
        number = math.nan if value is None else float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _known(value: str | float | None, unit: float = 1.0) -> float | None:
    """Return a number in our unit; the apps say -1 for what they don't know."""
    number = _number(value)
    return None if number is None or number < 0 else number * unit


def _place(value: str, name: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise invalid(name, "A place has lat and lon, in degrees.") from None


def _time_ms(text: str) -> int:
    try:
        number = float(text)
    except ValueError:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise invalid("timestamp", "Send Unix seconds or milliseconds, or ISO 8601.") from None
        return to_ms(at if at.tzinfo else at.replace(tzinfo=UTC))
    if not 0 <= number < 1e15:
        raise invalid("timestamp", "Send Unix seconds or milliseconds, or ISO 8601.")
    return int(number if number > SECONDS_MAX else number * 1000)
