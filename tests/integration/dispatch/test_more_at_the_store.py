"""Who waits at a store may be given more there: he is not sent away, and loses nothing that he has."""

from __future__ import annotations

from tests.support.people import courier, create_delivery, until
from tests.support.server import Onward


async def test_who_waits_at_a_store_is_asked_to_take_more_there(onward: Onward) -> None:
    """A second order to the same street goes to him who stands there, though somebody is free next door."""
    verde = onward.world.verde
    async with courier(onward, onward.world.pool[0]) as pia, courier(onward, onward.world.pool[1]) as sam:
        await pia.goes_online(verde.lat, verde.lng)
        first = await create_delivery(onward, verde)
        offer = await pia.is_offered()
        await pia.answers(offer, "accept")
        await pia.reports(first["id"], "en_route_to_pickup", "arrived_at_pickup")
        await sam.goes_online(verde.lat + 0.004, verde.lng)
        second = await create_delivery(onward, verde)
        more = await until(
            lambda: (last := pia.last("offer")) and last["offer"]["id"] != offer["id"] and last["offer"],
            "Pia is asked to take more",
            pia.changed,
        )
        assert more["deliveries"] == [second["id"]]
        assert sam.last("offer") is None
        await pia.answers(more, "accept")
        await pia.reports(first["id"], "picked_up")
        await pia.reports(second["id"], "en_route_to_pickup", "arrived_at_pickup", "picked_up")
        await until(
            lambda: [stop["kind"] for stop in pia.last("route")["stops"]] == ["dropoff", "dropoff"],
            "both doors are left",
            pia.changed,
        )
