"""The house rules, checked: who imports whom, and what every table, route, page and test must have."""

from __future__ import annotations

import ast
import gzip
import hashlib
import re
from pathlib import Path

import asyncpg
import pytest

from kernel.access import Permission
from kernel.http import Endpoint
from onward.middleware import RATES
from onward.routes import ROUTES
from tenancy.roles import PERMISSIONS

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("kernel", "geo", "tenancy", "tracking", "dispatch", "storefront_api", "finance", "onward")
MAY_IMPORT = {
    "onward": set(ROOMS),
    "storefront_api": {"finance", "geo", "tenancy", "kernel"},
    "dispatch": {"tracking", "finance", "geo", "tenancy", "kernel"},
    "tracking": {"geo", "tenancy", "kernel"},
    "finance": {"tenancy", "kernel"},
    "tenancy": {"kernel"},
    "kernel": set(),
    "geo": set(),
}


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imported(file: Path, code: str = "") -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(code or file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_the_rooms_below_it(room: str) -> None:
    """The arrows of docs/architecture.md hold."""
    for file in sources(room):
        wrong = (imported(file) & set(ROOMS)) - MAY_IMPORT[room] - {room}
        assert not wrong, f"{file.relative_to(ROOT)} imports {wrong}"


def test_the_reference_client_shares_no_code_with_the_server() -> None:
    """What app authors read is a second implementation, so every test through it is an interoperability test."""
    for file in sources("tracking/client"):
        code = file.read_text().replace("from tracking.client", "from .")
        assert not imported(file, code) & {*ROOMS, "aiohttp", "msgspec"}, file


@pytest.mark.parametrize("word", ["utils", "helpers", "common", "manager"])
def test_no_file_is_named_for_nothing(word: str) -> None:
    """A name says what is inside."""
    assert not [file for room in ROOMS for file in sources(room) if file.stem == word]


def test_tests_do_not_sleep_or_skip() -> None:
    """A test waits for what it expects, and runs."""
    forbidden = re.compile(r"time\.sleep\(|asyncio\.sleep\([^0)]|mark\.(skip|xfail)|pytest\.skip")
    for file in (ROOT / "tests").rglob("*.py"):
        if file.resolve() != Path(__file__).resolve():
            assert not forbidden.search(file.read_text()), file


def test_every_route_has_a_permission_that_some_role_holds_and_a_rate_class() -> None:
    """A door nobody can open, or everybody by mistake, is a fault."""
    held = {permission for permissions in PERMISSIONS.values() for permission in permissions} | {Permission.PUBLIC}
    for route in ROUTES:
        assert route.permission in held, route
        assert route.rate in RATES, route
        assert Endpoint.of(route).summary, route
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


def test_request_bodies_refuse_unknown_fields() -> None:
    """A typo is told, not ignored."""
    for route in ROUTES:
        body = Endpoint.of(route).body
        if body is not None:
            assert body.__struct_config__.forbid_unknown_fields, body


async def test_row_level_security_is_forced_on_every_table(db_url: str) -> None:
    """No table is open, and each policy compares with the scope once per query (an init plan), not once per row."""
    con = await asyncpg.connect(db_url)
    open_tables = await con.fetch(
        """SELECT c.oid::regclass::text FROM pg_class c
           WHERE c.relnamespace = 'onward'::regnamespace AND c.relkind IN ('r', 'p')
             AND NOT (c.relrowsecurity AND c.relforcerowsecurity AND EXISTS (
               SELECT FROM pg_policy p WHERE p.polrelid = c.oid
                 AND (pg_get_expr(p.polqual, p.polrelid) ~ 'SELECT onward.current_(business|driver)\\(\\)'
                      OR pg_get_expr(p.polqual, p.polrelid) = 'false')))"""
    )
    await con.close()
    assert open_tables == []


async def test_the_request_role_can_do_no_harm(db_url: str) -> None:
    """It is no superuser, does not bypass row level security, owns nothing and is a member of nothing."""
    con = await asyncpg.connect(db_url)
    row = await con.fetchrow(
        """SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolcanlogin AS strong,
             EXISTS (SELECT FROM pg_class WHERE relowner = r.oid) AS owns,
             EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid) AS joins
           FROM pg_roles r WHERE rolname = 'onward_app'"""
    )
    await con.close()
    assert tuple(row) == (False, False, False)


async def test_every_foreign_key_has_an_index(db_url: str) -> None:
    """Deleting or joining never scans a table for want of one."""
    con = await asyncpg.connect(db_url)
    bare = await con.fetch(
        """SELECT k.conrelid::regclass::text, k.conname FROM pg_constraint k
           WHERE k.contype = 'f' AND k.connamespace = 'onward'::regnamespace AND NOT EXISTS (
             SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indpred IS NULL
               AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey
               OR i.indrelid = k.conrelid AND cardinality(k.conkey) = 1 AND i.indkey[0] = k.conkey[1])
             AND NOT (k.confrelid = 'onward.businesses'::regclass AND EXISTS (
               SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indkey[0] = ANY(k.conkey)))"""
    )
    await con.close()
    assert bare == []


async def test_keys_between_tenant_tables_carry_the_tenant(db_url: str) -> None:
    """Foreign keys are checked past row level security, so a single-column key could point into another business."""
    con = await asyncpg.connect(db_url)
    loose = await con.fetch(
        """SELECT k.conname FROM pg_constraint k
           JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attname = 'business_id' AND a.attnotnull
           JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attname = 'business_id' AND b.attnotnull
           WHERE k.contype = 'f' AND k.connamespace = 'onward'::regnamespace AND NOT a.attnum = ANY(k.conkey)"""
    )
    await con.close()
    assert loose == []


def test_the_vendored_browser_libraries_are_what_the_checksums_say() -> None:
    """Nobody edits a library in place."""
    vendor = ROOT / "web/shared/vendor"
    for line in (vendor / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name


def test_the_vendored_libraries_are_sent_as_what_they_are() -> None:
    """What lies compressed beside each of them holds the same."""
    files = [*(ROOT / "web/shared/vendor").glob("*.mjs"), *(ROOT / "web/shared/vendor").glob("*.css")]
    assert len(files) >= 10
    for file in files:
        assert gzip.decompress(file.with_name(f"{file.name}.gz").read_bytes()) == file.read_bytes(), file.name


def test_all_pages_begin_with_one_head() -> None:
    """It has the one inline script, the import map, whose hash is in the content security policy."""
    pages = sorted((ROOT / "web").glob("*/index.html"))
    assert len(pages) >= 4
    for page in pages:
        assert page.read_text().count("<!-- head -->") == 1, page
        assert not re.search('<script(?! type="module" src=)', page.read_text()), page


def test_the_readme_is_short() -> None:
    """A newcomer reads it to the end."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
