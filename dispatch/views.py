"""What people look at: the board of a business or an operator, and a customer's tracking page, as plain objects.

The same queries run in a business' own transaction, where row level security decides what is there, and on the platform
path for the operator's board. Nobody else decides visibility: a stream passes on positions only of drivers in here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from dispatch import alerts, messages
from dispatch.delivery import TRACKABLE_AFTER_H, WITH_DRIVER
from dispatch.numbers import BoardNumbers
from dispatch.rows import BOTH_ENDS
from dispatch.shown import courier_object, delivery_object, driver_object, store_object, tracking_object
from kernel import keys
from kernel.access import Permission, Principal, Who
from kernel.clock import Clock
from kernel.db import Connection, Database, Reason, Record
from kernel.errors import Problem
from kernel.ids import Kind, show
from tenancy.tokens import TrackingLinks
from tracking.live import LivePositions
from tracking.visibility import customer_sees_driver

FINISHED_SHOWN_H: Final = 2
DELIVERIES_SHOWN_MAX: Final = 1_000
DRIVERS_SHOWN_MAX: Final = 5_000

_WITH_DRIVER: Final = [status.value for status in WITH_DRIVER]
_OPEN: Final = "d.status NOT IN ('delivered', 'canceled', 'failed', 'returned')"

_DELIVERIES: Final = f"""
SELECT d.*, (SELECT count(*) FROM messages m WHERE m.business_id = d.business_id AND m.delivery_id = d.id) AS messages,
       b.name AS business_name, b.color AS business_color, b.customer_sees_driver_stops_before,
       s.name AS store_name, dr.name AS driver_name, dr.vehicle AS driver_vehicle,
       p.name AS p_name, p.address AS p_address, p.lat AS p_lat, p.lng AS p_lng,
       q.name AS q_name, q.address AS q_address, q.lat AS q_lat, q.lng AS q_lng, q.instructions AS q_instructions,
       q.route_position AS q_position,
       od.driver_id AS offer_driver_id, od.expires_at AS offer_expires_at, od.asked AS offer_asked,
       odr.name AS offer_driver_name,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('status', h.status, 'at', h.at, 'source', h.source)
                                  ORDER BY h.version), '[]')
        FROM delivery_status_history h WHERE h.business_id = d.business_id AND h.delivery_id = d.id) AS timeline
FROM deliveries d
JOIN businesses b ON b.id = d.business_id
LEFT JOIN stores s ON s.business_id = d.business_id AND s.id = d.store_id
LEFT JOIN driver_profiles dr ON dr.id = d.driver_id
{BOTH_ENDS}
LEFT JOIN LATERAL (
  SELECT od.driver_id, od.expires_at, count(*) OVER () AS asked FROM offer_deliveries od
  WHERE d.status = 'offered' AND od.delivery_id = d.id AND od.holds ORDER BY od.offer_id LIMIT 1) od ON true
LEFT JOIN driver_profiles odr ON odr.id = od.driver_id
"""

_DRIVERS: Final = """
SELECT dr.id, dr.name, dr.vehicle, dr.pool, dr.state,
       ARRAY(SELECT a.business_id FROM driver_business_assignments a WHERE a.driver_id = dr.id) AS business_ids,
       ARRAY(SELECT d.id FROM deliveries d
             WHERE d.driver_id = dr.id AND d.status = ANY($1) ORDER BY d.id) AS delivery_ids,
       (SELECT jsonb_build_object('name', m.name, 'lat', m.lat, 'lng', m.lng, 'saves_s', m.saves_s) FROM driver_moves m
        WHERE m.driver_id = dr.id AND m.ended_at IS NULL AND dr.state = 'available') AS move
FROM driver_profiles dr
"""


class OrderViews(Protocol):
    """The commercial side of a delivery; the shop knows it."""

    async def summary(self, con: Connection, order_id: UUID) -> dict[str, Any] | None:
        """Return what the customer bought and pays."""

    async def tracking(self, con: Connection, order_id: UUID) -> dict[str, Any] | None:
        """Return the tracking object of an order that has no delivery yet."""


class BoardViews:
    """Makes the objects; implements tracking's `Views`."""

    def __init__(
        self,
        db: Database,
        live: LivePositions,
        links: TrackingLinks,
        orders: OrderViews,
        numbers: BoardNumbers,
        clock: Clock,
    ) -> None:
        self._db = db
        self._numbers = numbers
        self._live = live
        self._links = links
        self._orders = orders
        self._clock = clock

    def topic(self, principal: Principal) -> str:
        """Return the topic a viewer follows; raises `forbidden` for callers with nothing to watch."""
        if principal.who is Who.TRACKER and principal.delivery_id is not None:
            return keys.delivery_topic(principal.delivery_id)
        if Permission.BOARD_READ in principal.permissions:
            if principal.who is Who.ADMIN:
                return keys.board_topic(principal.operator())
            return keys.business_topic(principal.business())
        raise Problem("forbidden", "There is no board for this account.")

    async def view(self, principal: Principal) -> dict[str, Any]:
        """Return the viewer's whole object as of now."""
        if principal.who is Who.TRACKER and principal.delivery_id is not None:
            return await self.tracking(principal.business(), principal.delivery_id)
        return await self.board(principal)

    async def board(self, principal: Principal) -> dict[str, Any]:
        """Return the board of a business (its own transaction) or of an operator (platform path)."""
        async with self._db.tx_of(principal, Reason.BOARD, readonly=True) as con:
            return await self._board(con, principal)

    async def numbers(self, principal: Principal) -> dict[str, Any] | None:
        """Return the numbers of the viewer's board as of now; None for whom follows one delivery."""
        if principal.who is Who.TRACKER:
            return None
        of_operator = principal.who is Who.ADMIN
        scope_id = principal.operator() if of_operator else principal.business()
        async with self._db.tx_of(principal, Reason.BOARD, readonly=True) as con:
            return await self._numbers.read(con, scope_id, of_operator=of_operator)

    async def _board(self, con: Connection, principal: Principal) -> dict[str, Any]:
        now, of_operator = self._clock.now(), principal.who is Who.ADMIN
        scope_id = principal.operator() if of_operator else principal.business()
        whose = "d.operator_id = $1" if of_operator else "d.business_id = $1"
        whose_drivers = "dr.operator_id = $2" if of_operator else "$2::uuid IS NOT NULL"
        rows = await con.fetch(
            f"""{_DELIVERIES} WHERE {whose} AND ({_OPEN} OR d.finished_at > $2)
                ORDER BY d.created_at DESC, d.id LIMIT {DELIVERIES_SHOWN_MAX}""",
            scope_id,
            now - timedelta(hours=FINISHED_SHOWN_H),
        )
        drivers = await con.fetch(
            f"""{_DRIVERS} WHERE {whose_drivers} AND (dr.state <> 'offline' OR EXISTS (
                  SELECT FROM deliveries d WHERE d.driver_id = dr.id AND d.status = ANY($1)))
                ORDER BY dr.id LIMIT {DRIVERS_SHOWN_MAX}""",
            _WITH_DRIVER,
            scope_id,
        )
        if of_operator:
            businesses = await con.fetch(
                "SELECT id, name, color FROM businesses WHERE operator_id = $1 ORDER BY name", scope_id
            )
            name = await con.fetchval("SELECT name FROM operators WHERE id = $1", scope_id)
        else:
            businesses = await con.fetch("SELECT id, name, color FROM businesses")
            name = businesses[0]["name"]
        stores = await con.fetch(
            "SELECT * FROM stores WHERE business_id = ANY($1) ORDER BY id",
            [business["id"] for business in businesses],
        )
        seen = await self._live.positions(principal.operator(), [driver["id"] for driver in drivers])
        kind = Kind.OPERATOR if of_operator else Kind.BUSINESS
        scope = {"kind": kind.name.lower(), "id": show(kind, scope_id), "name": name}
        return {
            "kind": "board",
            "scope": scope,
            "bounds": _bounds(stores, rows),
            "server_time": now,
            "numbers": await self._numbers.read(con, scope_id, of_operator=of_operator),
            "businesses": [
                {"id": show(Kind.BUSINESS, b["id"]), "name": b["name"], "color": b["color"]} for b in businesses
            ],
            "stores": [store_object(store) for store in stores],
            "deliveries": [self._shown(row) for row in sorted(rows, key=lambda row: row["id"])],
            "drivers": [driver_object(driver, seen.get(driver["id"])) for driver in drivers],
            "alerts": await alerts.open_now(con, principal.operator()),
        }

    async def delivery(self, con: Connection, delivery_id: UUID) -> dict[str, Any] | None:
        """Return one delivery as a board shows it, as far as the transaction sees it."""
        row = await con.fetchrow(f"{_DELIVERIES} WHERE d.id = $1", delivery_id)
        return None if row is None else self._shown(row)

    async def driver(self, con: Connection, operator_id: UUID, driver_id: UUID) -> dict[str, Any] | None:
        """Return one driver as a board shows him, as far as the transaction sees him; None when not on shift."""
        row = await con.fetchrow(f"{_DRIVERS} WHERE dr.id = $2", _WITH_DRIVER, driver_id)
        if row is None or (row["state"] == "offline" and not row["delivery_ids"]):
            return None
        seen = await self._live.positions(operator_id, [driver_id])
        return driver_object(row, seen.get(driver_id))

    def _shown(self, row: Record) -> dict[str, Any]:
        return delivery_object(row, self._links.path(row["business_id"], row["id"]))

    async def tracking(self, business_id: UUID, delivery_id: UUID) -> dict[str, Any]:
        """Return what a delivery's customer sees; raises `not_found` when the link has ended."""
        async with self._db.tenant_tx(business_id, readonly=True) as con:
            row = await con.fetchrow(f"{_DELIVERIES} WHERE d.id = $1", delivery_id)
            if row is None:
                waiting = await self._orders.tracking(con, delivery_id)
                if waiting is None:
                    raise Problem("not_found", "There is no delivery behind this link.")
                return {**waiting, "server_time": self._clock.now()}
            order = None if row["order_id"] is None else await self._orders.summary(con, row["order_id"])
            before = await self._stops_before(con, row)
            written = await messages.for_customer(con, delivery_id)
            proof = await con.fetchrow(
                """SELECT created_at FROM proofs WHERE delivery_id = $1 AND path IS NOT NULL
                   ORDER BY created_at DESC LIMIT 1""",
                delivery_id,
            )
        now = self._clock.now()
        if row["finished_at"] is not None and row["finished_at"] < now - timedelta(hours=TRACKABLE_AFTER_H):
            raise Problem("not_found", "This link has ended.")
        driver = None
        if customer_sees_driver(row["status"], before, row["customer_sees_driver_stops_before"]):
            seen = await self._live.positions(row["operator_id"], [row["driver_id"]])
            driver = courier_object(row, seen.get(row["driver_id"]))
        return tracking_object(row, now, driver=driver, before=before, order=order, proof=proof, written=written)

    async def _stops_before(self, con: Connection, row: Record) -> int | None:
        """Return how many of the driver's stops come before this customer's door; None without a driver.

        Other businesses' stops are invisible in this transaction, so the count is a security-definer function's.
        """
        if row["driver_id"] is None or row["q_position"] is None:
            return None
        count: int = await con.fetchval(
            "SELECT count_stops_before($1, $2, $3)", row["driver_id"], row["id"], row["q_position"]
        )
        return count


def _bounds(stores: Sequence[Record], rows: Sequence[Record]) -> list[float] | None:
    """Return west, south, east, north around the stores and drop-offs; None when there are none."""
    places = [(s["lng"], s["lat"]) for s in stores] + [(row["q_lng"], row["q_lat"]) for row in rows]
    if not places:
        return None
    lngs, lats = [lng for lng, _ in places], [lat for _, lat in places]
    return [min(lngs), min(lats), max(lngs), max(lats)]
