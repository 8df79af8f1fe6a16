"""How a delivery is handed over: against a photo, a signature, the customer's PIN or the parcel's barcode."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from kernel.db import Reason
from kernel.ids import Kind, parse, show
from tests.support.people import Courier, courier, create_delivery, tracking_token
from tests.support.server import Onward


async def at_the_door(onward: Onward, pia: Courier, **asked: Any) -> dict[str, Any]:
    """Bring a delivery to its door; return it as its business sees it."""
    await pia.goes_online(60.1721, 24.9451)
    made = await create_delivery(onward, onward.world.verde, **asked)
    await pia.answers(await pia.is_offered(), "accept")
    await pia.reports(made["id"], "en_route_to_pickup", "arrived_at_pickup", "picked_up")
    await pia.reports(made["id"], "en_route_to_dropoff", "arrived_at_dropoff")
    return made


async def tries(onward: Onward, delivery: dict[str, Any], code: str = "") -> tuple[int, dict[str, Any]]:
    """Say over HTTP that it is delivered."""
    path, token = f"/api/v1/driver/deliveries/{delivery['id']}/status", onward.world.pool[0].token
    body = {"status": "delivered", **({"code": code} if code else {})}
    async with onward.http.patch(path, json=body, headers=onward.as_(token)) as reply:
        return reply.status, await reply.json()


async def tracked(onward: Onward, delivery: dict[str, Any]) -> dict[str, Any]:
    async with onward.http.get("/api/v1/track", headers=onward.as_(tracking_token(delivery))) as reply:
        seen: dict[str, Any] = await reply.json()
        return seen


async def proofs(onward: Onward, delivery: dict[str, Any]) -> list[str]:
    async with onward.installation.db.platform_tx(Reason.ADMIN, readonly=True) as con:
        rows = await con.fetch("SELECT kind FROM proofs WHERE delivery_id = $1", parse(Kind.DELIVERY, delivery["id"]))
    return [row["kind"] for row in rows]


async def test_a_pin_is_the_customers_to_tell_and_a_wrong_one_opens_nothing(onward: Onward) -> None:
    """Only the customer's page and the business have it; the driver is told right or wrong; then it is gone."""
    async with courier(onward, onward.world.pool[0]) as pia:
        made = await at_the_door(onward, pia, proof="pin")
        pin = made["proof_code"]
        assert len(pin) == 6
        assert pin.isdigit()
        assert (await tracked(onward, made))["pin"] == pin
        async with onward.http.get("/api/v1/driver/assignments", headers=onward.as_(pia.who.token)) as reply:
            text = await reply.text()
        assert '"proof":"pin"' in text
        assert f'"{pin}"' not in text
        for wrong in ("", "000000" if pin != "000000" else "000001", f"{pin}0"):
            status, problem = await tries(onward, made, wrong)
            assert (status, problem["code"]) == (422, "wrong_code")
        await pia.takes_photo(made["id"])
        assert (await tries(onward, made))[0] == 422
        status, _ = await tries(onward, made, f"{pin[:3]} {pin[3:]}")
        assert status == 200
        assert (await tries(onward, made))[0] == 200  # said twice by a phone that was not sure
        assert sorted(await proofs(onward, made)) == ["photo", "pin"]
        assert (await tracked(onward, made))["pin"] is None


async def test_a_barcode_is_read_from_the_parcel_and_said_on_the_socket(onward: Onward) -> None:
    """Another parcel's is refused, and the delivery stays at the door."""
    async with courier(onward, onward.world.pool[0]) as pia:
        made = await at_the_door(onward, pia, proof="barcode", barcode="PARCEL-77")
        assert (await tries(onward, made, "PARCEL-78"))[1]["code"] == "wrong_code"
        await pia.client.act("status", delivery_id=made["id"], status="delivered", code="PARCEL-77")
        await pia.client.all_acked()
        assert pia.client.nacks == []
        assert await proofs(onward, made) == ["barcode"]


async def test_a_signature_is_a_picture_of_its_own_kind(onward: Onward) -> None:
    """A photo is none; the customer sees what was signed."""
    out = io.BytesIO()
    Image.new("RGB", (60, 30), "white").save(out, "PNG")
    async with courier(onward, onward.world.pool[0]) as pia:
        made = await at_the_door(onward, pia, proof="signature")
        await pia.takes_photo(made["id"])
        assert (await tries(onward, made))[1]["errors"][0]["field"] == "proof"
        path, headers = f"/api/v1/driver/deliveries/{made['id']}/proof", onward.as_(pia.who.token)
        async with onward.http.post(
            path, params={"kind": "signature"}, data=out.getvalue(), headers={**headers, "Content-Type": "image/png"}
        ) as reply:
            assert reply.status == 201
        assert (await tries(onward, made))[0] == 200
        async with onward.http.get("/api/v1/track/proof", headers=onward.as_(tracking_token(made))) as reply:
            assert Image.open(io.BytesIO(await reply.read())).size == (60, 30)


async def test_a_proof_that_nobody_could_show_is_refused(onward: Onward) -> None:
    """When it is asked for, not at the door: no barcode, one too many, one of blanks, and a proof that is none."""
    verde = onward.world.verde
    for asked in (
        {"proof": "barcode"},
        {"barcode": "X"},
        {"proof": "pin", "barcode": "X"},
        {"proof": "barcode", "barcode": " "},
        {"proof": "oath"},
    ):
        door = {"name": "E", "address": "A 1", "lat": 60.17, "lng": 24.94}
        body = {"store_id": show(Kind.STORE, verde.store_id), "dropoff": door, **asked}
        async with onward.http.post("/api/v1/deliveries", json=body, headers=onward.as_(verde.token)) as reply:
            assert (reply.status, (await reply.json())["code"]) == (422, "validation_failed"), asked
