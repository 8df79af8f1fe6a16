"""What thousands of moving drivers cost the board's page: its main thread, frame by frame, in a real browser.

Chrome's own trace tells each task of the page's main thread, in CPU time: a busy machine is not taken for a slow page.
Drawing is the graphics card's. Where there is none it is the processor's: so the picture has a hundredth of its pixels,
which is as much work for the page and little for who draws. What drawing takes is told apart (`gpu_ms`), and so is the
time that the page waits for it (`gpu_wait_ms`).
"""

from __future__ import annotations

import asyncio
import shutil
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
from playwright.async_api import Browser, Page, async_playwright

from benchmarks.stand import START_DEADLINE_S, load, onward_stand
from onward.demo import bundled_helsinki

FIX_EVERY_S: Final = 4.0
SETTLE_S: Final = 6.0
FRAME_US: Final = 1e6 / 60
LONG_TASK_MS: Final = 50.0
SIZE: Final = (1440, 900)
PIXEL_RATIO: Final = 0.1
MOVES_FIRST: Final = 20
"""So many frames of positions have come before anything is measured."""
FLAGS: Final = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic"]
CATEGORIES: Final = [
    "-*", "devtools.timeline", "disabled-by-default-devtools.timeline",
    "disabled-by-default-devtools.timeline.frame", "gpu",
]  # fmt: skip
VIEWS: Final = (("some hundred marks", 1), ("all, as crowds", 4))
"""How often the map is zoomed out from the city's center."""
KINDS: Final = {
    "scripting": (
        "FunctionCall", "EvaluateScript", "v8.compile", "v8.callFunction", "FireAnimationFrame", "TimerFire",
        "EventDispatch", "RunMicrotasks", "MinorGC", "MajorGC", "WebSocketReceive", "HandlePostMessage",
    ),
    "style": ("UpdateLayoutTree", "ScheduleStyleRecalculation"),
    "layout": ("Layout", "HitTest"),
    "paint": ("PrePaint", "Paint", "Layerize", "Commit", "UpdateLayer", "CompositeLayers"),
}  # fmt: skip
KIND_OF: Final = {name: kind for kind, names in KINDS.items() for name in names}
WAITING: Final = "CommandBufferProxyImpl::WaitFor"


@dataclass(slots=True)
class Spell:
    """One traced stretch of a thread, with what lies within it. Microseconds."""

    name: str
    start_us: float
    end_us: float
    cpu_us: float
    within: list[Spell] = field(default_factory=list)

    def kinds_us(self, kind: str = "other") -> Counter[str]:
        """Return the CPU time by kind of work, each stretch without those within it."""
        if self.name.startswith(WAITING):
            return Counter({"gpu_wait": self.end_us - self.start_us})
        kind = KIND_OF.get(self.name, kind)
        found = Counter({kind: max(0.0, self.cpu_us - sum(one.cpu_us for one in self.within))})
        for one in self.within:
            found.update(one.kinds_us(kind))
        return found


def measure(drivers: int, seconds: float, measured: Callable[[], object] = lambda: None) -> dict[str, Any]:
    """Measure the page at rest and while the map is moved, in each view; `measured` is called after each case."""
    return asyncio.run(_measure(drivers, seconds, measured))


async def _measure(drivers: int, seconds: float, measured: Callable[[], object]) -> dict[str, Any]:
    async with onward_stand(drivers=drivers, pinned=False, extract=bundled_helsinki()) as (stand, people):
        lasts_s = 4 * (seconds + 20) + 60
        plan = {"seconds": lasts_s, "frames_per_s": 1 / FIX_EVERY_S, "drivers": people.driver_tokens}
        traffic = asyncio.create_task(load(stand, plan, pinned=False))
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            try:
                page = await browser.new_page(
                    viewport={"width": SIZE[0], "height": SIZE[1]}, device_scale_factor=PIXEL_RATIO
                )
                streaming = _streaming(page)
                await page.goto(f"{stand.url}/board/#{people.admin_token}")
                async with asyncio.timeout(START_DEADLINE_S):
                    await streaming.wait()
                cases, zoomed = [], 0
                for view, steps in VIEWS:
                    for _ in range(steps - zoomed):
                        await page.get_by_role("button", name="Zoom out").click()
                        await asyncio.sleep(1)
                    zoomed = steps
                    await asyncio.sleep(SETTLE_S)
                    for move, doing in (("rest", _rest), ("pan and zoom", _strokes)):
                        events = await _trace(browser, page, doing, seconds)
                        cases.append({"view": view, "move": move, **figures(events)})
                        measured()
            finally:
                traffic.cancel()
                await asyncio.gather(traffic, return_exceptions=True)
                await browser.close()
    return {"drivers": drivers, "fixes_per_s": drivers / FIX_EVERY_S, "cases": cases}


def _streaming(page: Page) -> asyncio.Event:
    """Return what is set once drivers move on the page."""
    heard, streaming = Counter[str](), asyncio.Event()

    def hear(frame: str | bytes) -> None:
        heard.update([str(frame)[9:18]])
        if heard["positions"] >= MOVES_FIRST:
            streaming.set()

    page.on("websocket", lambda socket: socket.on("framereceived", hear))
    return streaming


async def _trace(
    browser: Browser, page: Page, doing: Callable[[Page, float], Any], seconds: float
) -> list[dict[str, Any]]:
    await browser.start_tracing(page=page, categories=CATEGORIES)
    await doing(page, seconds)
    events: list[dict[str, Any]] = msgspec.json.decode(await browser.stop_tracing())["traceEvents"]
    return events


async def _rest(_page: Page, seconds: float) -> None:
    await asyncio.sleep(seconds)


async def _strokes(page: Page, seconds: float) -> None:
    """Drag the map to and fro, and turn the wheel."""
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        for start, end in ((1100, 700), (700, 1100)):
            await page.mouse.move(start, 500)
            await page.mouse.down()
            await page.mouse.move(end, 500, steps=12)
            await page.mouse.up()
        for turn in (-240, 240):
            await page.mouse.wheel(0, turn)
            await asyncio.sleep(0.4)


def figures(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a trace says of the page's main thread: milliseconds a frame, and tasks that are too long.

    A frame's are those of its own task and of all that ran in the sixtieth of a second before it: so what a slow drawer
    lets pile up is no frame's alone.
    """
    names = {(one["pid"], one["tid"]): one["args"]["name"] for one in events if one["name"] == "thread_name"}
    threads = {thread: _nested(events, thread) for thread, name in names.items() if name == "CrRendererMain"}
    main = max(threads, key=lambda thread: sum(task.cpu_us for task in threads[thread]))
    tasks = threads[main]
    begun_us = [task.start_us for task in tasks]
    costs = [task.kinds_us() for task in tasks]
    waits_us = [cost.pop("gpu_wait", 0.0) for cost in costs]
    tasks_ms = [sum(cost.values()) / 1000 for cost in costs]
    frames_us = [one["ts"] for one in events if one["name"] == "BeginMainThreadFrame" and _thread(one) == main]
    frames = [
        sum(costs[bisect_right(begun_us, at - FRAME_US) : bisect_right(begun_us, at)], Counter[str]())
        for at in frames_us
    ]
    frames_ms = [sum(frame.values()) / 1000 for frame in frames]
    lasted_s = (begun_us[-1] - begun_us[0]) / 1e6
    gpu = next(thread for thread, name in names.items() if name == "CrGpuMain")
    drawing_us = sum(one.get("dur", 0) for one in events if one["name"] == "RunTask" and _thread(one) == gpu)
    return {
        "main_ms_per_s": sum(tasks_ms) / lasted_s,
        "frames_per_s": len(frames) / lasted_s,
        **{f"p{q}_ms": float(np.percentile(frames_ms, q)) for q in (50, 95, 99)},
        **{f"{kind}_ms": sum(frame[kind] for frame in frames) / len(frames) / 1000 for kind in (*KINDS, "other")},
        "longest_task_ms": max(tasks_ms),
        "long_tasks": sum(ms > LONG_TASK_MS for ms in tasks_ms),
        "gpu_ms": drawing_us / len(frames) / 1000,
        "gpu_wait_ms": sum(waits_us) / len(frames) / 1000,
    }


def _thread(event: dict[str, Any]) -> tuple[int, int]:
    return event["pid"], event["tid"]


def _nested(events: list[dict[str, Any]], thread: tuple[int, int]) -> list[Spell]:
    """Return a thread's tasks, each with what was traced within it."""
    mine = [one for one in events if one["ph"] == "X" and _thread(one) == thread]
    found: list[Spell] = []
    open_: list[Spell] = []
    for one in sorted(mine, key=lambda one: (one["ts"], -one.get("dur", 0))):
        spell = Spell(one["name"], one["ts"], one["ts"] + one.get("dur", 0), one.get("tdur", one.get("dur", 0)))
        while open_ and open_[-1].end_us <= spell.start_us:
            open_.pop()
        if open_:
            open_[-1].within.append(spell)
        elif spell.name == "RunTask":
            found.append(spell)
        else:
            continue
        open_.append(spell)
    return found
