"""The catalog over HTTP: public to read, the business' own to write."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from kernel import ids
from kernel.access import Permission
from kernel.db import one
from kernel.http import Ctx, Page, Rate, Route
from kernel.ids import Kind, show
from kernel.money import Minor
from kernel.paging import page_of
from storefront_api.catalog import service
from storefront_api.storefronts.api import StorefrontPath
from storefront_api.storefronts.service import resolve

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Description = Annotated[str, Meta(max_length=1000)]


class ProductView(msgspec.Struct, frozen=True):
    """Something that is sold."""

    id: str
    category_id: str | None
    name: str
    description: str
    price_minor: int
    available: bool


class ProductList(msgspec.Struct, frozen=True):
    """A page of products."""

    data: list[ProductView]
    has_more: bool
    next_cursor: str


class CategoryView(msgspec.Struct, frozen=True):
    """A section of the menu."""

    id: str
    name: str


class CategoryList(msgspec.Struct, frozen=True):
    """All sections, in the shop's order."""

    data: list[CategoryView]


class ProductQuery(Page, frozen=True, forbid_unknown_fields=True):
    """A page of products, of one category or all."""

    category: str = ""


class NewProduct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A product to be sold."""

    name: Name
    price_minor: Minor
    category_id: str | None = None
    description: Description = ""
    available: bool = True


class ProductChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The fields to change."""

    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    price_minor: Minor | UnsetType = UNSET
    available: bool | UnsetType = UNSET


class ProductPath(msgspec.Struct, frozen=True):
    """Which product."""

    id: str


async def list_products(ctx: Ctx, path: StorefrontPath, query: ProductQuery) -> ProductList:
    """List what a shop sells"""
    _, business_id = await resolve(ctx.db, path.subdomain)
    category_id = ids.parse(Kind.CATEGORY, query.category) if query.category else None
    async with ctx.db.tenant_tx(business_id, readonly=True) as con:
        rows, has_more, cursor = await page_of(
            con,
            "SELECT * FROM products WHERE business_id = $1 AND available AND ($2::uuid IS NULL OR category_id = $2)",
            (business_id, category_id),
            query,
        )
    return ProductList([ProductView(**service.public(row)) for row in rows], has_more, cursor)


async def list_categories(ctx: Ctx, path: StorefrontPath) -> CategoryList:
    """List the sections of a shop's menu"""
    _, business_id = await resolve(ctx.db, path.subdomain)
    async with ctx.db.tenant_tx(business_id, readonly=True) as con:
        rows = await con.fetch("SELECT id, name FROM product_categories ORDER BY position, id")
    return CategoryList([CategoryView(show(Kind.CATEGORY, row["id"]), row["name"]) for row in rows])


async def list_own_products(ctx: Ctx, query: Page) -> ProductList:
    """List my products, the unavailable ones too"""
    business_id = ctx.principal.business()
    async with ctx.db.tenant_tx(business_id, readonly=True) as con:
        rows, has_more, cursor = await page_of(
            con, "SELECT * FROM products WHERE business_id = $1", (business_id,), query
        )
    return ProductList([ProductView(**service.public(row)) for row in rows], has_more, cursor)


async def create_product(ctx: Ctx, body: NewProduct) -> ProductView:
    """Add a product"""
    business_id = ctx.principal.business()
    category_id = None if body.category_id is None else ids.parse(Kind.CATEGORY, body.category_id)
    async with ctx.db.tenant_tx(business_id) as con:
        product_id = await service.create_product(
            con,
            business_id=business_id,
            name=body.name,
            price_minor=body.price_minor,
            category_id=category_id,
            description=body.description,
            available=body.available,
        )
        row = one(await con.fetchrow("SELECT * FROM products WHERE id = $1", product_id), "product")
    return ProductView(**service.public(row))


async def change_product(ctx: Ctx, path: ProductPath, body: ProductChange) -> ProductView:
    """Change a product"""
    async with ctx.db.tenant_tx(ctx.principal.business()) as con:
        row = await service.change_product(con, ids.parse(Kind.PRODUCT, path.id), msgspec.to_builtins(body))
    return ProductView(**service.public(row))


async def remove_product(ctx: Ctx, path: ProductPath) -> None:
    """Remove a product"""
    async with ctx.db.tenant_tx(ctx.principal.business()) as con:
        await service.remove_product(con, ids.parse(Kind.PRODUCT, path.id))


ROUTES = (
    Route("GET", "/api/v1/storefronts/{subdomain}/products", list_products, Permission.PUBLIC, Rate.PUBLIC),
    Route("GET", "/api/v1/storefronts/{subdomain}/categories", list_categories, Permission.PUBLIC, Rate.PUBLIC),
    Route("GET", "/api/v1/business/products", list_own_products, Permission.ORDERS_READ, Rate.READ),
    Route("POST", "/api/v1/business/products", create_product, Permission.CATALOG_WRITE, Rate.WRITE, 201),
    Route("PATCH", "/api/v1/business/products/{id}", change_product, Permission.CATALOG_WRITE, Rate.WRITE),
    Route("DELETE", "/api/v1/business/products/{id}", remove_product, Permission.CATALOG_WRITE, Rate.WRITE, 204),
)
