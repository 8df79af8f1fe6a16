"""The map over HTTP: what map there is, its style in light and dark, and its vector tiles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import web

from kernel.errors import Problem
from kernel.http import json_body
from kernel.proxies import origin
from onward.config import Settings
from onward.maps.store import CityMap, MapInfo, load_map, map_of
from onward.maps.style import map_style
from onward.maps.tiles import TileSource

TILE_CACHE: Final = "public, max-age=86400"
ZOOM_MAX: Final = 22


class MapPage(msgspec.Struct, frozen=True):
    """What a page needs to know of the map; without one, lists and times still work."""

    available: bool
    name: str = ""
    bounds: tuple[float, float, float, float] | None = None
    center: tuple[float, float] | None = None
    attribution: str = ""
    style_url: str = ""


def mount(app: web.Application, settings: Settings) -> None:
    """Serve `/map/info.json`, `/map/style-light.json`, `/map/style-dark.json` and `/tiles/{z}/{x}/{y}.mvt`."""
    folder = map_of(settings)
    city = load_map(folder) if folder is not None else None
    info = _info(city, settings)

    async def info_json(_request: web.Request) -> web.StreamResponse:
        return json_body(msgspec.json.encode(info))

    app.router.add_get("/map/info.json", info_json)
    if city is not None:
        for theme in ("light", "dark"):
            app.router.add_get(f"/map/style-{theme}.json", _style(city.info, theme, settings.public_url))
        app.router.add_get(r"/tiles/{z:\d+}/{x:\d+}/{y:\d+}.mvt", _tiles(TileSource(city)))


def _info(city: CityMap | None, settings: Settings) -> MapPage:
    if city is None:
        return MapPage(bool(settings.style_url), style_url=settings.style_url)
    known = city.info
    return MapPage(True, known.name, known.bounds, known.center, known.attribution, settings.style_url)


def _style(info: MapInfo, theme: str, public_url: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def style(request: web.Request) -> web.StreamResponse:
        base = public_url.rstrip("/") or origin(request)
        return json_body(msgspec.json.encode(map_style(base, theme, info)))

    return style


def _tiles(source: TileSource) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def tile(request: web.Request) -> web.StreamResponse:
        z, x, y = (int(request.match_info[name]) for name in "zxy")
        if z > ZOOM_MAX or x >= 1 << z or y >= 1 << z:
            raise Problem("not_found", "There is no such tile.")
        data = source.tile(z, x, y)
        headers = {"Cache-Control": TILE_CACHE, "Access-Control-Allow-Origin": "*"}
        if data is None:
            return web.Response(status=204, headers=headers)
        response = web.Response(body=data, content_type="application/vnd.mapbox-vector-tile", headers=headers)
        response.headers["Content-Encoding"] = "gzip"
        response.etag = source.etag
        if request.if_none_match and any(tag.value == source.etag for tag in request.if_none_match):
            raise web.HTTPNotModified(headers={**headers, "ETag": f'"{source.etag}"'})
        return response

    return tile
