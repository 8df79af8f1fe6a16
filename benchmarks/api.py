"""What the API gives at a steady rate: reads of boards, deliveries, tracking pages and menus, and guests who check out.

A real server with deliveries under way, its dispatcher and all that the clock does; limits per caller are off, because
one generator stands for thousands of callers.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from benchmarks.stand import LAT, LNG, load, onward_stand
from kernel.clock import SystemClock
from kernel.db import Database, Reason
from kernel.ids import Kind, show
from storefront_api.catalog.service import create_category, create_product
from tenancy.service import create_user, open_session
from tenancy.stores import create_store

DRIVERS: Final = 200
DELIVERIES: Final = 100
PRODUCTS: Final = 40
READ_P95_MAX_MS: Final = 50.0
CHECKOUT_P95_MAX_MS: Final = 100.0
SHARES: Final = {"board": 0.05, "delivery": 0.25, "track": 0.3, "catalog": 0.3, "checkout": 0.1}


def measure(seconds: float, rate_per_s: float) -> dict[str, Any]:
    """Ask for so many seconds; return a row for each kind of request, and the CPU that each part took."""
    import uvloop

    return uvloop.run(_measure(seconds, rate_per_s))


async def _measure(seconds: float, rate_per_s: float) -> dict[str, Any]:
    async with onward_stand(drivers=DRIVERS, deliveries=DELIVERIES) as (stand, people):
        assert stand.db is not None
        asks = await _asks(stand.db, people.tracking_tokens)
        plan = {"seconds": seconds, "rate_per_s": rate_per_s, "asks": asks}
        seen = await load(stand, plan, generator="benchmarks.requests")
    reads = [case for case in seen["cases"] if case["request"] != "checkout"]
    (checkout,) = (case for case in seen["cases"] if case["request"] == "checkout")
    asked = sum(case["requests"] for case in seen["cases"])
    return {
        "asked_per_s": round(asked / seen["seconds"]),
        "cases": seen["cases"],
        "wrong": seen["wrong"],
        "cpu_ms_per_request": {name: round(1000 * cpu_s / asked, 2) for name, cpu_s in seen["cpu_s"].items()},
        "cores": {name: round(cpu_s / seen["seconds"], 2) for name, cpu_s in seen["cpu_s"].items()},
        "target_met": not seen["wrong"]
        and all(case["p95_ms"] <= READ_P95_MAX_MS for case in reads)
        and checkout["p95_ms"] <= CHECKOUT_P95_MAX_MS,
    }


async def _asks(db: Database, tracking_tokens: list[str]) -> list[dict[str, Any]]:
    """Open a shop beside the deliveries there are; return what is asked for, how often, and by whom."""
    async with db.platform_tx(Reason.SEED) as con:
        business = await con.fetchrow("SELECT id, operator_id, subdomain FROM businesses")
        assert business is not None
        store_id = await create_store(
            con, business_id=business["id"], name="Rosso", address="Street 1", lat=LAT, lng=LNG
        )
        menu_id = await create_category(con, business_id=business["id"], name="Menu")
        products = [
            await create_product(
                con, business_id=business["id"], name=f"Dish {n}", price_minor=900 + n, category_id=menu_id, position=n
            )
            for n in range(PRODUCTS)
        ]
        owner = await create_user(
            con, operator_id=business["operator_id"], email="o@example.com", password_hash="", name="O",
            role="business_owner", business_id=business["id"],
        )  # fmt: skip
        token = await open_session(con, user_id=owner, now=SystemClock().now())
        deliveries = [show(Kind.DELIVERY, row["id"]) for row in await con.fetch("SELECT id FROM deliveries")]
    orders = [
        {
            "subdomain": business["subdomain"],
            "store_id": show(Kind.STORE, store_id),
            "customer": {"name": "Eva", "phone": "+358 40 123 4567"},
            "items": [{"product_id": show(Kind.PRODUCT, product), "quantity": 2} for product in (first, second)],
            "dropoff": {"address": "Street 2", "lat": LAT + 0.01, "lng": LNG + 0.01},
        }
        for first, second in pairwise(products)
    ]
    asks: dict[str, dict[str, Any]] = {
        "board": {"paths": ["/api/v1/dispatch/board"], "tokens": [token]},
        "delivery": {"paths": [f"/api/v1/deliveries/{one}" for one in deliveries], "tokens": [token]},
        "track": {"paths": ["/api/v1/track"], "tokens": tracking_tokens},
        "catalog": {"paths": [f"/api/v1/storefronts/{business['subdomain']}/products"]},
        "checkout": {"paths": ["/api/v1/customers/guest-checkout"], "bodies": orders},
    }
    return [{"name": name, "weight": SHARES[name], **ask} for name, ask in asks.items()]
