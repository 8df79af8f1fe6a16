"""The web pages and their assets, under a strict content security policy: nothing from elsewhere, nothing inline.

The import map must be inline; its hash, taken from the page when the server starts, is all that the policy allows.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import mimetypes
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from aiohttp import web

PAGES: Final = {
    "/": "home",
    "/board/": "board",
    "/track/": "track",
    "/shop/": "shop",
    "/whatif/": "whatif",
    "/rules/": "rules",
    "/driver/": "driver",
    "/trip/": "trip",
}
OFFLINE: Final = (
    "driver/*.js",
    "driver/*.css",
    "driver/*.svg",
    "driver/*.webmanifest",
    "shared/*.js",
    "shared/*.css",
    "shared/*.svg",
)
OFFLINE_VENDORS: Final = ("preact", "signals", "htm")
IMPORT_MAP: Final = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)
ASSET_CACHE: Final = "public, max-age=300"
VENDOR_CACHE: Final = "public, max-age=86400"

mimetypes.add_type("text/javascript", ".mjs")
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("application/manifest+json", ".webmanifest")


def folder() -> Path:
    """Return where the pages are: beside the code in a checkout, inside the package when installed."""
    packaged = Path(__file__).parent / "_web"
    return packaged if packaged.exists() else Path(__file__).parent.parent / "web"


def policy(html: str, *, style_origin: str = "") -> str:
    """Return the content security policy of a page; `style_origin` is the operator's own map server, if any."""
    hashes = "".join(
        f" 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in IMPORT_MAP.findall(html)
    )
    elsewhere = f" {style_origin}" if style_origin else ""
    return (
        f"default-src 'self'; script-src 'self'{hashes}; worker-src 'self'; style-src 'self'; "
        f"img-src 'self' data: blob:{elsewhere}; connect-src 'self'{elsewhere}; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def mount(app: web.Application, *, style_origin: str = "") -> None:
    """Serve the pages at their paths and the assets below `/web/`."""
    root = folder()
    for path, name in PAGES.items():
        html = (root / name / "index.html").read_text()
        app.router.add_get(path, _page(html, policy(html, style_origin=style_origin)))
        if path != "/":
            app.router.add_get(path.rstrip("/"), _redirect(path))
    app.router.add_get("/driver/sw.js", _script(service_worker(root)))
    app.router.add_get("/favicon.ico", _redirect("/web/shared/icon.svg"))
    app.router.add_static("/web/", root, append_version=False)
    app.on_response_prepare.append(_cache_assets)


def service_worker(root: Path) -> str:
    """Return the driver page's service worker: it names every file the page opens with, and a release made of them all.

    It lies at `/driver/sw.js`, for a worker rules over no more than its own folder. All but the map's code is in it.
    """
    own = root / "driver/sw.js"
    files = sorted({file for pattern in OFFLINE for file in root.glob(pattern)} - {own})
    files += sorted(file for file in root.glob("shared/vendor/*.mjs") if file.name.startswith(OFFLINE_VENDORS))
    release = hashlib.sha256()
    for file in (*files, root / "driver/index.html", own):
        release.update(file.read_bytes())
    paths = ["/driver/", *(f"/web/{file.relative_to(root).as_posix()}" for file in files)]
    return f"const RELEASE = {json.dumps(release.hexdigest()[:16])}, FILES = {json.dumps(paths)};\n{own.read_text()}"


def missing() -> web.Response:
    """Return the page for a link that leads nowhere."""
    html = _missing_html()
    return web.Response(
        text=html, status=404, content_type="text/html", headers={"Content-Security-Policy": policy(html)}
    )


@functools.cache
def _missing_html() -> str:
    return (folder() / "missing.html").read_text()


def _page(html: str, csp: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def page(_request: web.Request) -> web.StreamResponse:
        headers = {"Content-Security-Policy": csp, "Cache-Control": "no-cache"}
        return web.Response(text=html, content_type="text/html", headers=headers)

    return page


def _script(source: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    headers = {"Content-Security-Policy": policy(""), "Cache-Control": "no-cache"}

    async def script(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=source, content_type="text/javascript", headers=headers)

    return script


def _redirect(to: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def redirect(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=308, headers={"Location": to})

    return redirect


async def _cache_assets(request: web.Request, response: web.StreamResponse) -> None:
    if request.path.startswith("/web/") and response.status == 200:
        response.headers["Cache-Control"] = VENDOR_CACHE if "/vendor/" in request.path else ASSET_CACHE
