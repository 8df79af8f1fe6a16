"""API keys: made and taken back by people, and no key opens the drawer with the keys."""

from __future__ import annotations

from tests.support.people import call
from tests.support.server import Onward

KEYS = "/api/v1/api-keys"


async def test_a_key_is_shown_once_listed_by_its_end_and_taken_back(onward: Onward) -> None:
    """A leaked one opens nothing from then on; the others go on working."""
    owner = onward.world.rosso.token
    status, leaked = await call(onward, "POST", owner, KEYS, json={"name": "till"})
    assert status == 201
    _, kept = await call(onward, "POST", owner, KEYS, json={"name": "web shop"})
    assert (await call(onward, "GET", leaked["key"], "/api/v1/deliveries"))[0] == 200
    for _ in range(2):
        assert (await call(onward, "DELETE", owner, f"{KEYS}/{leaked['id']}"))[0] == 204
    status, problem = await call(onward, "GET", leaked["key"], "/api/v1/deliveries")
    assert (status, problem["code"]) == (401, "unauthenticated")
    assert (await call(onward, "GET", kept["key"], "/api/v1/deliveries"))[0] == 200
    _, listed = await call(onward, "GET", owner, KEYS)
    newest, revoked = listed["data"][:2]
    assert (newest["name"], newest["hint"], newest["revoked_at"]) == ("web shop", f"…{kept['key'][-4:]}", None)
    assert (revoked["id"], revoked["revoked_at"] is None) == (leaked["id"], False)
    assert leaked["key"] not in str(listed)


async def test_a_key_makes_sees_and_revokes_no_keys_and_nobody_those_of_others(onward: Onward) -> None:
    """Who finds one can't make himself another, or lock the owner's programs out; nor can another business."""
    owner = onward.world.rosso.token
    _, made = await call(onward, "POST", owner, KEYS, json={"name": "till"})
    for method, path, body in (
        ("POST", KEYS, {"name": "mine"}),
        ("GET", KEYS, None),
        ("DELETE", f"{KEYS}/{made['id']}", None),
    ):
        assert (await call(onward, method, made["key"], path, json=body))[0] == 403
    assert (await call(onward, "DELETE", onward.world.verde.token, f"{KEYS}/{made['id']}"))[0] == 404
    _, theirs = await call(onward, "GET", onward.world.verde.token, KEYS)
    assert made["id"] not in str(theirs)
    assert (await call(onward, "GET", made["key"], "/api/v1/deliveries"))[0] == 200
