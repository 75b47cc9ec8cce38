"""PostgreSQL behind pgbouncer: what another client of the pooler gets is its own, and a commit is on the disk."""

import asyncio
from collections.abc import Callable, Iterator

import psycopg
import pytest
from tests.support.datastorage_backends import envelopes, exported, opened, row
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres_server import PostgresServer

from signal_gateway.datastorage.backend import Backend, BackendUnavailable, QueryTooSlow
from signal_gateway.datastorage.postgres.backend import PostgresBackend
from signal_gateway.datastorage.query import EventQuery
from signal_gateway.errors import DataStorageError

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

SETTINGS = (
    "synchronous_commit",
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "default_transaction_read_only",
    "default_transaction_isolation",
)


@pytest.fixture
def server(postgres_programs: None) -> Iterator[PostgresServer]:  # noqa: ARG001
    with PostgresServer(synchronous_commit="off") as server:
        yield server


@pytest.fixture
def pooler(program: Callable[[str], str], server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[str]:
    with pgbouncer(program("pgbouncer"), server, mode=getattr(request, "param", "transaction")) as url:
        yield url


async def use(backend: Backend) -> None:
    """Write and read, several calls at once, so that every connection of the pooler is used."""

    async def read() -> None:
        for _ in range(10):
            await backend.query(EventQuery())

    batches = (backend.insert([row(10 * n + i) for i in range(10)]) for n in range(20))
    await asyncio.gather(*batches, *(read() for _ in range(4)))
    await backend.ping()


@pytest.mark.parametrize("pooler", ["transaction", "session"], indirect=True)
@pytest.mark.asyncio
async def test_every_call_works_behind_a_pooler(pooler: str) -> None:
    async with opened(pooler) as backend:
        await backend.insert([row(1), row(2)])
        [duplicate] = await backend.insert([row(2), row(3, expires_at=5)])

        assert duplicate.has_same_content
        assert (await backend.query(EventQuery())).total == 3
        assert await exported(backend) == envelopes(1, 2, 3)
        assert await backend.purge(now=5, limit=10) == 1
        await backend.ping()


@pytest.mark.asyncio
async def test_other_clients_of_the_pooler_keep_their_settings_and_statements(pooler: str) -> None:
    def of_another_client() -> list[tuple[str, ...]]:
        with psycopg.connect(pooler, autocommit=True, prepare_threshold=None) as connection:
            row = connection.execute(
                ("SELECT " + ", ".join(f"current_setting('{name}')" for name in SETTINGS)).encode()
            ).fetchone()
            names = connection.execute("SELECT name FROM pg_prepared_statements").fetchall()
        assert row is not None
        return [row, *names]

    before = of_another_client()
    async with opened(pooler) as backend:
        await use(backend)
        for _ in range(20):
            assert of_another_client() == before


@pytest.mark.asyncio
async def test_writes_of_other_clients_do_not_fail(pooler: str) -> None:
    def write() -> None:
        with psycopg.connect(pooler, autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS theirs (n int)")
            for n in range(10):
                connection.execute("INSERT INTO theirs VALUES (%s)", [n], prepare=False)

    async with opened(pooler) as backend:
        for _ in range(4):
            await asyncio.gather(use(backend), asyncio.to_thread(write))

    with psycopg.connect(pooler) as connection:
        assert connection.execute("SELECT count(*) FROM theirs").fetchone() == (40,)


@pytest.mark.parametrize("is_pooled", [True, False])
@pytest.mark.asyncio
async def test_commit_of_events_is_synchronous(pooler: str, server: PostgresServer, is_pooled: bool) -> None:
    async with opened(pooler if is_pooled else server.url()) as backend:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE TABLE seen (setting text)")
            connection.execute(
                "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$"
            )
            # at the end of the transaction: the setting at the commit decides
            connection.execute(
                "CREATE CONSTRAINT TRIGGER see AFTER INSERT ON audit_events DEFERRABLE INITIALLY DEFERRED"
                " FOR EACH ROW EXECUTE FUNCTION see()"
            )
            await backend.insert([row(1)])

            assert connection.execute("SELECT * FROM seen").fetchall() == [("on",)]


@pytest.mark.asyncio
async def test_call_that_waits_for_a_lock_is_stopped_behind_a_pooler(pooler: str, server: PostgresServer) -> None:
    async with opened(PostgresBackend(pooler, query_timeout=0.1, insert_timeout=0.1)) as backend:
        with psycopg.connect(server.url()) as connection:
            connection.execute("LOCK TABLE audit_events")

            with pytest.raises(QueryTooSlow):
                await backend.query(EventQuery())
            with pytest.raises(BackendUnavailable):
                await backend.insert([row(1)])
            with pytest.raises(BackendUnavailable):
                await backend.ping()

        await backend.insert([row(1)])
        assert (await backend.query(EventQuery())).total == 1


@pytest.mark.parametrize(
    ("pooler", "options", "reason"),
    [
        ("statement", "", "statement pooling mode"),
        ("transaction", "?options=-csearch_path%3Dpublic", "unsupported startup parameter"),
    ],
    indirect=["pooler"],
)
@pytest.mark.asyncio
async def test_pooler_that_can_not_work_is_refused_at_the_start(pooler: str, options: str, reason: str) -> None:
    with pytest.raises(DataStorageError, match=reason) as refused:
        async with opened(pooler + options):
            pass

    assert "use pgbouncer in transaction or session mode" in str(refused.value)
