"""From the menu to the money, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from finance.service import broken_invariants
from kernel.db import Reason
from kernel.ids import Kind, show
from tests.support.people import courier, eventually, tracking_token, watcher
from tests.support.server import Onward


async def add_product(onward: Onward, business: Any, **more: Any) -> dict[str, Any]:
    body = {"name": "Soup", "price_minor": 1200, **more}
    headers = onward.as_(business.token)
    async with onward.http.post("/api/v1/business/products", json=body, headers=headers) as reply:
        assert reply.status == 201, await reply.text()
        made: dict[str, Any] = await reply.json()
        return made


def basket(business: Any, product_id: str, **more: Any) -> dict[str, Any]:
    return {
        "subdomain": business.subdomain,
        "items": [{"product_id": product_id, "quantity": 2}],
        "customer": {"name": "Eva", "phone": "+358 40 123 4567"},
        "dropoff": {"address": "Mannerheimintie 1", "lat": business.lat + 0.003, "lng": business.lng},
        **more,
    }


async def test_an_order_is_cooked_carried_paid_and_booked(onward: Onward) -> None:
    """A guest orders; the kitchen accepts; a courier brings it; the ledger balances."""
    world = onward.world
    soup = await add_product(onward, world.verde)
    async with onward.http.post(
        "/api/v1/customers/guest-checkout", json=basket(world.verde, soup["id"], tip_minor=150)
    ) as reply:
        assert reply.status == 201, await reply.text()
        placed = await reply.json()
    assert placed["order"]["subtotal_minor"] == 2400
    assert placed["order"]["total_minor"] == 2400 + 150 + placed["order"]["delivery_fee_minor"]
    async with (
        watcher(onward, tracking_token(placed)) as customer,
        courier(onward, world.pool[0]) as driver,
    ):
        await customer.sees(lambda o: o["status"] == "placed", "the order placed")
        await driver.goes_online(60.1721, 24.9451)
        headers = onward.as_(world.verde.token)
        path = f"/api/v1/business/orders/{placed['order']['id']}"
        async with onward.http.patch(path, json={"status": "accepted", "preparation_s": 5}, headers=headers) as reply:
            assert reply.status == 200, await reply.text()
        offer = await driver.is_offered()
        await driver.answers(offer, "accept")
        await driver.delivers(offer["deliveries"][0])
        await customer.sees(lambda o: o["status"] == "delivered" and o["proof"], "delivered, with proof")
        assert customer.object["order"]["total_minor"] == placed["order"]["total_minor"]
        async with onward.http.get("/api/v1/track/proof", headers=onward.as_(tracking_token(placed))) as reply:
            assert reply.content_type == "image/jpeg"

    async def order_state() -> Any:
        async with onward.http.get("/api/v1/business/orders", headers=headers) as reply:
            (order,) = (await reply.json())["data"]
            return order["status"], order["payment_status"]

    async def cash() -> Any:
        async with onward.installation.db.platform_tx(Reason.ADMIN) as con:
            assert await broken_invariants(con) == []
            return await con.fetchval(
                """SELECT sum(p.amount_minor) FROM ledger_postings p JOIN ledger_accounts a ON a.id = p.account_id
                   WHERE a.kind = 'cash_with_driver' AND a.driver_id = $1""",
                world.pool[0].id,
            )

    await eventually(order_state, lambda state: state == ("completed", "paid"), "completed and paid")
    await eventually(cash, lambda total: total == placed["order"]["total_minor"], "the cash is booked on the courier")


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"items": []}, 422, "items"),
        ({"price_minor": 1}, 422, "price_minor"),
        ({"customer": {"name": "Eva", "phone": "12345"}}, 422, "phone"),
        ({"dropoff": {"address": "x", "lat": 91, "lng": 0}}, 422, "lat"),
        ({"dropoff": {"address": "x", "lat": 48.0, "lng": 2.0}}, 422, "undeliverable"),
        ({"subdomain": "nobody"}, 404, "not_found"),
        ({"payment_method": "gold"}, 422, "payment_method"),
        ({"items": [{"product_id": "prd_" + "0" * 32, "quantity": 1}]}, 422, "items[0].product_id"),
    ],
)
async def test_a_wrong_basket_is_refused_with_the_fields_name(
    onward: Onward, change: dict[str, Any], status: int, word: str
) -> None:
    """The customer learns what to change; a price can't be sent at all."""
    soup = await add_product(onward, onward.world.verde)
    body = basket(onward.world.verde, soup["id"]) | change
    async with onward.http.post("/api/v1/customers/guest-checkout", json=body) as reply:
        assert reply.status == status
        assert word in await reply.text()


async def test_another_shops_product_cannot_be_bought_here(onward: Onward) -> None:
    """To this shop it does not exist."""
    soup = await add_product(onward, onward.world.rosso)
    body = basket(onward.world.verde, soup["id"])
    async with onward.http.post("/api/v1/customers/guest-checkout", json=body) as reply:
        assert reply.status == 422


async def test_a_kitchen_cannot_skip_a_step(onward: Onward) -> None:
    """A rejected order can't be accepted any more."""
    world = onward.world
    soup = await add_product(onward, world.verde)
    async with onward.http.post("/api/v1/customers/guest-checkout", json=basket(world.verde, soup["id"])) as reply:
        order = (await reply.json())["order"]["id"]
    headers = onward.as_(world.verde.token)
    for status, expected in (("rejected", 200), ("rejected", 200), ("accepted", 409), ("baked", 422)):
        body = {"status": status}
        async with onward.http.patch(f"/api/v1/business/orders/{order}", json=body, headers=headers) as reply:
            assert reply.status == expected, status


async def test_a_storefront_shows_its_open_stores_and_what_it_sells(onward: Onward) -> None:
    """What is not available is not shown to customers, and what was never ordered can be removed."""
    world = onward.world
    soup = await add_product(onward, world.verde)
    await add_product(onward, world.verde, name="Old pie", available=False)
    async with onward.http.get("/api/v1/storefronts/verde") as reply:
        shop = await reply.json()
    assert [(s["id"], s["open_now"]) for s in shop["stores"]] == [(show(Kind.STORE, world.verde.store_id), True)]
    async with onward.http.get("/api/v1/storefronts/verde/products?limit=1") as reply:
        page = await reply.json()
    assert [p["name"] for p in page["data"]] == ["Soup"]
    headers = onward.as_(world.verde.token)
    async with onward.http.patch(
        f"/api/v1/business/products/{soup['id']}", json={"price_minor": 900}, headers=headers
    ) as reply:
        assert (await reply.json())["price_minor"] == 900
    async with onward.http.delete(f"/api/v1/business/products/{soup['id']}", headers=headers) as reply:
        assert reply.status == 204
    async with onward.http.get("/api/v1/storefronts/verde/products?limit=0") as reply:
        assert reply.status == 422
