"""Products and categories of one business."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from kernel.db import Connection, Record, one
from kernel.ids import Kind, new_id, show, show_or_none


async def create_category(con: Connection, *, business_id: UUID, name: str, position: int = 0) -> UUID:
    """Create a category."""
    category_id = new_id()
    await con.execute(
        "INSERT INTO product_categories (id, business_id, name, position) VALUES ($1, $2, $3, $4)",
        category_id,
        business_id,
        name,
        position,
    )
    return category_id


async def create_product(
    con: Connection,
    *,
    business_id: UUID,
    name: str,
    price_minor: int,
    category_id: UUID | None = None,
    description: str = "",
    available: bool = True,
    position: int = 0,
) -> UUID:
    """Create a product; raises `not_found` for a category of somebody else."""
    if category_id is not None:
        one(await con.fetchrow("SELECT 1 FROM product_categories WHERE id = $1", category_id), "category")
    product_id = new_id()
    await con.execute(
        """INSERT INTO products (id, business_id, category_id, name, description, price_minor, available, position)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
        product_id,
        business_id,
        category_id,
        name,
        description,
        price_minor,
        available,
        position,
    )
    return product_id


async def change_product(con: Connection, product_id: UUID, changes: dict[str, Any]) -> Record:
    """Change the named fields of a product; raises `not_found`."""
    row = await con.fetchrow(
        """UPDATE products SET name = coalesce($2, name), description = coalesce($3, description),
             price_minor = coalesce($4, price_minor), available = coalesce($5, available)
           WHERE id = $1 RETURNING *""",
        product_id,
        changes.get("name"),
        changes.get("description"),
        changes.get("price_minor"),
        changes.get("available"),
    )
    return one(row, "product")


async def remove_product(con: Connection, product_id: UUID) -> None:
    """Remove a product; one that was ever ordered stays, unavailable, because orders name it."""
    one(await con.fetchrow("SELECT 1 FROM products WHERE id = $1", product_id), "product")
    if await con.fetchval("SELECT 1 FROM order_items WHERE product_id = $1 LIMIT 1", product_id):
        await con.execute("UPDATE products SET available = false WHERE id = $1", product_id)
    else:
        await con.execute("DELETE FROM products WHERE id = $1", product_id)


def public(row: Record) -> dict[str, Any]:
    """Return a product as the API shows it."""
    return {
        "id": show(Kind.PRODUCT, row["id"]),
        "category_id": show_or_none(Kind.CATEGORY, row["category_id"]),
        "name": row["name"],
        "description": row["description"],
        "price_minor": row["price_minor"],
        "available": row["available"],
    }
