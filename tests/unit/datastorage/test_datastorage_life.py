"""How DataStorage starts, what it says of itself, what it does when its database can't, and what it keeps."""

import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.datastorage_backends import opened, row

from signal_gateway.datastorage import create_datastorage
from signal_gateway.datastorage.backend import Backend, BackendUnavailable, QueryTooSlow
from signal_gateway.datastorage.query import EventQuery
from signal_gateway.datastorage.sqlite.backend import SqliteBackend
from signal_gateway.errors import ConfigurationError, DataStorageError
from signal_gateway.web.problem import PROBLEM_JSON

EVENTS = "/api/v1/audit/events"
BATCH = "/api/v1/audit/events/batch"
MakeEvent = Callable[..., dict[str, Any]]
Serve = Callable[..., httpx.Client]


def total(client: httpx.Client) -> int:
    count: int = client.get(EVENTS, params={"limit": 1}).raise_for_status().json()["pagination"]["total"]
    return count


@contextmanager
def disk_full_beyond(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.asyncio
async def test_events_survive_a_restart(database: str, make_wire_event: MakeEvent, tmp_path: Path) -> None:
    document = make_wire_event()
    pages = []

    for _ in range(2):
        datastorage = create_datastorage(database)
        transport = httpx.ASGITransport(app=datastorage.app)
        async with datastorage, httpx.AsyncClient(transport=transport, base_url="http://datastorage") as client:
            answer = await client.post(BATCH, json=[document])
            pages.append((answer.json()["accepted"], (await client.get(EVENTS)).json()["data"]))

    assert [accepted for accepted, _ in pages] == [1, 0]
    assert pages[0][1] == pages[1][1]
    assert set(os.listdir(tmp_path)) <= {"audit.db"}


@pytest.mark.parametrize(
    ("database", "said"),
    [
        ("", "scheme"),
        ("audit.db", "scheme"),
        ("mysql://user:secret@db/audit", "mysql://"),
        ("sqlite://audit.db", "host"),
        ("sqlite:///", "lose its events"),
        ("sqlite:///:memory:", "lose its events"),
        ("sqlite:///audit.db?mode=ro", "options"),
    ],
)
def test_wrong_database_url_is_refused_when_built(database: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refusal:
        create_datastorage(database)

    assert "secret" not in str(refusal.value)


@pytest.mark.asyncio
async def test_file_in_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataStorageError, match=r"no directory .*missing; create it"):
        await create_datastorage(f"sqlite:///{tmp_path}/missing/audit.db").__aenter__()

    assert not (tmp_path / "missing").exists()


@pytest.mark.asyncio
async def test_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataStorageError, match=str(tmp_path)):
        await create_datastorage(f"sqlite:///{tmp_path}").__aenter__()


@pytest.mark.asyncio
async def test_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all, but long enough to look like one" * 50)
    before = path.read_bytes()

    with pytest.raises(DataStorageError, match=r"notes\.txt.*not a database"):
        await create_datastorage(f"sqlite:///{path}").__aenter__()

    assert path.read_bytes() == before


@pytest.mark.asyncio
async def test_database_of_another_application_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE audit_events (name TEXT)")
    before = path.read_bytes()

    with pytest.raises(DataStorageError, match="another application"):
        await create_datastorage(f"sqlite:///{path}").__aenter__()

    assert path.read_bytes() == before


@pytest.mark.asyncio
async def test_database_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    async with create_datastorage(f"sqlite:///{path}"):
        pass
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 999")

    with pytest.raises(DataStorageError, match="schema version 999"):
        await create_datastorage(f"sqlite:///{path}").__aenter__()


@pytest.mark.asyncio
async def test_app_without_its_lifespan_says_what_is_missing(database: str) -> None:
    datastorage = create_datastorage(database)
    transport = httpx.ASGITransport(app=datastorage.app)

    async with httpx.AsyncClient(transport=transport, base_url="http://datastorage") as client:
        answer = await client.get(EVENTS)

    assert answer.status_code == 503
    assert "lifespan" in answer.json()["detail"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_full_disk_is_503_takes_nothing_and_recovers(
    client: httpx.Client, make_wire_event: MakeEvent, tmp_path: Path
) -> None:
    client.post(EVENTS, json=make_wire_event()).raise_for_status()
    large = [make_wire_event(detail={"fill": "x" * 20_000}) for _ in range(100)]
    used = (tmp_path / "audit.db-wal").stat().st_size

    with disk_full_beyond(used + 500_000):
        refused = client.post(BATCH, json=large)
        health = client.get("/healthz")
        readable = total(client)
    accepted = client.post(BATCH, json=large)

    assert refused.status_code == 503
    assert refused.headers["Content-Type"] == PROBLEM_JSON
    assert refused.headers["Retry-After"] == "1"
    assert "disk" not in refused.json()["detail"]
    assert (health.status_code, readable) == (200, 1)
    assert (accepted.status_code, accepted.json()["accepted"]) == (201, 100)
    assert total(client) == 101


@pytest.mark.asyncio
@pytest.mark.parametrize("place", [0, 100, 599])
@pytest.mark.parametrize("unfit", [{"event_timestamp": "no number"}, {"event_type": None}])
async def test_batch_that_breaks_in_one_row_stores_none(backend: Backend, place: int, unfit: dict[str, Any]) -> None:
    rows = [row(n) for n in range(600)]

    with pytest.raises(BackendUnavailable):
        await backend.insert([*rows[:place], rows[place]._replace(**unfit), *rows[place + 1 :]])

    assert (await backend.query(EventQuery())).total == 0
    assert await backend.insert(rows) == []
    assert (await backend.query(EventQuery())).total == 600


@pytest.mark.asyncio
async def test_datastorage_is_not_opened_twice_at_once(database: str) -> None:
    datastorage = create_datastorage(database)
    async with datastorage:
        with pytest.raises(DataStorageError, match="open already"):
            await datastorage.__aenter__()

    async with datastorage:
        pass


@pytest.mark.asyncio
async def test_query_past_its_deadline_is_given_up_and_the_next_is_answered(tmp_path: Path) -> None:
    scan = EventQuery(detail=("name", "value"))
    async with opened(SqliteBackend(tmp_path / "audit.db", query_timeout=0)) as backend:
        await backend.insert([row(n) for n in range(20_000)])

        with pytest.raises(QueryTooSlow):
            await backend.query(scan)

        assert len((await backend.query(EventQuery(correlation_id="none"))).events) == 0


@pytest.mark.asyncio
async def test_database_locked_by_another_process_takes_nothing_and_recovers(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    async with opened(SqliteBackend(path, busy_timeout=0)) as backend:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")

            with pytest.raises(BackendUnavailable, match="locked"):
                await backend.insert([row(1)])
            with pytest.raises(BackendUnavailable, match="locked"):
                await backend.ping()

        await backend.ping()
        assert await backend.insert([row(1)]) == []


def test_health_and_readiness(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_limits_are_told(client: httpx.Client) -> None:
    assert client.get("/api/v1/audit/limits").json() == {
        "max_batch": 1000,
        "max_body_bytes": 5 * 1024 * 1024,
        "max_event_bytes": 256 * 1024,
    }


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", EVENTS, 405), ("GET", BATCH, 405)]
)
def test_what_is_not_served_is_a_problem(client: httpx.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == PROBLEM_JSON
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    if path == EVENTS:
        assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


def test_metrics_count_events_and_time_requests(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    document = make_wire_event()
    client.post(BATCH, json=[document, make_wire_event()])
    client.post(BATCH, json=[document])
    client.post(BATCH, json=[document, {}, 7])
    client.get("/nowhere")

    page = client.get("/metrics").text

    assert 'datastorage_events_total{result="accepted"} 2.0' in page
    assert 'datastorage_events_total{result="duplicate"} 1.0' in page
    assert 'datastorage_events_total{result="refused"} 2.0' in page
    assert f'datastorage_request_seconds_count{{method="POST",path="{BATCH}",status="201"}} 2.0' in page
    assert 'datastorage_request_seconds_count{method="GET",path="other",status="404"} 1.0' in page


@pytest.mark.asyncio
async def test_two_datastorages_share_no_metric(tmp_path: Path, make_wire_event: MakeEvent) -> None:
    one, two = (create_datastorage(f"sqlite:///{tmp_path}/{name}.db") for name in ("one", "two"))

    transport = httpx.ASGITransport(app=one.app)
    async with one, two, httpx.AsyncClient(transport=transport, base_url="http://datastorage") as client:
        await client.post(EVENTS, json=make_wire_event())

    assert one.registry.get_sample_value("datastorage_events_total", {"result": "accepted"}) == 1
    assert two.registry.get_sample_value("datastorage_events_total", {"result": "accepted"}) == 0
