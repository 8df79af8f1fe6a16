"""docs/protocol.md says what the code does: each message with each of its fields, each code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from tracking import wire
from tracking.wire import WireFix

PAGE = (Path(__file__).parent.parent.parent / "docs/protocol.md").read_text()
DRIVER, VIEWER = PAGE.split("## Viewer:")
UP, DOWN = DRIVER.split("**Down.**")


def rows(part: str, tag: str) -> str:
    """Return what a part of the page shows of a message: its rows of tables and its JSON."""
    return "\n".join(
        re.findall(rf"^\| `{tag}` \|.*$", part, re.MULTILINE)
        + re.findall(rf'^{{"type":"{tag}".*?^```', part, re.MULTILINE | re.DOTALL)
    )


SAID = [
    *((UP, kind) for kind in get_args(wire.DriverUp)),
    *((UP if kind is wire.Welcome else DOWN, kind) for kind in get_args(wire.DriverDown)),
    *((VIEWER, kind) for kind in (wire.Watch, *get_args(wire.ViewerDown))),
]


@pytest.mark.parametrize(("part", "kind"), SAID, ids=lambda value: getattr(value, "__name__", ""))
def test_every_field_of_every_message_is_on_the_page(part: str, kind: Any) -> None:
    """Where its direction and its channel are told."""
    said = rows(part, kind.__struct_config__.tag)
    assert said, f"no row of `{kind.__struct_config__.tag}`"
    for field in kind.__struct_fields__:
        assert re.search(rf"\b{field}\b", said), f"{field} of {kind.__name__}"


def test_every_field_of_a_fix_is_on_the_page() -> None:
    """With its unit."""
    for field in WireFix.__struct_fields__:
        assert re.search(rf"\b{field}\b", rows(UP, "fixes")), field


def test_every_close_code_is_on_the_page() -> None:
    """With what to do then."""
    for code in wire.CLOSE_CODES:
        assert str(code) in PAGE.split("## Close codes")[1]
