"""People who write to each other about a delivery, and those who must not read it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.people import Courier, courier, create_delivery, tracking_token, until, watcher
from tests.support.server import Onward
from tests.support.world import Business


async def writes(onward: Onward, token: str, path: str, text: str, key: str = "") -> tuple[int, dict[str, Any]]:
    headers = {**onward.as_(token), **({"Idempotency-Key": key} if key else {})}
    async with onward.http.post(path, json={"text": text}, headers=headers) as reply:
        return reply.status, await reply.json()


async def thread(onward: Onward, token: str, delivery_id: str) -> Any:
    path = f"/api/v1/deliveries/{delivery_id}/messages"
    async with onward.http.get(path, headers=onward.as_(token)) as reply:
        return (
            [(m["sender"], m["channel"], m["text"]) for m in (await reply.json())["data"]] if reply.ok else reply.status
        )


async def takes(onward: Onward, driver: Courier, business: Business) -> dict[str, Any]:
    """The driver comes on line and accepts a new delivery of the business."""
    await driver.goes_online(business.lat, business.lng)
    delivery = await create_delivery(onward, business)
    await driver.answers(await driver.is_offered(), "accept")
    return delivery


async def test_the_desk_and_the_driver_write_to_each_other_and_the_customer_reads_nothing_of_it(onward: Onward) -> None:
    """Pushed to the phone, told to the board as a number, and kept; sent again by the phone it is said once."""
    rosso = onward.world.rosso
    async with AsyncExitStack() as people:
        dora = await people.enter_async_context(courier(onward, onward.world.dedicated))
        board = await people.enter_async_context(watcher(onward, rosso.token))
        delivery = await takes(onward, dora, rosso)
        path = f"/api/v1/deliveries/{delivery['id']}/messages"
        status, sent = await writes(onward, rosso.token, path, "  The door code is 7 ", key="m1")
        assert (status, sent["text"], sent["name"]) == (201, "The door code is 7", "Rosso Owner")
        assert (await writes(onward, rosso.token, path, "  The door code is 7 ", key="m1"))[1] == sent
        heard = await until(lambda: dora.last("message"), "the phone gets it", dora.changed)
        assert (heard["id"], heard["text"], heard["channel"]) == (sent["id"], "The door code is 7", "desk")
        for _ in range(2):
            await dora.client.act("message", id="once", delivery_id=delivery["id"], text="Thank you", channel="desk")
        await dora.client.all_acked()
        await board.sees(lambda o: any(d["messages"] == 2 for d in o["deliveries"]), "two messages")
        said = [("driver", "desk", "Thank you"), ("desk", "desk", "The door code is 7")]
        assert await thread(onward, rosso.token, delivery["id"]) == said
        assert await thread(onward, onward.world.admin_token, delivery["id"]) == said
        async with watcher(onward, tracking_token(delivery)) as customer:
            await customer.sees(lambda o: o["messages"] == [] and o["may_write"], "nothing")


async def test_a_customer_and_his_courier_write_without_a_number(onward: Onward) -> None:
    """Each is shown the other's first name and text; the page has it at once."""
    verde = onward.world.verde
    async with courier(onward, onward.world.pool[0]) as pia:
        delivery = await takes(onward, pia, verde)
        token = tracking_token(delivery)
        async with watcher(onward, token) as customer:
            assert (await writes(onward, token, "/api/v1/track/messages", "I am in the yard"))[0] == 201
            heard = await until(lambda: pia.last("message"), "the phone gets it", pia.changed)
            assert (heard["sender"], heard["name"], heard["text"]) == ("customer", "Eva", "I am in the yard")
            await pia.client.act("message", delivery_id=delivery["id"], text="Coming", channel="customer")
            await customer.sees(lambda o: len(o["messages"]) == 2, "the answer")
            assert [(m["name"], m["text"]) for m in customer.object["messages"]] == [
                ("Eva", "I am in the yard"),
                ("Pia", "Coming"),
            ]
            async with onward.http.get("/api/v1/track", headers=onward.as_(token)) as reply:
                polled = await reply.json()
            assert [m["id"] for m in polled["messages"]] == [m["id"] for m in customer.object["messages"]]


async def test_a_phone_that_was_away_finds_what_was_written_and_not_what_it_knows(onward: Onward) -> None:
    """`last_event` of hello is the newest message the phone has."""
    verde = onward.world.verde
    async with courier(onward, onward.world.pool[0]) as pia:
        delivery = await takes(onward, pia, verde)
    path = f"/api/v1/deliveries/{delivery['id']}/messages"
    _, first = await writes(onward, verde.token, path, "Where are you?")
    async with courier(onward, onward.world.pool[0]) as pia:
        assert [m["text"] for m in pia.messages[0]["state"]["messages"]] == ["Where are you?"]
        assert pia.client.session._last_event == first["id"]
    hello = {"type": "hello", "token": onward.world.pool[0].token, "device_id": "d"}
    future = f"msg_{int(first['id'][4:16], 16) + 120_000:012x}" + first["id"][16:]
    for last_event, count in (("", 1), ("nonsense", 1), (future, 0)):
        async with onward.http.ws_connect("/ws/driver", protocols=["onward.v1.json"]) as ws:
            await ws.send_json({**hello, "last_event": last_event})
            assert len((await ws.receive_json())["state"]["messages"]) == count


async def test_nobody_writes_or_reads_where_he_has_no_part(onward: Onward) -> None:
    """Another business, another driver, the next driver, a stranger's link; and nobody while there is no driver."""
    world = onward.world
    async with AsyncExitStack() as people:
        pia = await people.enter_async_context(courier(onward, world.pool[0]))
        other = await people.enter_async_context(courier(onward, world.pool[1]))
        delivery = await takes(onward, pia, world.verde)
        path = f"/api/v1/deliveries/{delivery['id']}/messages"
        await writes(onward, world.verde.token, path, "A secret")
        assert (await writes(onward, world.rosso.token, path, "Hello"))[0] == 404
        assert await thread(onward, world.rosso.token, delivery["id"]) == 404
        assert await thread(onward, tracking_token(delivery), delivery["id"]) == 403
        assert (await writes(onward, world.verde.token, "/api/v1/track/messages", "Hello"))[0] == 403
        await other.client.act("message", delivery_id=delivery["id"], text="Hello", channel="customer")
        await other.client.act("message", delivery_id="del_x", text="Hello", channel="desk")
        await other.client.all_acked()
        assert [nack["code"] for nack in other.client.nacks] == ["not_found", "not_found"]
        await other.goes_online(world.verde.lat, world.verde.lng)
        give = f"/api/v1/dispatch/deliveries/{delivery['id']}/reassign"
        async with onward.http.post(give, json={}, headers=onward.as_(world.verde.token)) as reply:
            assert reply.ok
        status, problem = await writes(onward, world.verde.token, path, "Is anybody there?")
        assert (status, problem["code"]) == (409, "illegal_transition")
        await other.answers(await other.is_offered(), "accept")
    async with courier(onward, world.pool[1], "new phone") as other:
        texts = [m["text"] for m in other.messages[0]["state"]["messages"]]
        assert "A secret" not in texts


@pytest.mark.parametrize("text", ["", "   ", "x" * 501, "a\0b"])
async def test_a_text_that_is_none_or_too_much_is_refused_and_the_socket_goes_on(onward: Onward, text: str) -> None:
    """Over HTTP and over the socket alike."""
    async with courier(onward, onward.world.pool[0]) as pia:
        delivery = await takes(onward, pia, onward.world.verde)
        path = f"/api/v1/deliveries/{delivery['id']}/messages"
        assert (await writes(onward, onward.world.verde.token, path, text))[0] == 422
        await pia.client.act("message", delivery_id=delivery["id"], text=text, channel="desk")
        await pia.client.all_acked()
        assert [nack["code"] for nack in pia.client.nacks] == ["validation_failed"]
