"""An installation's own machinery: migrations, doctor, OpenAPI, limits, pages, maps."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from kernel.errors import CODES
from kernel.http import Endpoint
from kernel.redis import Redis
from onward import migrate as migrations
from onward.config import Settings
from onward.demo import bundled_helsinki
from onward.doctor import examine
from onward.embedded import Servers
from onward.maps.importer import import_map
from onward.maps.osm import MapError
from onward.maps.store import maps_folder
from onward.openapi import document
from onward.pages import policy
from onward.routes import ROUTES
from tenancy.tokens import TrackingLinks
from tests.conftest import database_url
from tests.support.people import create_delivery
from tests.support.server import Onward, start_onward

CATALOG = """
SELECT 'column', table_name::text, column_name::text, data_type || is_nullable || coalesce(column_default, '')
FROM information_schema.columns WHERE table_schema = 'onward'
UNION ALL SELECT 'index', tablename::text, indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'onward'
UNION ALL SELECT 'policy', tablename::text, policyname::text, coalesce(qual, '') FROM pg_policies
UNION ALL SELECT 'rule', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid)
  FROM pg_constraint WHERE connamespace = 'onward'::regnamespace
ORDER BY 1, 2, 3, 4
"""


async def catalog(url: str) -> list[Any]:
    con = await asyncpg.connect(url)
    rows = [tuple(row) for row in await con.fetch(CATALOG)]
    await con.close()
    return rows


@pytest.fixture
async def empty_url(servers: Servers) -> Any:
    """A database with nothing in it."""
    name = f"e_{uuid.uuid4().hex}"
    con = await asyncpg.connect(servers.database_url)
    await con.execute(f"CREATE DATABASE {name}")
    yield database_url(servers, name)
    await con.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await con.close()


async def test_a_schema_migrated_step_by_step_equals_a_fresh_one(
    db_url: str, empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation that followed every release has what a new one has."""
    files = sorted(migrations.folder().glob("*.sql"))
    monkeypatch.setattr(migrations, "folder", lambda: tmp_path)
    for file in files:
        (tmp_path / file.name).write_text(file.read_text())
        assert await migrations.migrate(empty_url) == 1
    assert await migrations.migrate(empty_url) == 0
    assert await catalog(empty_url) == await catalog(db_url)


async def test_a_changed_or_unknown_migration_stops_with_words(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was applied is never edited, and old code does not touch a newer database."""
    monkeypatch.setattr(migrations, "folder", lambda: tmp_path)
    first = tmp_path / "0001_first.sql"
    first.write_text("CREATE TABLE a (n int)")
    assert await migrations.migrate(empty_url) == 1
    first.write_text("CREATE TABLE a (n bigint)")
    with pytest.raises(migrations.MigrationError, match="changed after it was applied"):
        await migrations.migrate(empty_url)
    first.unlink()
    with pytest.raises(migrations.MigrationError, match="newer than this code"):
        await migrations.migrate(empty_url)
    (tmp_path / "0003_gap.sql").write_text("SELECT 1")
    with pytest.raises(migrations.MigrationError, match="0001"):
        await migrations.migrate(empty_url)


async def test_the_doctor_finds_nothing_wrong_and_then_the_missing_map(
    db_url: str, servers: Servers, redis: Redis, tmp_path: Path
) -> None:
    """Every finding says what to do."""
    settings = Settings(database_url=db_url, redis_url=servers.redis_url, data_dir=tmp_path)
    found = {finding.what: finding async for finding in examine(settings)}
    assert [name for name, finding in found.items() if not finding.ok] == ["map"]
    assert "onward map import" in found["map"].detail
    import_map(bundled_helsinki(), maps_folder(tmp_path) / "helsinki", name="helsinki")
    assert all([finding.ok async for finding in examine(settings)])
    nobody = settings.model_copy(update={"routing_url": "osrm+http://127.0.0.1:9"})
    found = {finding.what: finding async for finding in examine(nobody)}
    assert [name for name, finding in found.items() if not finding.ok] == ["routing"]
    assert "ONWARD_ROUTING_URL" in found["routing"].detail


def test_the_openapi_document_has_every_route_with_its_permission() -> None:
    """Nothing in it is written twice, nothing is left out."""
    spec = document([Endpoint.of(route) for route in ROUTES], version="1")
    assert spec["openapi"] == "3.1.0"
    for route in ROUTES:
        assert spec["paths"][route.path][route.method.lower()]["x-permission"] == route.permission


async def test_too_many_requests_are_told_when_to_come_back(
    db_url: str, servers: Servers, redis: Redis, tmp_path: Path
) -> None:
    """A limit per caller and rate class; others are not affected."""
    async with start_onward(db_url, servers.redis_url, tmp_path, rate_limits=True) as onward:
        body = {"email": "a@example.com", "password": "x"}

        async def guess() -> tuple[int, int]:
            async with onward.http.post("/api/v1/auth/login", json=body) as reply:
                return reply.status, int(reply.headers.get("Retry-After", 0))

        replies = sorted(await asyncio.gather(*(guess() for _ in range(21))))
        assert [status for status, _ in replies] == [401] * 20 + [429]
        assert replies[-1][1] > 0
        async with onward.http.post("/api/v1/auth/login", json=body, headers={"X-Forwarded-For": "7.7.7.7"}) as reply:
            assert reply.status == 401  # somebody else behind the same proxy
        async with onward.http.get("/api/v1/auth/me", headers=onward.as_(onward.world.admin_token)) as reply:
            assert reply.status == 200
            assert int(reply.headers["RateLimit-Remaining"]) > 0


async def test_pages_tiles_and_styles_are_served_with_a_strict_policy(
    db_url: str, servers: Servers, redis: Redis, tmp_path: Path
) -> None:
    """Nothing inline but the import map, nothing from elsewhere."""
    import_map(bundled_helsinki(), maps_folder(tmp_path) / "helsinki", name="helsinki")
    async with start_onward(db_url, servers.redis_url, tmp_path) as onward:
        async with onward.http.get("/board/") as reply:
            html = await reply.text()
            assert reply.headers["Content-Security-Policy"] == policy(html)
            assert "unsafe" not in reply.headers["Content-Security-Policy"]
        async with onward.http.get("/map/style-dark.json") as reply:
            assert (await reply.json())["sources"]["city"]["tiles"][0].startswith(onward.url)
        async with onward.http.get("/tiles/14/9327/4742.mvt") as reply:
            assert reply.status == 200
            assert reply.content_type == "application/vnd.mapbox-vector-tile"
        for tile, status in (("/tiles/14/0/0.mvt", 204), ("/tiles/30/0/0.mvt", 404), ("/tiles/1/9/9.mvt", 404)):
            async with onward.http.get(tile) as reply:
                assert reply.status == status


async def test_health_readiness_and_metrics_answer(onward: Onward) -> None:
    """What load balancers and Prometheus ask."""
    for path, word in (("/healthz", "ok"), ("/readyz", '"ready":true'), ("/metrics", "onward_http_requests_total")):
        async with onward.http.get(path) as reply:
            assert reply.status == 200
            assert word in await reply.text()
    async with onward.http.get("/api/v1/nothing-here") as reply:
        assert (await reply.json())["code"] == "not_found"
    async with onward.http.delete("/api/v1/auth/me") as reply:
        assert (await reply.json())["code"] == "method_not_allowed"
    assert all(400 <= status < 600 for status, _ in CODES.values())


async def test_a_person_with_a_wrong_link_gets_a_page_and_a_program_a_problem(onward: Onward) -> None:
    """In the style of the other pages, under the strict policy, with a way out."""
    person = {"Accept": "text/html,application/xhtml+xml"}
    async with onward.http.get("/no-such-page", headers=person) as reply:
        html = await reply.text()
        assert (reply.status, reply.content_type) == (404, "text/html")
        assert reply.headers["Content-Security-Policy"] == policy(html)
        assert 'href="/"' in html
    for path, headers in (("/api/v1/nothing-here", person), ("/no-such-page", {})):
        async with onward.http.get(path, headers=headers) as reply:
            assert (reply.status, reply.content_type) == (404, "application/problem+json")


async def test_a_tracking_link_is_whole_and_leads_where_people_reach_the_server(onward: Onward) -> None:
    """As the caller does, as the proxy says, or as the operator set it."""
    made = await create_delivery(onward, onward.world.rosso)
    assert made["tracking_url"].startswith(f"{onward.url}/track/#trk_")
    headers = {**onward.as_(onward.world.rosso.token), "X-Forwarded-Proto": "https"}
    async with onward.http.get(f"/api/v1/deliveries/{made['id']}", headers=headers) as reply:
        assert (await reply.json())["tracking_url"] == made["tracking_url"].replace("http:", "https:")
    told = TrackingLinks(b"secret", "https://city.example/").url(onward.url, uuid.uuid4(), uuid.uuid4())
    assert told.startswith("https://city.example/track/#trk_")


@pytest.mark.parametrize(
    ("content", "code"), [(None, "no_file"), (b"", "not_a_map"), (b"<html>not a map</html>" * 100, "not_a_map")]
)
def test_a_file_that_is_no_map_is_refused_and_leaves_nothing_behind(
    tmp_path: Path, content: bytes | None, code: str
) -> None:
    """The old map, if any, stays."""
    pbf = tmp_path / "x.osm.pbf"
    if content is not None:
        pbf.write_bytes(content)
    with pytest.raises(MapError) as caught:
        import_map(pbf, tmp_path / "maps" / "x", name="x")
    assert caught.value.code == code
    assert not (tmp_path / "maps" / "x").exists()


def test_the_same_file_again_is_not_imported_twice(tmp_path: Path) -> None:
    """By checksum: the second import returns at once and touches nothing."""
    folder = tmp_path / "helsinki"
    first = import_map(bundled_helsinki(), folder, name="helsinki")
    before = (folder / "streets.npz").stat().st_mtime_ns
    assert import_map(bundled_helsinki(), folder, name="helsinki") == first
    assert (folder / "streets.npz").stat().st_mtime_ns == before
