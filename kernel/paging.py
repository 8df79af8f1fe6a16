"""Lists in pages: newest first, stable while things are added, with an opaque cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from kernel.db import Connection, Record
from kernel.errors import invalid
from kernel.http import Page


async def page_of(con: Connection, query: str, arguments: Sequence[Any], page: Page) -> tuple[list[Record], bool, str]:
    """Return (rows, has_more, next_cursor) of a query whose rows have a UUIDv7 `id`; ids sort by time.

    Raises `validation_failed` for a cursor that is not ours.
    """
    after: UUID | None = None
    if page.cursor:
        try:
            after = UUID(hex=page.cursor)
        except ValueError:
            raise invalid("cursor", "This is not a cursor of this list.") from None
    count = len(arguments)
    rows = await con.fetch(
        f"SELECT * FROM ({query}) page WHERE ${count + 1}::uuid IS NULL OR id < ${count + 1} "
        f"ORDER BY id DESC LIMIT ${count + 2}",
        *arguments,
        after,
        page.limit + 1,
    )
    has_more = len(rows) > page.limit
    rows = rows[: page.limit]
    return rows, has_more, rows[-1]["id"].hex if has_more else ""
