"""The life of a delivery, told through the public sockets and HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.people import courier, create_delivery, eventually, tracking_token, until, watcher
from tests.support.server import Onward


async def test_a_delivery_is_offered_accepted_and_delivered_while_everybody_watches(onward: Onward) -> None:
    """The whole loop: business, driver, board and customer see the same story."""
    world = onward.world
    async with (
        courier(onward, world.dedicated) as dora,
        watcher(onward, world.rosso.token) as board,
        watcher(onward, world.admin_token) as operator,
    ):
        await dora.goes_online(60.1691, 24.9401)
        delivery = await create_delivery(onward, world.rosso, tip_minor=200)
        offer = await dora.is_offered()
        assert offer["deliveries"] == [delivery["id"]]
        await dora.answers(offer, "accept")
        await until(lambda: (dora.last("route") or {}).get("stops"), "a route arrives", dora.changed)
        async with watcher(onward, tracking_token(delivery)) as customer:
            await customer.sees(lambda o: o["driver"] and o["driver"]["name"] == "Dora", "the courier's first name")
            await dora.is_at(60.1695, 24.9405)
            await until(customer.positions, "the dot moves", customer.changed)
            await customer.sees(lambda o: o["eta"], "an arrival time")
            await dora.delivers(delivery["id"])
            await customer.sees(lambda o: o["status"] == "delivered" and o["driver"] is None, "delivered, no dot")
            seen = [step["status"] for step in customer.object["timeline"]]
            assert seen[0] == "pending"
            assert seen[-1] == "delivered"
        for view in (board, operator):
            await view.sees(lambda o: [d["status"] for d in o["deliveries"]] == ["delivered"], "delivered on the board")
            await view.sees(
                lambda o: next(d for d in o["drivers"] if d["name"] == "Dora Dedicated")["state"] == "available",
                "the driver is free again",
            )
        headers = onward.as_(world.dedicated.token)

        async def earnings() -> Any:
            async with onward.http.get("/api/v1/driver/earnings", headers=headers) as reply:
                return (await reply.json())["totals"]

        owed = [{"amount_minor": delivery["driver_pay_minor"] + 200, "currency": "EUR"}]
        await eventually(earnings, lambda totals: totals == owed, "the earning is posted")


async def test_a_declined_offer_goes_to_the_next_driver(onward: Onward) -> None:
    """Nobody is asked twice, and the delivery is not forgotten."""
    world = onward.world
    async with courier(onward, world.pool[0]) as near, courier(onward, world.pool[1]) as far:
        await near.goes_online(60.1721, 24.9451)
        await far.goes_online(60.1760, 24.9500)
        delivery = await create_delivery(onward, world.verde)
        offer = await near.is_offered()
        await near.answers(offer, "decline", reason="flat tyre")
        second = await far.is_offered()
        assert second["deliveries"] == [delivery["id"]]
        await far.answers(second, "accept")
        headers = onward.as_(world.verde.token)
        async with onward.http.get(f"/api/v1/deliveries/{delivery['id']}", headers=headers) as reply:
            assert (await reply.json())["status"] == "assigned"


async def test_a_dedicated_driver_comes_before_a_nearer_one_of_the_pool(onward: Onward) -> None:
    """A business' own driver is asked first; another business' order goes to the pool."""
    world = onward.world
    async with courier(onward, world.dedicated) as own, courier(onward, world.pool[0]) as pooled:
        await own.goes_online(60.1700, 24.9410)
        await pooled.goes_online(60.1690, 24.9400)
        rossos = await create_delivery(onward, world.rosso)
        verdes = await create_delivery(onward, world.verde)
        assert (await own.is_offered())["deliveries"] == [rossos["id"]]
        assert (await pooled.is_offered())["deliveries"] == [verdes["id"]]


async def test_a_canceled_delivery_frees_its_driver_and_takes_the_offer_back(onward: Onward) -> None:
    """A cancel reaches the phone, and the driver can work again."""
    world = onward.world
    async with courier(onward, world.pool[0]) as driver:
        await driver.goes_online(60.1721, 24.9451)
        delivery = await create_delivery(onward, world.verde)
        offer = await driver.is_offered()
        headers = onward.as_(world.verde.token)
        cancel = f"/api/v1/deliveries/{delivery['id']}/cancel"
        async with onward.http.post(cancel, json={"reason": "sold out"}, headers=headers) as reply:
            assert reply.status == 200
        gone = await until(lambda: driver.last("offer_gone"), "the offer is taken back", driver.changed)
        assert gone["offer_id"] == offer["id"]
        await driver.answers(offer, "accept")
        assert driver.client.nacks[-1]["code"] == "offer_gone"
        await create_delivery(onward, world.verde)
        await until(
            lambda: sum(m["type"] == "offer" for m in driver.messages) == 2, "the next offer comes", driver.changed
        )


async def test_a_status_out_of_order_is_refused_and_changes_nothing(onward: Onward) -> None:
    """Nothing is delivered that was not picked up, and nothing without its photo."""
    world = onward.world
    async with courier(onward, world.pool[0]) as driver:
        await driver.goes_online(60.1721, 24.9451)
        delivery = await create_delivery(onward, world.verde)
        await driver.answers(await driver.is_offered(), "accept")
        await driver.reports(delivery["id"], "delivered")
        assert driver.client.nacks[-1]["code"] == "illegal_transition"
        await driver.reports(delivery["id"], "arrived_at_pickup", "picked_up", "arrived_at_dropoff", "delivered")
        assert driver.client.nacks[-1]["code"] == "validation_failed"
        headers = onward.as_(world.verde.token)
        async with onward.http.get(f"/api/v1/deliveries/{delivery['id']}", headers=headers) as reply:
            assert (await reply.json())["status"] == "arrived_at_dropoff"


async def test_with_no_driver_the_board_says_why(onward: Onward) -> None:
    """An unassigned delivery explains itself in a code that pages translate."""
    world = onward.world
    async with watcher(onward, world.rosso.token) as board:
        await create_delivery(onward, world.rosso)
        why = {"code": "no_drivers", "counts": {}}
        await board.sees(lambda o: o["deliveries"] and o["deliveries"][0]["unassigned_reason"] == why, "the reason")


async def test_two_orders_of_one_store_go_in_one_offer_and_one_route(onward: Onward) -> None:
    """To doors next to each other: one question, two pickups, two doors, pay for both; the second waits its turn."""
    world = onward.world
    async with courier(onward, world.dedicated) as dora:
        made = [await create_delivery(onward, world.rosso) for _ in range(2)]
        await dora.goes_online(world.rosso.lat, world.rosso.lng)
        offer = await dora.is_offered()
        assert set(offer["deliveries"]) == {one["id"] for one in made}
        assert offer["pay_minor"] == sum(one["driver_pay_minor"] for one in made)
        assert len(offer["dropoffs"]) == 2
        await dora.answers(offer, "accept")
        route = await until(
            lambda: len((dora.last("route") or {"stops": []})["stops"]) == 4, "four stops", dora.changed
        )
        assert route
        stops = dora.last("route")["stops"]  # type: ignore[index]
        assert [stop["kind"] for stop in stops] == ["pickup", "pickup", "dropoff", "dropoff"]
        assert [stop["delivery_id"] for stop in stops[2:]] == offer["deliveries"]
        last = next(one for one in made if one["id"] == offer["deliveries"][1])
        async with watcher(onward, tracking_token(last)) as customer:
            await customer.sees(lambda o: o["stops_before"], "another stop comes first")
            for delivery in offer["deliveries"]:
                await dora.reports(delivery, "en_route_to_pickup", "arrived_at_pickup", "picked_up")
            for delivery in offer["deliveries"]:
                await dora.reports(delivery, "en_route_to_dropoff", "arrived_at_dropoff")
                await dora.takes_photo(delivery)
                await dora.reports(delivery, "delivered")
            await customer.sees(lambda o: o["status"] == "delivered", "delivered")
        async with watcher(onward, world.rosso.token) as board:
            await board.sees(lambda o: o["drivers"][0]["state"] == "available", "the driver is free again")


async def test_an_order_of_the_same_store_joins_the_driver_who_is_still_on_his_way_there(onward: Onward) -> None:
    """One more question, one route; once she has left the store, the answer comes too late."""
    world = onward.world
    async with courier(onward, world.dedicated) as dora:
        first = await create_delivery(onward, world.rosso)
        await dora.goes_online(world.rosso.lat, world.rosso.lng)
        await dora.answers(await dora.is_offered(), "accept")
        await dora.reports(first["id"], "en_route_to_pickup")
        second = await create_delivery(onward, world.rosso)

        def asked_again() -> Any:
            offer = (dora.last("offer") or {"offer": {"deliveries": []}})["offer"]
            return offer if offer["deliveries"] == [second["id"]] else None

        offer = await until(asked_again, "Dora is asked for the second", dora.changed)
        assert offer["joins"] == [first["id"]]
        await dora.answers(offer, "accept")
        await until(lambda: len((dora.last("route") or {"stops": []})["stops"]) == 4, "four stops", dora.changed)
        stops = (dora.last("route") or {})["stops"]
        assert [stop["kind"] for stop in stops] == ["pickup", "pickup", "dropoff", "dropoff"]
        assert [(stop["kind"], stop["delivery_id"]) for stop in stops] == [
            (stop["kind"], stop["delivery_id"]) for stop in offer["stops"]
        ]


async def test_a_store_on_the_way_is_called_at_on_the_way_when_both_businesses_allow_it(onward: Onward) -> None:
    """With food aboard past another store: her pickup comes before his door, and both arrive."""
    world = onward.world
    headers = onward.as_(world.admin_token)
    async with onward.http.patch("/api/v1/dispatch/policy", json={"several_stores": True}, headers=headers) as reply:
        assert reply.status == 200
    far, near = ({"name": "Eva", "address": f"{n} North St", "lat": 60.1790 - n / 2000, "lng": 24.9560} for n in (0, 1))
    async with courier(onward, world.pool[0]) as pia:
        await pia.goes_online(world.rosso.lat, world.rosso.lng)
        first = await create_delivery(onward, world.rosso, dropoff=far)
        await pia.answers(await pia.is_offered(), "accept")
        await pia.reports(first["id"], "en_route_to_pickup", "arrived_at_pickup", "picked_up")
        second = await create_delivery(onward, world.verde, dropoff=near)

        def asked_again() -> Any:
            offer = (pia.last("offer") or {"offer": {"deliveries": []}})["offer"]
            return offer if offer["deliveries"] == [second["id"]] else None

        offer = await until(asked_again, "Pia is asked for what lies on her way", pia.changed)
        planned = [(stop["kind"], stop["delivery_id"]) for stop in offer["stops"]]
        assert planned == [("pickup", second["id"]), ("dropoff", second["id"]), ("dropoff", first["id"])]
        await pia.answers(offer, "accept")
        await until(lambda: len((pia.last("route") or {"stops": []})["stops"]) == 3, "three stops", pia.changed)
        stops = (pia.last("route") or {})["stops"]
        assert [(stop["kind"], stop["delivery_id"]) for stop in stops] == planned
        await pia.reports(second["id"], "en_route_to_pickup", "arrived_at_pickup", "picked_up")
        for delivery in (second["id"], first["id"]):
            await pia.reports(delivery, "en_route_to_dropoff", "arrived_at_dropoff")
            await pia.takes_photo(delivery)
            await pia.reports(delivery, "delivered")
        async with watcher(onward, world.admin_token) as board:
            await board.sees(lambda o: all(d["status"] == "delivered" for d in o["deliveries"]), "both arrive")


async def test_what_is_ready_later_is_planned_and_asked_for_in_time(onward: Onward) -> None:
    """Ready in ten minutes and a driver at the door: nobody is bothered yet, and the board says when."""
    world = onward.world
    async with courier(onward, world.dedicated) as dora, watcher(onward, world.rosso.token) as board:
        await dora.goes_online(world.rosso.lat, world.rosso.lng)
        ready_at = datetime.now(UTC) + timedelta(minutes=10)
        await create_delivery(onward, world.rosso, ready_at=ready_at.isoformat())
        await board.sees(lambda o: o["deliveries"] and o["deliveries"][0]["planned_at"], "planned")
        planned = board.object["deliveries"][0]["planned_at"]
        assert timedelta(minutes=4) < planned - datetime.now(UTC) < timedelta(minutes=8)
        assert board.object["deliveries"][0]["reason"] is None
        assert dora.last("offer") is None
