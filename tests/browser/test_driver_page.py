"""A courier's phone in a real browser: served with a thumb, cut off in the middle, reloaded, opened twice."""

from __future__ import annotations

import asyncio
import io
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import Browser, BrowserContext, Page, expect

from kernel import metrics
from kernel.db import Reason
from kernel.ids import Kind, parse, show
from onward import pages
from tenancy.passwords import hash_password
from tests.support.pages import PHONE, open_page
from tests.support.people import create_delivery, eventually
from tests.support.server import Onward
from tests.support.world import Driver

OFFLINE_S = float(os.environ.get("ONWARD_OFFLINE_S", "10"))
"""How long the phone is without a network in the middle of a delivery."""
START = (60.1705, 24.9400)
"""Near the store, but outside its fence, and outside the door's."""
STARTS_AT = {"latitude": START[0], "longitude": START[1], "accuracy": 5}
TRY_SOCKET = """new Promise((done) => Object.assign(new WebSocket(origin.replace("http", "ws") + "/ws/driver"), {
  onopen: () => done("open"), onerror: () => done("cut"),
}))"""
QUEUE = """async () => {
  const name = (await indexedDB.databases()).find((one) => one.name.startsWith("onward-driver-")).name;
  const done = (ask) => new Promise((good) => { ask.onsuccess = () => good(ask.result); });
  const db = await done(indexedDB.open(name)), rows = await done(db.transaction("queue").objectStore("queue").getAll());
  db.close();
  return rows.map(({ photo, ...row }) => ({ ...row, photo: photo?.size ?? 0 }));
}"""


def photo() -> dict[str, Any]:
    """A picture as a phone's camera makes it: bigger than anybody needs."""
    out = io.BytesIO()
    Image.effect_noise((2400, 1800), 60).convert("RGB").save(out, "JPEG")
    return {"name": "door.jpg", "mimeType": "image/jpeg", "buffer": out.getvalue()}


@dataclass
class Phone:
    """A driver's phone with the page open."""

    town: Onward
    page: Page
    complaints: list[str]
    who: Driver

    @property
    def context(self) -> BrowserContext:
        return self.page.context

    async def stands_at(self, lat: float, lng: float) -> None:
        await self.context.set_geolocation({"latitude": lat, "longitude": lng, "accuracy": 5})

    async def presses(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def photographs(self) -> None:
        await self.page.locator("input[type=file]").set_input_files(photo())  # type: ignore[arg-type]

    async def queue(self) -> list[dict[str, Any]]:
        """Return what is on the phone's disk and not yet with the server."""
        rows: list[dict[str, Any]] = await self.page.evaluate(QUEUE)
        return rows

    async def all_sent(self) -> None:
        await eventually(self.queue, lambda rows: not rows, "everything is with the server")

    async def serves(self, *buttons: str) -> None:
        for button in buttons:
            await self.presses(button)

    async def works_on_its_own(self, todo: list[str]) -> list[tuple[str, float, float]]:
        """Move on for `OFFLINE_S`, doing things on the way; return (what, earliest, latest) in Unix ms."""
        pressed, wanted = [], len(todo) + 1
        steps, ends_s = 0, time.monotonic() + OFFLINE_S
        while (left_s := ends_s - time.monotonic()) > 0 or todo:
            steps += 1
            known = len(kept_fixes(await self.queue()))
            await self.stands_at(START[0] + 0.0001 * (steps % 8), START[1] - 0.0001 * steps)
            await eventually(self.queue, partial(has_more_than, known), "a fix is kept")
            if not todo or left_s > OFFLINE_S * len(todo) / wanted:
                continue
            what, from_ms = todo.pop(0), time.time() * 1000
            if what == "reload":
                await self.page.reload()
                await expect(self.page.get_by_text("Photo kept")).to_be_visible()
                continue
            if what == "photo":
                await self.photographs()
                await expect(self.page.get_by_text("Photo kept")).to_be_visible()
            else:
                await self.presses(what)
            pressed.append((what, from_ms, time.time() * 1000))
        return pressed

    async def fixes_between(self, first_ms: int, last_ms: int) -> list[int]:
        """Return the times of the fixes in the history, in order."""
        rows = await self.rows(
            """SELECT (extract(epoch FROM recorded_at) * 1000)::bigint AS t FROM driver_locations
               WHERE driver_id = $1 AND recorded_at BETWEEN to_timestamp($2) AND to_timestamp($3)
               ORDER BY recorded_at""",
            self.who.id,
            first_ms / 1000 - 0.0005,
            last_ms / 1000 + 0.0005,
        )
        return [row["t"] for row in rows]

    async def rows(self, query: str, *more: Any) -> list[Any]:
        async with self.town.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
            return list(await con.fetch(query, *more))


@asynccontextmanager
async def phone(town: Onward, browser: Browser, who: Driver) -> AsyncIterator[Phone]:
    """The page of a driver who signed in before."""
    page, complaints = await open_page(browser, PHONE, permissions=["geolocation"], geolocation=STARTS_AT)
    account = json.dumps({"token": who.token, "driver_id": show(Kind.DRIVER, who.id), "name": who.name})
    await page.context.add_init_script(f"localStorage.getItem('driver') ?? localStorage.setItem('driver', '{account}')")
    await page.goto(f"{town.url}/driver/")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    yield Phone(town, page, complaints, who)
    await page.context.close()


def has_more_than(known: int, rows: list[dict[str, Any]]) -> bool:
    return len(kept_fixes(rows)) > known


def kept_fixes(rows: list[dict[str, Any]]) -> list[int]:
    """Return the times of the readings in a queue, in frames or not."""
    frames = [row.get("frame", {}).get("fixes") or [row["fix"]] for row in rows if "action" not in row]
    return [fix["t"] for frame in frames for fix in frame]


@pytest.mark.timeout(OFFLINE_S + 300)
async def test_a_phone_without_a_network_loses_nothing_and_repeats_nothing(town: Onward, browser: Browser) -> None:
    """Cut off between store and door, and reloaded: each fix, status and photo comes once, in order, at its time."""
    async with phone(town, browser, town.world.dedicated) as dora:
        await dora.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        await dora.presses("Go online")
        delivery = await create_delivery(town, town.world.rosso)
        await dora.serves("Accept", "On my way", "I'm at the store", "Picked up")
        await expect(dora.page.get_by_text("Bring to").first).to_be_visible()
        await dora.all_sent()

        await dora.context.set_offline(True)
        cut_ms = time.time() * 1000
        await expect(dora.page.get_by_text("No connection since")).to_be_visible()
        await eventually(sockets, lambda n: n == 0, "the server sees no phone")
        assert await dora.page.evaluate(TRY_SOCKET) == "cut"
        pressed = await dora.works_on_its_own(["On my way", "I'm at the door", "photo", "reload", "Delivered"])
        kept = await dora.queue()
        assert [row["action"].get("status", "photo") for row in kept if "action" in row] == [
            "en_route_to_dropoff",
            "arrived_at_dropoff",
            "photo",
            "delivered",
        ]
        await expect(dora.page.get_by_text("3 actions, 1 photo")).to_be_visible()
        offline_fixes, back_ms = kept_fixes(kept), time.time() * 1000
        assert len(offline_fixes) > 5
        assert offline_fixes == sorted(set(offline_fixes)), "the page keeps the last reading once, loaded anew or not"
        assert cut_ms - 2000 < offline_fixes[0] <= offline_fixes[-1] <= back_ms

        await dora.context.set_offline(False)
        await expect(dora.page.get_by_text("No connection since")).to_have_count(0)
        await dora.all_sent()
        id_ = parse(Kind.DELIVERY, delivery["id"])
        history = await dora.rows(
            "SELECT status, source, at FROM delivery_status_history WHERE delivery_id = $1 ORDER BY version", id_
        )
        assert [(row["status"], row["source"]) for row in history[-3:]] == [
            ("en_route_to_dropoff", "driver"),
            ("arrived_at_dropoff", "driver"),
            ("delivered", "driver"),
        ]
        proofs = await dora.rows("SELECT taken_at, bytes, lat FROM proofs WHERE delivery_id = $1", id_)
        assert len(proofs) == 1
        assert proofs[0]["lat"] is not None
        happened = [history[-3]["at"], history[-2]["at"], proofs[0]["taken_at"], history[-1]["at"]]
        for (what, from_ms, to_ms), at in zip(pressed, happened, strict=True):
            assert from_ms - 1 <= at.timestamp() * 1000 <= to_ms + 1, what
        stored = await eventually(
            lambda: dora.fixes_between(offline_fixes[0], offline_fixes[-1]),
            lambda found: len(found) >= len(offline_fixes),
            "the history has every fix",
        )
        assert stored == offline_fixes
        await dora.page.locator(".earned").click()
        await expect(dora.page.locator(".earnings")).to_contain_text("1 delivery today")
        assert await dora.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert all("ERR_INTERNET_DISCONNECTED" in complaint for complaint in dora.complaints)


async def sockets() -> float:
    """Return how many phones the server sees, once it had a turn."""
    await asyncio.sleep(0)
    return metrics.sockets_open.labels("driver")._value.get()


async def test_a_drivers_hour_with_a_late_yes_and_a_closed_door(town: Onward, browser: Browser) -> None:
    """Signed in, one window at a time; a yes after the offer's end takes nothing; what nobody takes goes back."""
    kept = await hash_password("correct horse")
    async with town.installation.db.platform_tx(Reason.SEED) as con:
        await con.execute("UPDATE users SET password_hash = $1 WHERE email = 'driver0@example.com'", kept)
    page, _ = await open_page(browser, PHONE, permissions=["geolocation"], geolocation=STARTS_AT)
    await page.goto(f"{town.url}/driver/")
    await page.get_by_label("E-mail").fill("driver0@example.com")
    await page.get_by_label("Password").fill("correct horse")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("Hello Dora")).to_be_visible()

    second = await page.context.new_page()
    await second.goto(f"{town.url}/driver/")
    await expect(second.get_by_text("Open in another window")).to_be_visible()
    await second.get_by_role("button", name="Use it here").click()
    await expect(second.get_by_text("Live", exact=True)).to_be_visible()
    await expect(page.get_by_text("Open in another window")).to_be_visible()

    dora = Phone(town, second, [], town.world.dedicated)
    await dora.presses("Go online")
    await create_delivery(town, town.world.rosso)
    await expect(second.get_by_role("heading", name="New offer")).to_be_visible()
    await dora.context.set_offline(True)
    await dora.presses("Accept")
    await expect(second.get_by_text("Your yes is sent as soon as")).to_be_visible()
    async with town.installation.db.platform_tx(Reason.ADMIN) as con:
        await con.execute("UPDATE offers SET expires_at = now() - interval '1 second' WHERE status = 'sent'")
    await eventually(
        lambda: dora.rows("SELECT 1 FROM offers WHERE status = 'sent' AND expires_at < now()"),
        lambda open_still: not open_still,
        "that his offer is closed",
    )
    await second.clock.install()
    await second.clock.fast_forward(31_000)
    await expect(second.get_by_text("Waiting for an offer")).to_be_visible()
    await dora.context.set_offline(False)
    await expect(second.get_by_text("This offer is gone.")).to_be_visible()
    await dora.all_sent()
    assert await dora.rows("SELECT 1 FROM offers WHERE status = 'accepted'") == []

    id_ = parse(Kind.DELIVERY, (await create_delivery(town, town.world.rosso))["id"])
    await dora.serves("Accept", "On my way", "I'm at the store", "Picked up")
    await dora.serves("Can't be delivered", "Nobody is there")
    await expect(second.get_by_text("Bring back to").first).to_be_visible()
    await dora.all_sent()
    query = "SELECT reason FROM delivery_status_history WHERE delivery_id = $1 AND status = 'failed'"
    assert [row["reason"] for row in await dora.rows(query, id_)] == ["nobody_there"]
    await second.reload()
    await dora.serves("Bring it back", "Brought back")
    await expect(second.get_by_text("Waiting for an offer")).to_be_visible()
    await eventually(
        lambda: dora.rows("SELECT status FROM deliveries WHERE id = $1", id_),
        lambda rows: rows[0]["status"] == "returned",
        "it is back",
    )


async def test_the_page_never_steps_back(browser: Browser) -> None:
    """A route written before the last word was heard changes nothing; what failed turns round; a no is gone at once;
    who was taken off for silence is not one who left himself.
    """
    page, _ = await open_page(browser, PHONE)
    code = (pages.folder() / "driver/work.js").read_text()
    seen = await page.evaluate(STEPS, code)
    assert seen["confirmed"] == ["dropoff picked_up"]
    assert seen["stale"] == ["dropoff picked_up"]
    assert seen["failed"] == ["return failed"]
    assert seen["lost"] == []
    assert seen["offers"] == ["two"]
    assert seen["shift"] == ["busy", "available"]
    assert seen["silent"] == [True, False, False, False]
    assert seen["after"] == ["offline", "available"]


STEPS = """async (code) => {
  const w = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const stop = (kind, status) => ({ id: kind, kind, status, delivery_id: "d" });
  const both = (status) => [stop("pickup", status), stop("dropoff", status)];
  const route = (version, status) => ({ type: "route", version, stops: both(status) });
  const driver = { state: "available" }, offers = [{ id: "one" }, { id: "two" }];
  const said = { notices: [], messages: [] }, way = route(3, "arrived_at_pickup");
  const welcome = { type: "welcome", state: { driver, offers, route: way, ...said } };
  const names = (state, actions = []) => w.picture(state, actions).stops.map((one) => `${one.kind} ${one.status}`);
  const known = w.hear(w.nothing, welcome), picked = { type: "status", delivery_id: "d", status: "picked_up" };
  const confirmed = w.settle(known, picked), stale = w.hear(confirmed, route(3, "arrived_at_pickup"));
  const lost = w.hear(stale, { type: "route", version: 4, stops: [] });
  const off = w.hear(lost, { type: "shift", state: "offline", silent_since: "2026-01-01T00:00:00Z" });
  const back = w.hear(off, { type: "shift", state: "available", silent_since: null });
  const leaves = { type: "availability", state: "offline" }, left = w.settle(off, leaves);
  return {
    confirmed: names(confirmed), stale: names(stale), lost: names(lost),
    failed: names(stale, [{ ...picked, status: "failed" }]),
    offers: w.picture(known, [{ type: "offer_reply", offer_id: "one", reply: "decline" }]).offers.map((one) => one.id),
    shift: [w.picture(stale, []).shift, w.picture(lost, []).shift],
    silent: [[off, []], [off, [leaves]], [left, []], [back, []]].map(([one, acts]) => w.picture(one, acts).silent),
    after: [w.picture(off, []).shift, w.picture(back, []).shift],
  };
}"""


async def test_any_cut_of_the_line_or_crash_of_the_page_ends_the_same(browser: Browser) -> None:
    """The queue alone against a server that forgets nothing: lost frames, lost acks, crashes, late photos."""
    page, complaints = await open_page(browser, PHONE)
    await page.evaluate("(code) => { window.code = code; }", (pages.folder() / "driver/session.js").read_text())
    for seed in range(1, 41):
        told = await page.evaluate(ANY_CUT, seed)
        assert told["heard"]["fixes"] == told["made"]["fixes"], seed
        assert told["heard"]["actions"] == told["made"]["actions"], seed
        assert told["frames"] < len(told["made"]["fixes"]) + len(told["made"]["actions"])
    assert complaints == []


ANY_CUT = """async (seed) => {
  const s = await import(URL.createObjectURL(new Blob([window.code], { type: "text/javascript" })));
  let dice = seed;
  const random = () => (dice = (dice * 1103515245 + 12345) % 2147483648) / 2147483648;
  const disk = new Map(), made = { fixes: [], actions: [] }, heard = { fixes: [], actions: [] };
  let queue = s.queueOf([], 0), disk_seq = 0, durable = 0, open = false, frames = 0, clock = 0;
  const keep = ({ queue: next, put = [], remove = [], seq = next.seq }) => {
    remove.forEach((n) => disk.delete(n)); put.forEach((row) => disk.set(row.n, row)); disk_seq = seq; queue = next;
  };
  const send = (frame) => {
    open &&= random() > 0.1;
    if (!open || frame.seq <= durable) return;
    durable = frame.seq; frames += 1;
    if (frame.type === "fixes") heard.fixes.push(...frame.fixes.map((fix) => fix.t)); else heard.actions.push(frame.id);
  };
  const flush = () => {
    if (!open) return;
    const stamped = s.stamp(queue);
    keep(stamped);
    stamped.put.forEach((row) => send(row.frame));
  };
  const come = () => {
    open = true;
    keep(s.forget(queue, durable));
    queue.sent.forEach((row) => send(row.frame));
    flush();
  };
  const upload = () => {
    const row = open && s.photoToSend(queue);
    if (row) { keep(s.photoSent(queue, row.n, "prf")); flush(); }
  };
  const act = (more) => { made.actions.push(clock); keep(s.add(queue, more)); flush(); };
  for (let step = 0; step < 600; step += 1) {
    const luck = random();
    clock += 1;
    if (luck < 0.5) { made.fixes.push(clock); keep(s.add(queue, { fix: { t: clock } })); flush(); }
    else if (luck < 0.6) act({ action: { type: "status", id: clock } });
    else if (luck < 0.63) act({ action: { type: "proof_ref", id: clock }, photo: true });
    else if (luck < 0.75) upload();
    else if (luck < 0.85) { if (open) { keep(s.forget(queue, durable)); flush(); } }
    else if (luck < 0.9) open = false;
    else if (luck < 0.93) {
      queue = s.queueOf([...disk.values()], disk_seq); open = false;
      if (s.countOf(queue).fixes) keep(s.add(queue, { fix: { t: made.fixes.at(-1) } }));  // the phone tells it again
    }
    else come();
  }
  while (queue.sent.length || queue.waiting.length) { come(); upload(); }
  return { made, heard, frames };
}"""
