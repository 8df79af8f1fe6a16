"""Failures happen on a running day: the planner is awake."""

from __future__ import annotations

import pytest

from dispatch.planner import Planner
from tests.support.server import Onward
from tests.support.trouble import part


@pytest.fixture
async def onward(onward: Onward) -> Onward:
    """The product with its planner awake: what is told here happens on a running day."""
    await part(onward, Planner).warm_up()
    return onward
