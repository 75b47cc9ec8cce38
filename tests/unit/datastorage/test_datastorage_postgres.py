"""What only PostgreSQL has: a server that is elsewhere, a schema that many share, and URLs with passwords."""

import asyncio
import logging
import subprocess
import sys
import traceback
from collections.abc import Iterator

import psycopg
import pytest
from tests.support.datastorage_backends import envelopes, exported, opened, row
from tests.support.postgres_server import PASSWORD, PostgresServer

from signal_gateway.datastorage.backend import BackendUnavailable, QueryTooSlow
from signal_gateway.datastorage.database import backend_for, shown_url
from signal_gateway.datastorage.postgres.backend import PostgresBackend
from signal_gateway.datastorage.query import EventQuery
from signal_gateway.errors import ConfigurationError, DataStorageError

VERSIONS = "SELECT version_num FROM audit_events_version"


def execute(url: str, *statements: str) -> list[tuple[object, ...]]:
    """Run statements as somebody else; gives the last one's rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


async def until_one_waits(url: str) -> None:
    """Return when somebody waits for a lock."""
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(execute, url, "SELECT 1 FROM pg_locks WHERE NOT granted"):
            pass


# --- how it starts


@pytest.mark.asyncio
async def test_empty_database_gets_the_schema_and_keeps_it(empty_postgres: str) -> None:
    for n in range(2):
        async with opened(empty_postgres) as backend:
            await backend.insert([row(n)])

    async with opened(empty_postgres) as backend:
        assert await exported(backend) == envelopes(0, 1)
    assert execute(empty_postgres, VERSIONS) == [("0001",)]


@pytest.mark.slow
def test_of_replicas_that_start_at_once_one_migrates(empty_postgres: str) -> None:
    start = f"""
import asyncio, sys
from tests.support.datastorage_backends import opened, row
async def main():
    sys.stdin.readline()
    async with opened({empty_postgres!r}) as backend:
        await backend.insert([row(int(sys.argv[1]))])
asyncio.run(main())
"""
    replicas = [
        subprocess.Popen(
            [sys.executable, "-c", start, str(n)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for n in range(4)
    ]
    for replica in replicas:
        assert replica.stdin is not None
        replica.stdin.write("go\n")
        replica.stdin.flush()
    errors = [replica.communicate(timeout=60)[1] for replica in replicas]

    assert [replica.returncode for replica in replicas] == [0] * 4, errors
    assert execute(empty_postgres, "SELECT count(*) FROM audit_events") == [(4,)]


@pytest.mark.asyncio
async def test_wait_for_a_replica_that_migrates_has_a_bound(empty_postgres: str) -> None:
    with psycopg.connect(empty_postgres) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [0x5347_4154])

        with pytest.raises(DataStorageError, match=r"another process has been preparing .* 0\.1 s"):
            await PostgresBackend(empty_postgres, migration_timeout=0.1).open()


@pytest.mark.asyncio
async def test_database_of_a_newer_release_is_refused_and_left_alone(postgres_database: str) -> None:
    execute(postgres_database, "UPDATE audit_events_version SET version_num = '0999'")

    with pytest.raises(DataStorageError, match=r"revision 0999 .* knows up to 0001; use the release that made it"):
        await backend_for(postgres_database).open()

    assert execute(postgres_database, VERSIONS) == [("0999",)]


@pytest.mark.asyncio
async def test_table_that_is_not_ours_is_refused_and_left_alone(empty_postgres: str) -> None:
    execute(empty_postgres, "CREATE TABLE audit_events (name text)")

    with pytest.raises(DataStorageError, match="did not make; name another database"):
        await backend_for(empty_postgres).open()

    assert execute(empty_postgres, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == [("audit_events",)]


@pytest.mark.asyncio
async def test_two_schemas_of_one_database_hold_two_datastorages(empty_postgres: str) -> None:
    execute(empty_postgres, "CREATE SCHEMA other", "CREATE TABLE alembic_version (version_num text)")
    separator = "&" if "?" in empty_postgres else "?"

    async with (
        opened(empty_postgres) as one,
        opened(f"{empty_postgres}{separator}options=-csearch_path%3Dother") as other,
    ):
        await one.insert([row(1)])
        await other.insert([row(2)])

        assert (await exported(one), await exported(other)) == (envelopes(1), envelopes(2))
    assert execute(empty_postgres, "SELECT * FROM alembic_version") == []


@pytest.mark.asyncio
async def test_migration_that_fails_leaves_nothing_behind(empty_postgres: str) -> None:
    # the name of the last index that it makes
    execute(empty_postgres, "CREATE TABLE audit_events_by_expiry ()")

    with pytest.raises(DataStorageError, match="already exists"):
        await backend_for(empty_postgres).open()

    left = execute(empty_postgres, "SELECT relname FROM pg_class WHERE relname LIKE 'audit_events%'")
    assert left == [("audit_events_by_expiry",)]


@pytest.mark.asyncio
async def test_database_of_another_encoding_is_refused(postgres_url: str, empty_postgres: str) -> None:
    url = psycopg.conninfo.conninfo_to_dict(empty_postgres)
    name = f"{url['dbname']}_latin"
    execute(postgres_url, f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(DataStorageError, match="LATIN1"):
            await backend_for(empty_postgres.replace(str(url["dbname"]), name)).open()
    finally:
        execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


# --- URLs and passwords


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://user:s3cret@host", "names no database"),
        ("postgresql://user:s3cret@host/", "names no database"),
        ("postgresql://user:s3@cret@host/audit", "stray @"),
        ("postgresql://user:s3/cret@host/audit", "stray @"),
        ("postgresql://user:s3?cret@host/audit", "names no database"),
        ("postgresql://user:s3%cret@host/audit", "can't be read"),
        ("postgresql://user:s3cret@host:port/audit", "port"),
        ("postgresql://user:s3cret/audit", "port"),
        ("postgresql://user:s3cret@host:99999/audit", "port"),
        ("postgresql://user:s3cret@host/audit?nonsense=1", "can't be read"),
        ("postgres://[::1/audit?password=s3cret", "can't be read"),
    ],
)
def test_wrong_url_is_refused_when_built_and_not_repeated(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refusal:
        backend_for(url)

    shown = "".join(traceback.format_exception(refusal.value))
    assert "postgresql://user:password@host:5432/database" in shown
    assert "s3" not in shown.replace("backend_for(url)", "")
    assert "cret" not in shown


@pytest.mark.asyncio
@pytest.mark.parametrize("wrong", ["user", "password", "database", "host", "port"])
async def test_what_keeps_it_from_connecting_is_said_without_the_password(
    postgres_server: PostgresServer, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "0ther-s3cret" if wrong == "password" else PASSWORD
    url = {
        "user": postgres_server.url(user="stranger"),
        "password": postgres_server.url(password=secret),
        "database": postgres_server.url("nowhere"),
        "host": f"postgresql://audit:{PASSWORD}@host.invalid/postgres",
        "port": f"postgresql://audit:{PASSWORD}@127.0.0.1:1/postgres",
    }[wrong]
    named = {"user": "stranger", "password": "password", "database": "nowhere", "host": "host.invalid", "port": "1"}

    backend = backend_for(url)
    with pytest.raises(DataStorageError, match=rf"can't use the PostgreSQL database \(.*{named[wrong]}") as refusal:
        await backend.open()

    told = "".join(traceback.format_exception(refusal.value)) + caplog.text + repr(backend) + shown_url(url)
    assert secret not in told


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///audit.db", "sqlite:///audit.db"),
        ("postgresql://user:secret@host:5432/audit", "postgresql://user:***@host:5432/audit"),
        ("postgresql://user:se@cr:et@host/audit?password=secret", "postgresql://user:***@host/audit"),
        ("postgresql://user@host/audit", "postgresql://user@host/audit"),
        ("postgresql:///audit?host=/run", "postgresql:///audit"),
    ],
)
def test_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_missing_extra_is_named_and_sqlite_does_without_it() -> None:
    script = """
import sys
sys.modules["psycopg"] = None
from signal_gateway.datastorage.database import backend_for
backend_for("sqlite:///audit.db")
try:
    backend_for("postgresql://host/audit")
except Exception as exc:
    print(type(exc).__name__, exc)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert said.startswith("ConfigurationError")
    assert "pip install 'signal-gateway[postgres]'" in said


@pytest.mark.slow
def test_sqlite_imports_nothing_of_postgresql() -> None:
    script = """
import sys
from signal_gateway.datastorage import create_datastorage
create_datastorage("sqlite:///audit.db")
print(sorted({"psycopg", "psycopg_pool", "alembic", "sqlalchemy"} & sys.modules.keys()))
"""
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


# --- what it keeps, and when it can't


@pytest.mark.asyncio
async def test_commits_reach_the_disk_whatever_the_default_is(postgres_database: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(postgres_database)["dbname"]
    execute(
        postgres_database,
        f"ALTER DATABASE {name} SET synchronous_commit = off",
        "CREATE TABLE noted (setting text)",
        """CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN INSERT INTO noted VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$""",
        "CREATE TRIGGER note AFTER INSERT OR DELETE ON audit_events EXECUTE FUNCTION note()",
    )

    async with opened(postgres_database) as backend:
        await backend.insert([row(1, expires_at=1)])
        await backend.purge(now=1, limit=1)

    assert execute(postgres_database, "SHOW synchronous_commit") == [("off",)]
    assert execute(postgres_database, "SELECT setting FROM noted") == [("on",), ("on",)]


@pytest.mark.asyncio
async def test_connection_lost_in_the_midst_of_a_batch_stores_none_and_is_replaced(postgres_database: str) -> None:
    rows = [row(n) for n in range(600)]
    async with opened(postgres_database) as backend:
        await backend.insert([row(1000)])
        execute(
            postgres_database,
            """CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$""",
            """CREATE TRIGGER hang_up BEFORE INSERT ON audit_events FOR EACH ROW
               WHEN (NEW.event_timestamp = 300) EXECUTE FUNCTION hang_up()""",
        )
        with pytest.raises(BackendUnavailable):
            await backend.insert(rows)
        execute(postgres_database, "DROP TRIGGER hang_up ON audit_events")

        assert await exported(backend) == envelopes(1000)
        assert await backend.insert(rows) == []
        assert len(await exported(backend)) == 601


@pytest.mark.asyncio
async def test_locked_table_takes_nothing_within_the_timeouts_and_recovers(postgres_database: str) -> None:
    async with opened(PostgresBackend(postgres_database, insert_timeout=0.1, query_timeout=0.1)) as backend:
        with psycopg.connect(postgres_database) as other:
            other.execute("LOCK TABLE audit_events")

            with pytest.raises(BackendUnavailable) as refusal:
                await backend.insert([row(1)])
            with pytest.raises(QueryTooSlow, match=r"0\.1 s"):
                await backend.query(EventQuery())

        assert not isinstance(refusal.value, QueryTooSlow)
        assert await exported(backend) == []


@pytest.mark.asyncio
async def test_slow_queries_keep_nobody_from_writing(postgres_database: str) -> None:
    limits = {"readers": 1, "connection_timeout": 30, "query_timeout": 30}
    async with opened(PostgresBackend(postgres_database, **limits)) as backend:  # type: ignore[arg-type]
        with psycopg.connect(postgres_database) as other:
            other.execute("LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE")
            queries = [asyncio.create_task(backend.query(EventQuery())) for _ in range(3)]
            await until_one_waits(postgres_database)
            await backend.ping()

        assert [page.total for page in await asyncio.gather(*queries)] == [0, 0, 0]


@pytest.mark.asyncio
async def test_close_does_not_wait_for_a_query(postgres_database: str) -> None:
    without_end = 0
    async with opened(PostgresBackend(postgres_database, query_timeout=without_end)) as backend:
        with psycopg.connect(postgres_database) as other:
            other.execute("LOCK TABLE audit_events")
            query = asyncio.create_task(backend.query(EventQuery()))
            await until_one_waits(postgres_database)

            async with asyncio.timeout(30):
                await backend.close()

            with pytest.raises(BackendUnavailable):
                await query


@pytest.mark.asyncio
async def test_ping_finds_a_database_that_can_only_be_read(postgres_database: str) -> None:
    separator = "&" if "?" in postgres_database else "?"
    read_only = "options=-cdefault_transaction_read_only%3Don&target_session_attrs=any"

    async with opened(f"{postgres_database}{separator}{read_only}") as backend:
        with pytest.raises(BackendUnavailable, match="can only be read"):
            await backend.ping()
        with pytest.raises(BackendUnavailable):
            await backend.insert([row(1)])

        assert (await backend.query(EventQuery())).total == 0


@pytest.mark.asyncio
async def test_export_that_is_not_read_on_keeps_no_transaction_open(postgres_database: str) -> None:
    async with opened(postgres_database) as backend:
        await backend.insert([row(n) for n in range(1500)])
        await anext(aiter(backend.export(EventQuery())))

        transactions = execute(
            postgres_database,
            """SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL""",
        )

    assert transactions == [(0,)]


# --- when the server goes


@pytest.fixture(scope="module")
def mortal_postgres(postgres_programs: None) -> Iterator[PostgresServer]:  # noqa: ARG001
    """A server that a test may stop and kill; it runs again when the test ends."""
    with PostgresServer() as server:
        yield server


@pytest.mark.asyncio
@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_server_that_goes_takes_nothing_and_is_found_again(
    mortal_postgres: PostgresServer, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = f"mortal_{end}"
    execute(mortal_postgres.url(), f"CREATE DATABASE {database}")
    async with opened(PostgresBackend(mortal_postgres.url(database), connection_timeout=0.2)) as backend:
        await backend.insert([row(1)])
        await exported(backend)

        await asyncio.to_thread(getattr(mortal_postgres, end))
        try:
            for attempt in (backend.insert([row(2)]), backend.query(EventQuery()), backend.ping()):
                with pytest.raises(BackendUnavailable):
                    await attempt
        finally:
            await asyncio.to_thread(mortal_postgres.start)
        found = await exported(backend)
        duplicates = await backend.insert([row(1), row(2)])

    assert found == envelopes(1)
    assert [duplicate.index for duplicate in duplicates] == [0]
    assert PASSWORD not in caplog.text


@pytest.mark.asyncio
async def test_server_that_restarts_is_not_even_noticed(mortal_postgres: PostgresServer) -> None:
    execute(mortal_postgres.url(), "CREATE DATABASE restarted")
    async with opened(mortal_postgres.url("restarted")) as backend:
        await backend.insert([row(1)])
        await exported(backend)

        await asyncio.to_thread(mortal_postgres.restart)

        assert await backend.insert([row(2)]) == []
        assert await exported(backend) == envelopes(1, 2)


@pytest.mark.asyncio
@pytest.mark.usefixtures("postgres_programs")
async def test_server_that_may_forget_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    with PostgresServer(fsync="off") as server:
        async with opened(server.url()):
            pass

    assert "fsync=off" in caplog.text


@pytest.mark.asyncio
async def test_calls_after_close_are_refused(postgres_database: str) -> None:
    async with opened(postgres_database) as backend:
        pass

    with pytest.raises(BackendUnavailable, match="not open"):
        await backend.insert([row(1)])
    await backend.close()
