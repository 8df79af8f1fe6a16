"""Migrations are plain SQL files, `migrations/NNNN_what.sql`, applied in order, each in a transaction, under one lock.

A file that was applied is never edited: its checksum is kept and a changed one stops the migration with a clear error.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from kernel.db import SCHEMA
from onward.errors import Refused

LOCK: Final = 0x6F6E77617264  # "onward"
FILE_NAME: Final = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")

_LEDGER = f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS public.onward_migrations (
  name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
"""


class MigrationError(Refused):
    """The migrations and the database don't fit; the message says why."""


class Migration(msgspec.Struct, frozen=True):
    """One file."""

    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The file's checksum."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def folder() -> Path:
    """Return where the migrations are: beside the code in a checkout, inside the package when installed."""
    packaged = Path(__file__).parent / "_migrations"
    return packaged if packaged.exists() else Path(__file__).parent.parent / "migrations"


def read(directory: Path) -> list[Migration]:
    """Return the migrations of a folder in order; raise `MigrationError` on a gap or a name out of form."""
    files = sorted(directory.glob("*.sql"))
    for number, file in enumerate(files, start=1):
        found = FILE_NAME.match(file.name)
        if found is None or int(found[1]) != number:
            raise MigrationError(f"{file.name}: expected {number:04d}_what_it_does.sql")
    return [Migration(file.name, file.read_text()) for file in files]


async def migrate(url: str, *, applied: Callable[[str], None] = lambda _: None) -> int:
    """Bring the database at `url` up to date; return how many migrations were applied."""
    migrations = read(folder())
    con = await asyncpg.connect(url)
    try:
        await con.execute("SELECT pg_advisory_lock($1)", LOCK)
        await con.execute(_LEDGER)
        known = {row["name"]: row["sha256"] for row in await con.fetch("SELECT * FROM public.onward_migrations")}
        if unknown := known.keys() - {m.name for m in migrations}:
            raise MigrationError(f"The database is newer than this code: it has {', '.join(sorted(unknown))}.")
        count = 0
        for migration in migrations:
            if migration.name in known:
                if known[migration.name] != migration.sha256:
                    raise MigrationError(f"{migration.name} was changed after it was applied: add a new file instead.")
                continue
            async with con.transaction():
                await con.execute(f"SET LOCAL search_path = {SCHEMA}")
                await con.execute(migration.sql)
                await con.execute(
                    "INSERT INTO public.onward_migrations (name, sha256) VALUES ($1, $2)",
                    migration.name,
                    migration.sha256,
                )
            applied(migration.name)
            count += 1
        return count
    finally:
        await con.close()
