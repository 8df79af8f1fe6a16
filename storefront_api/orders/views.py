"""How customers see an order: what they bought, and where it is before a delivery exists."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from kernel.db import Connection, Record
from kernel.ids import Kind, show

BEFORE_DELIVERY = ("placed", "accepted", "rejected", "canceled")


class ShopOrders:
    """The commercial side of a delivery, for whoever draws a tracking page."""

    async def summary(self, con: Connection, order_id: UUID) -> dict[str, Any] | None:
        """Return what the customer bought and pays; None when there is no such order."""
        row = await con.fetchrow("SELECT * FROM orders WHERE id = $1", order_id)
        return None if row is None else await summary_of(con, row)

    async def tracking(self, con: Connection, order_id: UUID) -> dict[str, Any] | None:
        """Return the tracking object of an order that has no delivery yet."""
        row = await con.fetchrow(
            """SELECT o.*, b.name AS business_name, b.color, s.name AS store_name, s.lat AS store_lat,
                      s.lng AS store_lng
               FROM orders o JOIN businesses b ON b.id = o.business_id
               JOIN stores s ON s.business_id = o.business_id AND s.id = o.store_id WHERE o.id = $1""",
            order_id,
        )
        if row is None:
            return None
        timeline = await con.fetch(
            "SELECT status, at FROM order_status_history WHERE order_id = $1 ORDER BY version", order_id
        )
        return {
            "kind": "tracking",
            "id": show(Kind.DELIVERY, order_id),
            "version": 0,
            "status": row["status"],
            "short_code": row["number"],
            "business": {"name": row["business_name"], "color": row["color"]},
            "pickup": {"name": row["store_name"], "lat": row["store_lat"], "lng": row["store_lng"]},
            "dropoff": {
                "name": row["dropoff_name"],
                "address": row["dropoff_address"],
                "lat": row["dropoff_lat"],
                "lng": row["dropoff_lng"],
                "instructions": row["instructions"],
            },
            "promised_at": row["promised_at"],
            "eta": None,
            "stops_before": None,
            "stops": [
                {"kind": "pickup", "label": row["store_name"], "status": "todo"},
                {"kind": "dropoff", "label": row["dropoff_address"], "status": "todo"},
            ],
            "driver": None,
            "timeline": [{"status": step["status"], "at": step["at"]} for step in timeline],
            "order": await summary_of(con, row),
            "pin": None,
            "proof": None,
            "reason": None,
        }


async def summary_of(con: Connection, row: Record) -> dict[str, Any]:
    """Return an order's items and sums."""
    items = await con.fetch(
        "SELECT name, quantity, price_minor FROM order_items WHERE order_id = $1 ORDER BY position", row["id"]
    )
    return {
        "id": show(Kind.ORDER, row["id"]),
        "number": row["number"],
        "status": row["status"],
        "items": [
            {"name": i["name"], "quantity": i["quantity"], "total_minor": i["quantity"] * i["price_minor"]}
            for i in items
        ],
        "subtotal_minor": row["subtotal_minor"],
        "delivery_fee_minor": row["delivery_fee_minor"],
        "tip_minor": row["tip_minor"],
        "total_minor": row["total_minor"],
        "currency": row["currency"],
        "payment": row["payment_method"],
    }
