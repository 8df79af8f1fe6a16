"""The door, over HTTP: four kinds of people come in, and nobody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kernel.db import Reason
from tenancy import service
from tenancy.passwords import hash_password
from tests.support.server import Onward


async def set_password(onward: Onward, email: str, password: str) -> None:
    kept = await hash_password(password)
    async with onward.installation.db.platform_tx(Reason.SEED) as con:
        await con.execute("UPDATE users SET password_hash = $2 WHERE email = $1", email, kept)


@pytest.mark.parametrize(
    ("email", "kind"),
    [("admin@example.com", "admin"), ("owner@rosso.example", "business"), ("driver0@example.com", "driver")],
)
async def test_an_admin_an_owner_and_a_driver_sign_in_with_a_password(onward: Onward, email: str, kind: str) -> None:
    """Each kind of user gets a session that says what he is."""
    await set_password(onward, email, "correct horse")
    credentials = {"email": email.upper(), "password": "correct horse"}
    async with onward.http.post("/api/v1/auth/login", json=credentials) as reply:
        session = await reply.json()
        assert reply.status == 200
    assert session["principal"]["kind"] == kind
    async with onward.http.get("/api/v1/auth/me", headers=onward.as_(session["token"])) as reply:
        assert await reply.json() == session["principal"]
    async with onward.http.post("/api/v1/auth/logout", headers=onward.as_(session["token"])) as reply:
        assert reply.status == 204
    async with onward.http.get("/api/v1/auth/me", headers=onward.as_(session["token"])) as reply:
        assert reply.status == 401


async def test_a_customer_registers_at_one_shop_and_signs_in_there_alone(onward: Onward) -> None:
    """A customer's account belongs to one business."""
    person = {"subdomain": "rosso", "email": "eva@example.com", "password": "long enough", "name": "Eva"}
    async with onward.http.post("/api/v1/auth/customer/register", json=person) as reply:
        assert reply.status == 201
        assert (await reply.json())["principal"]["kind"] == "customer"
    async with onward.http.post("/api/v1/auth/customer/register", json=person) as reply:
        assert reply.status == 409
    credentials = {"subdomain": "rosso", "email": "eva@example.com", "password": "long enough"}
    async with onward.http.post("/api/v1/auth/customer/login", json=credentials) as reply:
        assert reply.status == 200
    async with onward.http.post("/api/v1/auth/customer/login", json=credentials | {"subdomain": "verde"}) as reply:
        assert reply.status == 401


@pytest.mark.parametrize("email", ["admin@example.com", "nobody@example.com"])
async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(onward: Onward, email: str) -> None:
    """The reply does not tell who has an account."""
    await set_password(onward, "admin@example.com", "correct horse")
    async with onward.http.post("/api/v1/auth/login", json={"email": email, "password": "wrong"}) as reply:
        assert reply.status == 401
        assert reply.content_type == "application/problem+json"
        assert (await reply.json())["code"] == "bad_credentials"


async def test_an_expired_token_and_a_made_up_one_are_told_apart_and_refused(onward: Onward) -> None:
    """An expired session says so; anything else is just not valid."""
    async with onward.installation.db.platform_tx(Reason.SEED) as con:
        user = await con.fetchval("SELECT id FROM users WHERE email = 'admin@example.com'")
        old = await service.open_session(con, user_id=user, now=datetime.now(UTC) - timedelta(days=40))
    for token, code in ((old, "token_expired"), ("ses_made-up", "unauthenticated"), ("trk_AAAA", "unauthenticated")):
        async with onward.http.get("/api/v1/auth/me", headers=onward.as_(token)) as reply:
            assert reply.status == 401
            assert (await reply.json())["code"] == code


async def test_an_unknown_field_is_refused_by_name(onward: Onward) -> None:
    """A typo in a field gets an error that names it."""
    body = {"email": "a@b.c", "password": "x", "remember": True}
    async with onward.http.post("/api/v1/auth/login", json=body) as reply:
        assert reply.status == 422
        assert (await reply.json())["errors"][0]["field"] == "remember"


async def test_tokens_and_passwords_are_not_kept_in_the_clear(onward: Onward) -> None:
    """Not a byte of a session token is in the database."""
    async with onward.installation.db.platform_tx(Reason.SEED) as con:
        kept = await con.fetch("SELECT encode(token_hash, 'escape') AS kept FROM sessions")
    assert kept
    assert all(onward.world.admin_token not in row["kept"] for row in kept)
