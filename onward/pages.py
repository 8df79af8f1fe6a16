"""The web pages and their assets, under a strict content security policy: nothing from elsewhere, nothing inline.

What all pages begin with is `shared/head.html`. The import map in it must be inline; its hash, taken from the page when
the server starts, is all that the policy allows. The vendored libraries lie below a path of their release, so that
browsers keep them for good, and are sent as compressed as they are in the repository.
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

from aiohttp import hdrs, web

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
    "driver/*.png",
    "driver/*.webmanifest",
    "shared/*.js",
    "shared/*.css",
    "shared/*.svg",
)
OFFLINE_VENDORS: Final = ("preact", "signals", "htm")
HEAD: Final = "<!-- head -->\n"
VENDOR: Final = "/web/shared/vendor/"
IMPORT_MAP: Final = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)
ASSET_CACHE: Final = "public, max-age=300"
VENDOR_CACHE: Final = "public, max-age=31536000, immutable"
COMPRESSED: Final = (".js", ".css", ".svg")
CONDITIONAL: Final = (hdrs.IF_NONE_MATCH, hdrs.IF_MODIFIED_SINCE, hdrs.RANGE)

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
        html = page_text(root, f"{name}/index.html")
        app.router.add_get(path, _page(html, policy(html, style_origin=style_origin)))
        if path != "/":
            app.router.add_get(path.rstrip("/"), _redirect(path))
    app.router.add_get("/driver/sw.js", _script(service_worker(root)))
    app.router.add_get("/favicon.ico", _redirect("/web/shared/icon.svg"))
    vendor = vendor_path(root)
    libraries = {file.name: file for file in (root / "shared/vendor").iterdir()}

    async def library(request: web.Request) -> web.StreamResponse:
        """A page that was opened before an upgrade asks for the former release: it gets what there is."""
        if (file := libraries.get(request.match_info["file"])) is None:
            raise web.HTTPNotFound
        return web.FileResponse(file)

    async def cache_assets(request: web.Request, response: web.StreamResponse) -> None:
        if request.path.startswith("/web/") and response.status == 200:
            response.headers["Cache-Control"] = VENDOR_CACHE if request.path.startswith(vendor) else ASSET_CACHE
            response.headers["Vary"] = "Accept-Encoding"

    app.router.add_get("/web/vendor-{release}/{file}", library)
    app.router.add_static("/web/", root)
    app.middlewares.append(_compress_assets)
    app.on_response_prepare.append(cache_assets)


def page_text(root: Path, path: str) -> str:
    """Return a page with its head, and the libraries' paths as they are served."""
    html = (root / path).read_text().replace(HEAD, (root / "shared/head.html").read_text())
    return html.replace(VENDOR, vendor_path(root))


def vendor_path(root: Path) -> str:
    """Return the path below which this release of the vendored libraries is served."""
    return f"/web/vendor-{hashlib.sha256((root / 'shared/vendor/SHA256SUMS').read_bytes()).hexdigest()[:12]}/"


def service_worker(root: Path) -> str:
    """Return the driver page's service worker: it names every file the page opens with, and a release made of them all.

    It lies at `/driver/sw.js`, for a worker rules over no more than its own folder. All but the map's code is in it.
    """
    own = root / "driver/sw.js"
    files = sorted({file for pattern in OFFLINE for file in root.glob(pattern)} - {own})
    files += sorted(file for file in root.glob("shared/vendor/*.mjs") if file.name.startswith(OFFLINE_VENDORS))
    release = hashlib.sha256()
    for file in (*files, own):
        release.update(file.read_bytes())
    release.update(page_text(root, "driver/index.html").encode())
    vendor = vendor_path(root)
    paths = ["/driver/", *(f"/web/{file.relative_to(root).as_posix()}".replace(VENDOR, vendor) for file in files)]
    written = {"RELEASE": release.hexdigest()[:16], "FILES": paths, "VENDOR": vendor}
    return f"const {', '.join(f'{name} = {json.dumps(value)}' for name, value in written.items())};\n{own.read_text()}"


def missing() -> web.Response:
    """Return the page for a link that leads nowhere."""
    html = _missing_html()
    return web.Response(
        text=html, status=404, content_type="text/html", headers={"Content-Security-Policy": policy(html)}
    )


@functools.cache
def _missing_html() -> str:
    return page_text(folder(), "missing.html")


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


@web.middleware
async def _compress_assets(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Compress what is asked for whole: aiohttp would put the end of a compressed body after a 304 or a part, too."""
    response = await handler(request)
    whole = request.method == "GET" and not any(name in request.headers for name in CONDITIONAL)
    if whole and isinstance(response, web.FileResponse) and request.path.endswith(COMPRESSED):
        response.enable_compression()
    return response
