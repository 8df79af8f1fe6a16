"""What a driver can do and a delivery may need (`age_check`, `cold_box`): words of the operator's own choice."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Final

from msgspec import Meta

from kernel.errors import invalid

SKILL: Final = r"^[a-z][a-z0-9_]{0,39}$"
SKILLS_MAX: Final = 20

Skill = Annotated[str, Meta(pattern=SKILL)]
Skills = Annotated[list[Skill], Meta(max_length=SKILLS_MAX)]


def a_skill(text: str) -> str:
    """Return a skill, or raise `validation_failed`."""
    if not re.match(SKILL, text):
        raise invalid("skills", f"{text!r}: small letters, digits and underscores, as in age_check.")
    return text


def in_order(skills: Iterable[str]) -> list[str]:
    """Return skills as they are kept: sorted, each once."""
    return sorted(set(skills))
