"""What axe, the accessibility checker, has to say about a page: in light everything, in dark about its colours."""

from __future__ import annotations

from typing import Any, Final, Literal

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

EVERYTHING: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
COLORS: Final = {"type": "rule", "values": ["color-contrast"]}
LOOKS: Final[tuple[tuple[Literal["light", "dark"], Any], ...]] = (("dark", COLORS), ("light", EVERYTHING))


async def faults(page: Page) -> list[str]:
    """Return each fault that axe finds in what the page shows now: the scheme, the rule, and where."""
    found = []
    for scheme, rules in LOOKS:
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        result = await Axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"]})
        found += [
            f"{scheme} {rule['id']}: {node['html'][:160]}"
            for rule in result.response["violations"]
            for node in rule["nodes"]
        ]
    return found
