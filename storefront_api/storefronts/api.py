"""The public face of a shop over HTTP."""

from __future__ import annotations

import msgspec

from kernel.access import Permission
from kernel.db import one
from kernel.http import Ctx, Rate, Route
from kernel.ids import Kind, show
from storefront_api.storefronts import service
from tenancy.stores import is_open


class StorefrontPath(msgspec.Struct, frozen=True):
    """Which shop."""

    subdomain: str


class StoreView(msgspec.Struct, frozen=True):
    """A pickup place."""

    id: str
    name: str
    address: str
    lat: float
    lng: float
    opening_hours: str
    open_now: bool


class StorefrontView(msgspec.Struct, frozen=True):
    """A shop as its customers see it."""

    name: str
    subdomain: str
    color: str
    currency: str
    delivery_base_fee_minor: int
    delivery_fee_per_km_minor: int
    stores: list[StoreView]


async def get_storefront(ctx: Ctx, path: StorefrontPath) -> StorefrontView:
    """Get a shop"""
    _, business_id = await service.resolve(ctx.db, path.subdomain)
    now = ctx.clock.now()
    async with ctx.db.tenant_tx(business_id, readonly=True) as con:
        business = one(await con.fetchrow("SELECT * FROM businesses"), "shop")
        stores = await service.stores(con)
    return StorefrontView(
        name=business["name"],
        subdomain=business["subdomain"],
        color=business["color"],
        currency=business["currency"],
        delivery_base_fee_minor=business["delivery_base_fee_minor"],
        delivery_fee_per_km_minor=business["delivery_fee_per_km_minor"],
        stores=[
            StoreView(
                show(Kind.STORE, row["id"]),
                row["name"],
                row["address"],
                row["lat"],
                row["lng"],
                row["opening_hours"],
                is_open(row, now),
            )
            for row in stores
        ],
    )


ROUTES = (Route("GET", "/api/v1/storefronts/{subdomain}", get_storefront, Permission.PUBLIC, Rate.PUBLIC),)
