"""How pages and their assets leave the server: small, kept for as long as they hold true, nothing from elsewhere."""

from __future__ import annotations

import gzip
import re

from onward.pages import folder, vendor_path
from tests.support.server import Onward

PACKED = {"Accept-Encoding": "gzip"}


async def test_libraries_are_sent_packed_and_kept_for_good_by_their_release(onward: Onward) -> None:
    """What the page names is immutable and as small as in the repository; a former release gets what there is."""
    async with onward.http.get("/board/") as reply:
        html, csp = await reply.text(), reply.headers["Content-Security-Policy"]
    assert re.search(r"script-src 'self' 'sha256-[^']{44}';", csp)
    assert "<!-- head -->" not in html
    assert "/web/shared/vendor/" not in html
    path = f"{vendor_path(folder())}preact.mjs"
    assert path in html
    library = folder() / "shared/vendor/preact.mjs"
    async with onward.http.get(path, headers=PACKED, auto_decompress=False) as reply:
        packed, headers = await reply.read(), reply.headers
    assert packed == library.with_name("preact.mjs.gz").read_bytes()
    assert headers["Content-Type"].endswith("/javascript")
    assert headers["Cache-Control"].endswith("immutable")
    assert headers["Vary"] == "Accept-Encoding"
    async with onward.http.get(path, headers={**PACKED, "If-None-Match": headers["ETag"]}) as reply:
        assert reply.status == 304
    async with onward.http.get("/web/vendor-0123456789ab/preact.mjs", headers=PACKED) as reply:
        assert await reply.read() == library.read_bytes()
        assert "immutable" not in reply.headers["Cache-Control"]
    for path in ("/web/vendor-0123456789ab/..%2fsession.js", "/web/vendor-0123456789ab/nothing.mjs"):
        async with onward.http.get(path) as reply:
            assert reply.status == 404


async def test_our_own_scripts_are_packed_on_their_way(onward: Onward) -> None:
    """For those who take it; the others get it plain, and nobody gets it twice when it did not change."""
    script = (folder() / "shared/map.js").read_bytes()
    async with onward.http.get("/web/shared/map.js", headers=PACKED, auto_decompress=False) as reply:
        packed, headers = await reply.read(), reply.headers
    assert gzip.decompress(packed) == script
    assert len(packed) < len(script) / 2
    async with onward.http.get("/web/shared/map.js", headers={**PACKED, "If-None-Match": headers["ETag"]}) as reply:
        assert reply.status == 304
    async with onward.http.get("/web/shared/map.js", headers={"Accept-Encoding": "identity"}) as reply:
        assert await reply.read() == script
        assert "Content-Encoding" not in reply.headers
