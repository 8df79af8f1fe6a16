"""Messages over HTTP: the desk's side of the thread with a driver, and the customer's, from his tracking page."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from dispatch import messages
from dispatch.deliveries_api import DeliveryPath
from dispatch.dispatcher_api import check_scope
from dispatch.messages import TEXT_LENGTH_MAX, MessageView
from kernel.access import Permission, Who
from kernel.errors import Problem
from kernel.http import Ctx, Page, Rate, Route
from kernel.paging import page_of


class MessageBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to say."""

    text: Annotated[str, Meta(min_length=1, max_length=TEXT_LENGTH_MAX)]


class MessageList(msgspec.Struct, frozen=True):
    """A page of messages, newest first."""

    data: list[MessageView]
    has_more: bool
    next_cursor: str


class MessageQuery(Page, frozen=True, forbid_unknown_fields=True):
    """A page of messages."""


async def list_messages(ctx: Ctx, path: DeliveryPath, query: MessageQuery) -> MessageList:
    """List what a delivery's driver wrote with the desk and with the customer, newest first"""
    delivery_id = path.delivery_id()
    async with ctx.db.tenant_tx(await check_scope(ctx, delivery_id), readonly=True) as con:
        rows, has_more, next_cursor = await page_of(
            con, "SELECT * FROM messages WHERE delivery_id = $1", (delivery_id,), query
        )
    return MessageList([messages.view_of(row) for row in rows], has_more, next_cursor)


async def send_message(ctx: Ctx, path: DeliveryPath, body: MessageBody) -> web.StreamResponse:
    """Write to the driver who has a delivery"""
    delivery_id, now = path.delivery_id(), ctx.clock.now()
    async with ctx.once(await check_scope(ctx, delivery_id)) as once:
        name = ctx.principal.name or await once.con.fetchval("SELECT name FROM businesses")
        view = await messages.write(
            once.con, delivery_id, channel="desk", sender="desk", name=name, text=body.text, at=now, now=now
        )
        return await once.reply(201, view)


async def send_as_customer(ctx: Ctx, body: MessageBody) -> web.StreamResponse:
    """Write to the courier, as the customer behind a tracking link; no number is shown to either"""
    principal, now = ctx.principal, ctx.clock.now()
    if principal.who is not Who.TRACKER or principal.delivery_id is None:
        raise Problem("forbidden", "This needs a tracking link's token.")
    async with ctx.once(principal.business()) as once:
        view = await messages.write(
            once.con, principal.delivery_id, channel="customer", sender="customer", text=body.text, at=now, now=now
        )
        return await once.reply(201, view)


ROUTES = (
    Route("GET", "/api/v1/deliveries/{id}/messages", list_messages, Permission.BOARD_READ, Rate.READ),
    Route("POST", "/api/v1/deliveries/{id}/messages", send_message, Permission.DISPATCH, Rate.WRITE, 201),
    Route("POST", "/api/v1/track/messages", send_as_customer, Permission.TRACK, Rate.WRITE, 201),
)
