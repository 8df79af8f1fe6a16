"""Policies over HTTP: a business reads and changes its own, an operator's admin the default and any business'."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from dispatch import policy
from dispatch.policy import Policy, PolicyChange
from kernel import ids
from kernel.access import Permission, Who
from kernel.db import Connection, Reason, one
from kernel.http import Ctx, Rate, Route
from kernel.ids import Kind, show_or_none
from tenancy import audit


class PolicyQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose; an admin who names no business means the operator's default."""

    business_id: str | None = None


class PolicyView(msgspec.Struct, frozen=True):
    """A whole policy, and which of its fields were set here (the others come from the operator or are defaults)."""

    business_id: str | None
    policy: Policy
    set: dict[str, Any]


async def get_policy(ctx: Ctx, query: PolicyQuery) -> PolicyView:
    """How are deliveries dispatched?"""
    business_id = _whose(ctx, query)
    async with ctx.db.tx_of(ctx.principal, Reason.ADMIN, readonly=True) as con:
        return await _view(con, ctx, business_id)


async def change_policy(ctx: Ctx, query: PolicyQuery, body: PolicyChange) -> PolicyView:
    """Change how deliveries are dispatched; a field that is null goes back to its default"""
    business_id = _whose(ctx, query)
    if business_id is not None:
        policy.check_business(body)
    async with ctx.db.tx_of(ctx.principal, Reason.ADMIN) as con:
        return await _change(con, ctx, business_id, body)


def _whose(ctx: Ctx, query: PolicyQuery) -> UUID | None:
    """Return whose policy is meant; another business than his own is one that a business' user can't find."""
    asked = None if query.business_id is None else ids.parse(Kind.BUSINESS, query.business_id)
    if ctx.principal.who is Who.ADMIN:
        return asked
    return ctx.principal.business() if asked is None else asked


async def _kept(con: Connection, ctx: Ctx, business_id: UUID | None, lock: str = "") -> policy.Kept:
    operator_id = ctx.principal.operator()
    if business_id is None:
        row = await con.fetchrow(f"SELECT policy FROM operators WHERE id = $1 {lock}", operator_id)
    else:
        row = await con.fetchrow(
            f"SELECT policy FROM businesses WHERE id = $1 AND operator_id = $2 {lock}", business_id, operator_id
        )
    kept: policy.Kept = one(row, "business")["policy"]
    return kept


async def _view(con: Connection, ctx: Ctx, business_id: UUID | None) -> PolicyView:
    kept = await _kept(con, ctx, business_id)
    whole = policy.policy_of(kept) if business_id is None else await policy.load_one(con, business_id)
    return PolicyView(show_or_none(Kind.BUSINESS, business_id), whole, kept)


async def _change(con: Connection, ctx: Ctx, business_id: UUID | None, body: PolicyChange) -> PolicyView:
    before = await _kept(con, ctx, business_id, "FOR UPDATE")
    after = policy.changed(before, body)
    if business_id is None:
        await con.execute("UPDATE operators SET policy = $2 WHERE id = $1", ctx.principal.operator(), after)
    else:
        await con.execute("UPDATE businesses SET policy = $2 WHERE id = $1", business_id, after)
    view = await _view(con, ctx, business_id)
    policy.check(view.policy)
    await audit.note(con, ctx.principal, "policy.changed", {"before": before, "after": after}, business_id=business_id)
    return view


ROUTES = (
    Route("GET", "/api/v1/dispatch/policy", get_policy, Permission.BOARD_READ, Rate.READ),
    Route("PATCH", "/api/v1/dispatch/policy", change_policy, Permission.POLICY_WRITE, Rate.WRITE),
)
