"""The object a viewer watches, made of frames. Law: a snapshot with its deltas is what a fresh snapshot would be."""

from __future__ import annotations

from typing import Any, Final

Object = dict[str, Any]

LISTS: Final = {"delivery": "deliveries", "driver": "drivers", "store": "stores", "alert": "alerts"}
"""A board's lists by the kind of what is in them."""


class View:
    """A board or a tracking object. Lists are kept by id, so that a change costs the same however long they are."""

    def __init__(self) -> None:
        self._rest: Object = {}
        self._lists: dict[str, dict[str, Object]] = {}

    @property
    def object(self) -> Object:
        """The whole object as of the last frame; empty before the first."""
        return {**self._rest, **{name: [of[key] for key in sorted(of)] for name, of in self._lists.items()}}

    def take(self, message: Object) -> None:
        """Apply a frame: `snapshot`, `delta`, `positions` or `numbers`; others change nothing."""
        match message["type"]:
            case "snapshot":
                self._begin(message["object"])
            case "delta":
                for change in message["changes"]:
                    self._change(change)
            case "positions":
                for row in message["positions"]:
                    self._move(*row)
            case "numbers":
                self._rest["numbers"] = message["numbers"]

    def _begin(self, whole: Object) -> None:
        self._lists = {
            name: {item["id"]: item for item in whole[name]}
            for name in LISTS.values()
            if whole["kind"] == "board" and name in whole
        }
        self._rest = {name: value for name, value in whole.items() if name not in self._lists}

    def _change(self, change: Object) -> None:
        if change["kind"] == "tracking":
            self._rest = {**change, "driver": _newer_place(self._rest.get("driver"), change.get("driver"))}
        elif change["kind"] == "gone":
            for items in self._lists.values():
                items.pop(change["id"], None)
        elif change["kind"] in LISTS:
            items = self._lists.setdefault(LISTS[change["kind"]], {})
            old = items.get(change["id"])
            if old is None or change.get("version", 0) >= old.get("version", 0):
                items[change["id"]] = _newer_place(old, change) or change

    def _move(
        self, driver_id: str, lat: float, lng: float, heading: float | None, speed_mps: float | None, t_ms: int
    ) -> None:
        place = {"lat": lat, "lng": lng, "heading": heading, "speed_mps": speed_mps, "t": t_ms}
        drivers = self._lists.get("drivers", {})
        if driver_id in drivers:
            drivers[driver_id] = _at(drivers[driver_id], place)
        elif (self._rest.get("driver") or {}).get("id") == driver_id:
            self._rest["driver"] = _at(self._rest["driver"], place)


def _at(driver: Object, place: Object) -> Object:
    """Return the driver at a newer place; an older one does not move him back."""
    return driver if _time(driver) > place["t"] else {**driver, "position": place}


def _newer_place(old: Object | None, new: Object | None) -> Object | None:
    """Return the new fact about somebody; his last position stays when it is newer than what the fact says."""
    if old is None or new is None or old.get("id") != new.get("id") or _time(old) <= _time(new):
        return new
    return {**new, "position": old["position"]}


def _time(driver: Object) -> int:
    position = driver.get("position")
    return position["t"] if position else 0
