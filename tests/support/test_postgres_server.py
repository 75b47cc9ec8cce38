"""The PostgreSQL that tests start: gone when its owner is, whichever way that ends, and no other way."""

import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from tests.support.postgres_server import PostgresServer

OWNER = """
from tests.support.postgres_server import PostgresServer
server = PostgresServer()
server.start()
print(server.url(), flush=True)
input()
"""


@pytest.mark.usefixtures("postgres_programs")
def test_server_ends_with_an_owner_that_is_killed() -> None:
    # the guard has its owner's standard output, which is at its end when both are
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        url = owner.stdout.readline().strip()
        directory = Path(psycopg.conninfo.conninfo_to_dict(url)["host"])  # type: ignore[arg-type]
        assert directory.is_dir()
        owner.send_signal(signal.SIGKILL)
        owner.communicate(timeout=60)

    assert not directory.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


@pytest.mark.usefixtures("postgres_programs")
def test_data_survives_stop_and_kill_and_nothing_is_left_after_close() -> None:
    with PostgresServer() as server:
        directory = Path(server.data_directory)
        for number, end in enumerate((server.stop, server.kill)):
            with psycopg.connect(server.url()) as connection:
                connection.execute(f"CREATE TABLE t{number} ()")
            end()
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(server.url())
            server.start()

        with psycopg.connect(server.url()) as connection:
            found = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
            ).fetchall()

    assert found == [("t0",), ("t1",)]
    assert not directory.exists()
