"""How it looks to people: rows as the plain objects of a board and of a customer's tracking page. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dispatch.delivery import WITH_DRIVER
from dispatch.risk import SEEKING, risk_of
from kernel.db import Record
from kernel.ids import Kind, show, show_or_none
from tracking.fix import Position


def delivery_object(row: Record, tracking_url: str) -> dict[str, Any]:
    """Return a delivery with its names, ends, offer and history as a board shows it."""
    eta = None
    if row["eta_dropoff_p50"] is not None and row["status"] in WITH_DRIVER:
        pickup = _range(row["eta_pickup_p50"], row["eta_pickup_p90"])
        eta = {"pickup": pickup, "dropoff": _range(row["eta_dropoff_p50"], row["eta_dropoff_p90"])}
    offer = None
    if row["offer_driver_id"] is not None:
        offer = {
            "driver_id": show(Kind.DRIVER, row["offer_driver_id"]),
            "driver_name": row["offer_driver_name"],
            "expires_at": row["offer_expires_at"],
            "asked": row["offer_asked"],
        }
    return {
        "kind": "delivery",
        "id": show(Kind.DELIVERY, row["id"]),
        "version": row["version"],
        "business_id": show(Kind.BUSINESS, row["business_id"]),
        "business_name": row["business_name"],
        "store_name": row["store_name"],
        "short_code": row["short_code"],
        "status": row["status"],
        "pickup": {**_place(row, "p"), "ready_at": row["ready_at"]},
        "dropoff": _place(row, "q"),
        "driver_id": show_or_none(Kind.DRIVER, row["driver_id"]),
        "driver_name": row["driver_name"],
        "created_at": row["created_at"],
        "promised_at": row["promised_at"],
        "eta": eta,
        "delay_told_s": row["delay_told_s"],
        "risk": risk_of(row),
        "offer": offer,
        "attempts": row["attempts"],
        "planned_at": row["planned_at"],
        "pinned_driver_id": show_or_none(Kind.DRIVER, row["pinned_driver_id"]),
        "unassigned_reason": row["unassigned_reason"],
        "retry_at": row["retry_at"],
        "reason": row["status_reason"] or None,
        "tracking_url": tracking_url,
        "timeline": row["timeline"],
        "messages": row["messages"],
        "items": row["items"],
        "fee_minor": row["fee_minor"],
        "currency": row["currency"],
    }


def tracking_object(
    row: Record,
    now: datetime,
    *,
    driver: dict[str, Any] | None,
    before: int | None,
    order: dict[str, Any] | None,
    proof: Record | None,
    written: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return the same row as its customer sees it; `before` counts the stops ahead of his door."""
    picked_up = row["picked_up_at"] is not None
    done = row["status"] == "delivered"
    stops = [{"kind": "pickup", "label": row["p_name"], "status": "done" if picked_up else "next"}]
    stops += [{"kind": "other", "label": "", "status": "todo"} for _ in range(before or 0)]
    last = "done" if done else "next" if picked_up and not before else "todo"
    stops.append({"kind": "dropoff", "label": row["q_address"], "status": last})
    eta = None
    if not done and row["eta_dropoff_p50"] is not None and row["status"] in WITH_DRIVER:
        eta = _range(row["eta_dropoff_p50"], row["eta_dropoff_p90"])
    return {
        "kind": "tracking",
        "id": show(Kind.DELIVERY, row["id"]),
        "version": row["version"],
        "status": row["status"],
        "short_code": row["short_code"],
        "business": {"name": row["business_name"], "color": row["business_color"]},
        "pickup": {"name": row["p_name"], "lat": row["p_lat"], "lng": row["p_lng"]},
        "dropoff": {**_place(row, "q"), "instructions": row["q_instructions"]},
        "promised_at": row["promised_at"],
        "eta": eta,
        "delayed": row["delay_told_s"] is not None
        and (row["status"] in SEEKING or (eta is not None and eta["p50"] > row["promised_at"])),
        "stops_before": before,
        "stops": stops,
        "driver": driver,
        "timeline": [{"status": step["status"], "at": step["at"]} for step in row["timeline"]],
        "order": order,
        "pin": row["proof_code"] if row["proof"] == "pin" and row["finished_at"] is None else None,
        "proof": None if proof is None else {"url": "/api/v1/track/proof", "at": proof["created_at"]},
        "messages": written,
        "may_write": row["driver_id"] is not None and row["status"] in WITH_DRIVER,
        "reason": row["status_reason"] or None,
        "server_time": now,
    }


def driver_object(row: Record, seen: Position | None) -> dict[str, Any]:
    """Return a driver with his businesses and deliveries as a board shows him."""
    return {
        "kind": "driver",
        "id": show(Kind.DRIVER, row["id"]),
        "name": row["name"],
        "vehicle": row["vehicle"],
        "pool": row["pool"],
        "business_ids": [show(Kind.BUSINESS, business_id) for business_id in row["business_ids"]],
        "state": row["state"],
        "position": _position(seen),
        "delivery_ids": [show(Kind.DELIVERY, delivery_id) for delivery_id in row["delivery_ids"]],
        "move": row["move"],
    }


def store_object(row: Record) -> dict[str, Any]:
    """Return a store as a board shows it."""
    return {
        "kind": "store",
        "id": show(Kind.STORE, row["id"]),
        "business_id": show(Kind.BUSINESS, row["business_id"]),
        "name": row["name"],
        "lat": row["lat"],
        "lng": row["lng"],
        "closed_since": row["closed_since"],
        "closed_reason": row["closed_reason"],
        "closed_until": row["closed_until"],
    }


def courier_object(row: Record, seen: Position | None) -> dict[str, Any]:
    """Return a delivery's driver as its customer sees him: no surname."""
    first_name = (row["driver_name"] or "").split(" ")[0]
    return {
        "id": show(Kind.DRIVER, row["driver_id"]),
        "name": first_name,
        "vehicle": row["driver_vehicle"],
        "position": _position(seen),
    }


def _position(seen: Position | None) -> dict[str, Any] | None:
    if seen is None:
        return None
    return {
        "lat": seen.lat,
        "lng": seen.lng,
        "heading": seen.heading_deg,
        "speed_mps": seen.speed_mps,
        "t": seen.t_ms,
    }


def _place(row: Record, prefix: str) -> dict[str, Any]:
    return {field: row[f"{prefix}_{field}"] for field in ("name", "address", "lat", "lng")}


def _range(p50: datetime | None, p90: datetime | None) -> dict[str, datetime] | None:
    return None if p50 is None or p90 is None else {"p50": p50, "p90": p90}
