"""When this happened, do that: every link between rooms, on one page."""

from __future__ import annotations

from kernel.outbox import Reactions

REACTIONS: Reactions = {}
