"""How the map looks: a calm MapLibre style in light and dark on which routes and couriers stand out.

No glyphs and no sprites: labels are drawn with the reader's own fonts, so nothing is fetched from elsewhere.
"""

from __future__ import annotations

from typing import Any, Final

from onward.maps.store import MapInfo

TILES_ZOOM_MIN: Final = 5
TILES_ZOOM_MAX: Final = 15

PALETTE: Final[dict[str, dict[str, str]]] = {
    "light": {
        "land": "#f5f3ee", "water": "#c3d9e8", "green": "#dfe9d3", "built": "#edeae3", "building": "#e2ddd3",
        "building_line": "#d3cdc1", "road": "#ffffff", "road_line": "#ddd7cb", "main": "#fffaf0",
        "main_line": "#d9cbb0", "path": "#e0d9cc", "rail": "#cfc9bf", "text": "#6f695e",
        "halo": "#f8f6f2",
        "poi": "#8a8375",
    },
    "dark": {
        "land": "#14181e", "water": "#0c1a26", "green": "#17211c", "built": "#171c23", "building": "#1e242c",
        "building_line": "#2a313b", "road": "#2b323d", "road_line": "#191e25", "main": "#39424f",
        "main_line": "#1c222a", "path": "#232a33", "rail": "#2a313b", "text": "#8b95a3",
        "halo": "#12161c",
        "poi": "#667080",
    },
}  # fmt: skip


def map_style(base_url: str, theme: str, info: MapInfo) -> dict[str, Any]:
    """Return the style for a theme (`light` or `dark`) with tiles below `base_url`."""
    color = PALETTE[theme]
    source = {
        "type": "vector",
        "tiles": [f"{base_url}/tiles/{{z}}/{{x}}/{{y}}.mvt"],
        "minzoom": TILES_ZOOM_MIN,
        "maxzoom": TILES_ZOOM_MAX,
        "bounds": list(info.bounds),
        "attribution": info.attribution,
    }
    return {
        "version": 8,
        "name": f"onward {theme}",
        "sources": {"city": source},
        "layers": [
            {"id": "land", "type": "background", "paint": {"background-color": color["land"]}},
            _fill("built", "landuse", color["built"], ["==", ["get", "kind"], "built"]),
            _fill("green", "landuse", color["green"], ["==", ["get", "kind"], "green"]),
            _fill("water", "water", color["water"]),
            _line("waterway", "waterway", color["water"], {13: 1.0, 17: 6.0}),
            _building(color),
            _line("rail", "road", color["rail"], {12: 0.5, 17: 2.5}, ["==", ["get", "class"], "rail"]),
            _line("path", "road", color["path"], {14: 0.6, 18: 4.0}, ["==", ["get", "class"], "path"]),
            _line("minor-line", "road", color["road_line"], {12: 0.8, 15: 4.6, 18: 18.0}, _of("minor")),
            _line("main-line", "road", color["main_line"], {10: 1.2, 15: 7.8, 18: 26.0}, _of("main")),
            _line("minor", "road", color["road"], {12: 0.4, 15: 3.4, 18: 15.0}, _of("minor")),
            _line("main", "road", color["main"], {10: 0.7, 15: 6.2, 18: 23.0}, _of("main")),
            _street_names(color),
            _poi_names(color),
            _place_names(color),
        ],
    }


def _of(name: str) -> list[Any]:
    return ["==", ["get", "class"], name]


def _fill(layer: str, source: str, color: str, only: list[Any] | None = None) -> dict[str, Any]:
    style: dict[str, Any] = {
        "id": layer,
        "type": "fill",
        "source": "city",
        "source-layer": source,
        "paint": {"fill-color": color},
    }
    return style | ({"filter": only} if only else {})


def _line(
    layer: str, source: str, color: str, widths: dict[int, float], only: list[Any] | None = None
) -> dict[str, Any]:
    stops: list[Any] = [number for stop in widths.items() for number in stop]
    style: dict[str, Any] = {
        "id": layer,
        "type": "line",
        "source": "city",
        "source-layer": source,
        "layout": {"line-cap": "round", "line-join": "round"},
        "paint": {
            "line-color": color,
            "line-width": ["interpolate", ["exponential", 1.5], ["zoom"], *stops],
        },
    }
    return style | ({"filter": only} if only else {})


def _building(color: dict[str, str]) -> dict[str, Any]:
    style = _fill("building", "building", color["building"])
    style["minzoom"] = 14
    style["paint"] |= {
        "fill-outline-color": color["building_line"],
        "fill-opacity": ["interpolate", ["linear"], ["zoom"], 14, 0, 15, 1],
    }
    return style


def _text(layer: str, source: str, color: str, halo: str, layout: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": layer,
        "type": "symbol",
        "source": "city",
        "source-layer": source,
        "layout": {"text-field": ["get", "name"], "text-font": ["sans-serif"], **layout},
        "paint": {"text-color": color, "text-halo-color": halo, "text-halo-width": 1.4},
    }


def _street_names(color: dict[str, str]) -> dict[str, Any]:
    layout = {
        "symbol-placement": "line",
        "text-size": ["interpolate", ["linear"], ["zoom"], 14, 10, 18, 14],
        "text-max-angle": 30,
        "symbol-spacing": 320,
    }
    style = _text("street-names", "road", color["text"], color["halo"], layout)
    return style | {"minzoom": 14, "filter": ["all", ["has", "name"], ["!=", ["get", "class"], "path"]]}


def _poi_names(color: dict[str, str]) -> dict[str, Any]:
    layout = {"text-size": 11, "text-max-width": 7, "text-anchor": "top", "text-padding": 12}
    return _text("poi-names", "poi", color["poi"], color["halo"], layout) | {"minzoom": 16.5}


def _place_names(color: dict[str, str]) -> dict[str, Any]:
    layout = {"text-size": ["interpolate", ["linear"], ["zoom"], 8, 12, 14, 17], "text-letter-spacing": 0.04}
    return _text("place-names", "place", color["text"], color["halo"], layout)
