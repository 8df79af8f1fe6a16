"""The reference client and the page that explains it, against a real server, in both encodings."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import msgpack
import pytest
from aiohttp import WSMsgType

from tests.support.people import create_delivery, eventually, until
from tests.support.server import Onward
from tracking import gateway, viewers
from tracking.client import DriverClient, Message, Refused, SqliteStore, ViewerClient

EXAMPLES = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[3] / "docs/protocol.md").read_text(), re.DOTALL)


async def test_the_examples_of_the_protocol_page_run(onward: Onward, tmp_path: Path) -> None:
    """What an author copies works as it stands."""
    page: dict[str, Any] = {}
    for example in EXAMPLES:
        exec(example, page)
    phone = await page["drive"](onward.url, onward.world.dedicated.token, tmp_path)
    assert (phone.fixes_sent, phone.session.kept, phone.rejected) == (1, 0, {})

    async def drivers() -> list[Any]:
        return (await page["watch"](onward.url, onward.world.rosso.token))["drivers"]

    assert (await eventually(drivers, bool, "the driver on the board"))[0]["name"] == "Dora Dedicated"


@pytest.mark.parametrize("subprotocol", ["onward.v1.json", "onward.v1.msgpack"])
async def test_an_app_killed_off_line_loses_nothing_and_each_action_keeps_its_time(
    onward: Onward, tmp_path: Path, subprotocol: str
) -> None:
    """Its next life sends what the file kept, in order; a delivery is served and watched in either encoding."""
    verde, who = onward.world.verde, onward.world.pool[0]
    changed, heard = asyncio.Event(), list[Message]()
    board = ViewerClient(onward.url, verde.token, lambda _: changed.set(), subprotocol=subprotocol)

    def hear(message: Message) -> None:
        heard.append(message)
        changed.set()

    phone = DriverClient(onward.url, who.token, SqliteStore(tmp_path / "db"), hear, subprotocol=subprotocol)
    tasks = [asyncio.create_task(client.run()) for client in (board, phone)]
    await phone.send_fixes([{"t": int(time.time() * 1000), "lat": verde.lat, "lng": verde.lng}])
    await phone.act("availability", state="available")
    delivery = await create_delivery(onward, verde)
    offer = await until(lambda: next((m for m in heard if m["type"] == "offer"), None), "an offer", changed)
    await phone.act("offer_reply", offer_id=offer["offer"]["id"], reply="accept")
    await phone.all_acked()
    tasks[1].cancel()
    await asyncio.gather(tasks[1], return_exceptions=True)

    statuses = ("en_route_to_pickup", "arrived_at_pickup", "picked_up")
    times = [int(time.time() * 1000) - 60_000 + 1_000 * n for n in range(3)]
    for status, t in zip(statuses, times, strict=True):
        await phone.act("status", t=t, delivery_id=delivery["id"], status=status)
    await phone.send_fixes([{"t": times[0], "lat": verde.lat, "lng": verde.lng}])
    assert phone.session.kept == 4

    again = DriverClient(onward.url, who.token, SqliteStore(tmp_path / "db"), hear, subprotocol=subprotocol)
    assert again.session.kept == 4
    tasks.append(asyncio.create_task(again.run()))
    await again.all_acked()
    assert (again.nacks, again.session.kept) == ([], 0)
    seen = await until(
        lambda: next((d for d in board.object.get("deliveries", ()) if d["status"] == "picked_up"), None),
        "picked up on the board",
        changed,
    )
    assert [step["status"] for step in seen["timeline"]][-3:] == list(statuses)
    async with onward.installation.db.tenant_tx(verde.id, readonly=True) as con:
        kept = await con.fetch("SELECT at FROM delivery_status_history ORDER BY version DESC LIMIT 3")
    assert [round(row["at"].timestamp() * 1000) for row in reversed(kept)] == times
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_refused_client_stops_and_goes_on_with_a_new_token(onward: Onward, tmp_path: Path) -> None:
    """Nothing is lost while the app asks for it."""
    phone = DriverClient(onward.url, "ses_nobody-knows-this", SqliteStore(tmp_path / "db"))
    await phone.act("availability", state="available")
    with pytest.raises(Refused, match="4100"):
        await phone.run()
    phone.session.token = onward.world.pool[0].token
    socket = asyncio.create_task(phone.run())
    await phone.all_acked()
    socket.cancel()
    await asyncio.gather(socket, return_exceptions=True)


async def test_a_silent_phone_is_asked_whether_it_is_there(onward: Onward, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answers stays; one that does not is closed with 4002."""
    monkeypatch.setattr(gateway, "PING_AFTER_S", 0.05)
    monkeypatch.setattr(gateway, "IDLE_MAX_S", 1.0)
    hello = {"type": "hello", "token": onward.world.pool[0].token, "device_id": "x"}
    async with onward.http.ws_connect("/ws/driver", protocols=["onward.v1.msgpack"]) as ws:
        await ws.send_bytes(msgpack.packb(hello))
        answered = 0
        async for frame in ws:
            message = msgpack.unpackb(frame.data)
            if message["type"] == "ping" and answered < 10:
                answered += 1
                await ws.send_bytes(msgpack.packb({"type": "pong", "t": message["t"]}))
        assert answered == 10
        assert ws.close_code == 4002


@pytest.mark.parametrize("path", ["/ws/driver", "/ws/live"])
async def test_a_network_that_is_gone_ends_the_socket(
    onward: Onward, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Control frames are answered both ways; who answers none is closed with 4002, however lately he spoke."""
    monkeypatch.setattr(gateway, "HEARTBEAT_S", 3.0)  # so long may an answer take
    monkeypatch.setattr(viewers, "HEARTBEAT_S", 1.5)
    hello = {"type": "hello", "token": onward.world.pool[0].token, "device_id": "x"}
    first = hello if path == "/ws/driver" else {"type": "watch", "token": onward.world.admin_token}
    async with onward.http.ws_connect(path, protocols=["onward.v1.msgpack"], autoping=False) as ws:
        await ws.send_bytes(msgpack.packb(first))
        await ws.ping(b"there?")
        heard, answered = [], 0
        async for frame in ws:
            if frame.type is WSMsgType.PING and answered < 2:
                answered += 1
                await ws.pong(frame.data)
            elif frame.type is WSMsgType.PONG:
                heard.append(frame.data)
        assert (heard, answered, ws.close_code) == ([b"there?"], 2, 4002)


async def test_a_link_with_nothing_behind_it_ends_the_view_for_good(onward: Onward) -> None:
    """4203 on the socket, and the same code as the last event of a stream."""
    delivery = await create_delivery(onward, onward.world.verde)
    token = delivery["tracking_url"].split("#")[1]
    async with onward.installation.db.tenant_tx(onward.world.verde.id) as con:
        await con.execute("UPDATE deliveries SET status = 'canceled', finished_at = now() - interval '30 days'")
    with pytest.raises(Refused, match="4203"):
        await ViewerClient(onward.url, token).run()
    async with onward.http.get("/live", headers=onward.as_(token)) as reply:
        assert (await reply.text()).strip().endswith('data: {"type":"closed","code":4203}')


async def test_the_document_of_the_sockets_is_served(onward: Onward) -> None:
    """Beside the one of the API."""
    async with onward.http.get("/asyncapi.json") as reply:
        assert (await reply.json())["asyncapi"] == "3.0.0"


async def test_a_client_stopped_in_the_middle_and_run_again_greets_first(onward: Onward) -> None:
    """An app that stops its socket while it is live, and starts it later, goes on with what it kept."""
    phone = DriverClient(onward.url, onward.world.pool[0].token)
    for life in range(2):
        task = asyncio.create_task(phone.run())
        await asyncio.wait_for(phone.connected.wait(), 10)
        await phone.send_fixes([{"t": int(time.time() * 1000) + life, "lat": 60.17, "lng": 24.94}])
        await phone.all_acked()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert phone.connections == 2
    assert not phone.nacks
