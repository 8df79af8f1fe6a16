"""What the page's benchmark reads in Chrome's trace."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.page import figures

MAIN, GPU = 7, 8


def task(name: str, at_ms: float, cpu_ms: float, *, thread: int = MAIN, wall_ms: float | None = None) -> dict[str, Any]:
    wall_us = 1000 * (cpu_ms if wall_ms is None else wall_ms)
    times = {"ts": 1000 * at_ms, "dur": wall_us, "tdur": 1000 * cpu_ms}
    return {"ph": "X", "name": name, "pid": 1, "tid": thread, "args": {}, **times}


def named(thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": "thread_name", "pid": 1, "tid": thread, "args": {"name": name}}


def frame(at_ms: float) -> dict[str, Any]:
    return {"ph": "I", "name": "BeginMainThreadFrame", "pid": 1, "tid": MAIN, "ts": 1000 * at_ms, "args": {}}


def test_a_frame_has_its_own_work_and_that_of_the_sixtieth_before_it() -> None:
    """Nested stretches count once, by kind; what came long before and waits for the card are no frame's."""
    trace = [
        named(MAIN, "CrRendererMain"),
        named(GPU, "CrGpuMain"),
        task("RunTask", 0, 60),  # long, and long before
        task("RunTask", 100, 3),
        task("FunctionCall", 100.5, 2),
        task("RunTask", 110, 5, wall_ms=25),
        frame(110.1),
        task("FireAnimationFrame", 110.2, 3, wall_ms=22),
        task("CommandBufferProxyImpl::WaitForGetOffset", 111, 0, wall_ms=20),
        task("UpdateLayoutTree", 133, 1),
        task("RunTask", 200, 1),
        frame(200.1),
        task("RunTask", 0, 1, thread=GPU, wall_ms=50),
    ]
    found = figures(trace)
    assert found["p50_ms"] == pytest.approx((8 + 1) / 2)
    assert found["scripting_ms"] == pytest.approx((2 + 3) / 2)
    assert found["style_ms"] == pytest.approx(1 / 2)
    assert (found["longest_task_ms"], found["long_tasks"]) == (60, 1)
    assert found["gpu_ms"] == pytest.approx(25)
    assert found["gpu_wait_ms"] == pytest.approx(10)
    assert found["frames_per_s"] == pytest.approx(10)
