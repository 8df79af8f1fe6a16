"""Orders over HTTP: the kitchen's side, and a customer's own orders."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from kernel import ids
from kernel.access import Permission
from kernel.http import Ctx, Page, Rate, Route
from kernel.ids import Kind, show
from kernel.paging import page_of
from storefront_api.orders import service
from storefront_api.orders.order import OrderStatus
from storefront_api.orders.views import summary_of


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order."""

    id: str
    number: str
    status: str
    payment_status: str
    store_id: str
    customer_name: str
    items: list[dict[str, Any]]
    subtotal_minor: int
    delivery_fee_minor: int
    tip_minor: int
    total_minor: int
    currency: str
    address: str
    instructions: str
    placed_at: datetime
    ready_at: datetime | None
    promised_at: datetime | None


class OrderList(msgspec.Struct, frozen=True):
    """A page of orders, newest first."""

    data: list[OrderView]
    has_more: bool
    next_cursor: str


class OrderQuery(Page, frozen=True, forbid_unknown_fields=True):
    """A page of orders, of one status or all."""

    status: OrderStatus | None = None


class OrderPath(msgspec.Struct, frozen=True):
    """Which order."""

    id: str


class OrderChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the kitchen says: the new status, how long it takes, or why not."""

    status: str
    preparation_s: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    reason: Annotated[str, Meta(max_length=200)] = ""


async def list_orders(ctx: Ctx, query: OrderQuery) -> OrderList:
    """List my shop's orders, newest first"""
    return await _list(ctx, query, "SELECT * FROM orders WHERE business_id = $1 AND ($2::text IS NULL OR status = $2)",
                       (ctx.principal.business(), query.status))  # fmt: skip


async def list_own_orders(ctx: Ctx, query: OrderQuery) -> OrderList:
    """List the orders I placed, newest first"""
    return await _list(
        ctx,
        query,
        "SELECT * FROM orders WHERE customer_id = $1 AND ($2::text IS NULL OR status = $2)",
        (ctx.principal.customer(), query.status),
    )


async def change_order(ctx: Ctx, path: OrderPath, body: OrderChange) -> OrderView:
    """Accept, prepare, finish, reject or cancel an order"""
    async with ctx.db.tenant_tx(ctx.principal.business()) as con:
        row = await service.business_asks(
            con,
            ids.parse(Kind.ORDER, path.id),
            status=body.status,
            preparation_s=body.preparation_s,
            reason=body.reason,
            now=ctx.clock.now(),
        )
        return await _view(con, row)


async def _list(ctx: Ctx, query: OrderQuery, sql: str, arguments: tuple[Any, ...]) -> OrderList:
    async with ctx.db.tenant_tx(ctx.principal.business(), readonly=True) as con:
        rows, has_more, cursor = await page_of(con, sql, arguments, query)
        return OrderList([await _view(con, row) for row in rows], has_more, cursor)


async def _view(con: Any, row: Any) -> OrderView:
    summary = await summary_of(con, row)
    return OrderView(
        id=show(Kind.ORDER, row["id"]),
        number=row["number"],
        status=row["status"],
        payment_status=row["payment_status"],
        store_id=show(Kind.STORE, row["store_id"]),
        customer_name=row["dropoff_name"],
        items=summary["items"],
        subtotal_minor=row["subtotal_minor"],
        delivery_fee_minor=row["delivery_fee_minor"],
        tip_minor=row["tip_minor"],
        total_minor=row["total_minor"],
        currency=row["currency"],
        address=row["dropoff_address"],
        instructions=row["instructions"],
        placed_at=row["placed_at"],
        ready_at=row["ready_at"],
        promised_at=row["promised_at"],
    )


ROUTES = (
    Route("GET", "/api/v1/business/orders", list_orders, Permission.ORDERS_READ, Rate.READ),
    Route("PATCH", "/api/v1/business/orders/{id}", change_order, Permission.ORDERS_WRITE, Rate.WRITE),
    Route("GET", "/api/v1/customers/me/orders", list_own_orders, Permission.CUSTOMER, Rate.READ),
)
