"""The driver's page opens without a network: its service worker names all that the page is made of."""

from __future__ import annotations

import json
import re
from pathlib import Path

from onward.pages import VENDOR, folder, page_text, service_worker, vendor_path

MAP = f"{VENDOR}maplibre-gl"


def imports(root: Path, path: str, names: dict[str, str], found: set[str]) -> set[str]:
    """Return every module that one loads, by path: import statements and the ones made when needed."""
    if path in found or path.startswith(MAP):
        return found
    found.add(path)
    file = root / path.removeprefix("/web/")
    for name in re.findall(r"""(?:from|import\(|import)\s*["']([^"']+)["']""", file.read_text()):
        at = names.get(name) or "/web/" + (file.parent / name).resolve().relative_to(root.resolve()).as_posix()
        imports(root, at, names, found)
    return found


def test_the_worker_keeps_every_file_that_the_page_needs() -> None:
    """All modules and styles but the map's; and nothing that is not there."""
    root = folder()
    html = page_text(root, "driver/index.html").replace(vendor_path(root), VENDOR)
    names = json.loads(re.search(r'importmap">(.*?)</script>', html)[1])["imports"]  # type: ignore[index]
    needed = imports(root, "/web/driver/driver.js", names, set())
    needed |= set(re.findall(r'(?:href|src)="(/web/[^"]+)"', html))
    worker = service_worker(root).replace(vendor_path(root), VENDOR)
    files = json.loads(re.search(r"FILES = (\[.*?\]),", worker)[1])  # type: ignore[index]
    assert len(needed) > 25
    assert needed <= set(files)
    assert all((root / path.removeprefix("/web/")).is_file() for path in files if path != "/driver/")


def test_a_changed_file_is_a_new_release(tmp_path: Path) -> None:
    """Phones fetch the page anew when any part of it changed, and only then."""
    for name in ("driver", "shared/vendor"):
        (tmp_path / name).mkdir(parents=True)
    parts = ("driver/index.html", "driver/sw.js", "driver/driver.js", "shared/ui.js", "shared/head.html")
    for name in (*parts, "shared/vendor/preact.mjs", "shared/vendor/SHA256SUMS"):
        (tmp_path / name).write_text(name)
    first = service_worker(tmp_path)
    assert first == service_worker(tmp_path)
    (tmp_path / "shared/ui.js").write_text("changed")
    assert first != service_worker(tmp_path)
