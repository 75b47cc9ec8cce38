"""A database that no write can reach: no 201, and not ready."""

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest

from signal_gateway.audit.event import new_event_id
from signal_gateway.datastorage import create_datastorage
from signal_gateway.testing import LiveServer

pytestmark = pytest.mark.slow

Open = Callable[[str], httpx.Client]


def event() -> dict[str, object]:
    return {
        "version": "1.0",
        "event_id": new_event_id(),
        "event_type": "t.x",
        "event_timestamp": "2026-01-01T00:00:00Z",
        "event_category": "t",
        "event_action": "a",
        "event_outcome": "success",
        "correlation_id": "c",
        "event_data": {"event_type": "t.x", "pad": "x" * 1000},
    }


def store(client: httpx.Client, count: int = 1) -> int:
    return client.post("/api/v1/audit/events/batch", json=[event() for _ in range(count)]).status_code


def ready(client: httpx.Client) -> int:
    return client.get("/readyz").status_code


@pytest.fixture
def open_datastorage() -> Iterator[Open]:
    """Serve DataStorages over databases; gives a client of each."""
    with ExitStack() as stack:

        def serve(database: str) -> httpx.Client:
            app = create_datastorage(database).app
            return stack.enter_context(LiveServer(app, name="DataStorage", lifespan="on", stop_grace=10)).client

        yield serve


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "a.db"


def remove_all(path: Path) -> None:
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)


def remove_log(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def replace_by_a_restore(path: Path) -> None:
    restored = path.with_name("restored")
    shutil.copy(path, restored)
    restored.replace(path)


def move_away(path: Path) -> None:
    path.rename(path.with_name("moved"))


def move_directory_away(path: Path) -> None:
    path.parent.rename(path.parent.with_name("gone"))


@pytest.mark.parametrize("lose", [remove_all, remove_log, replace_by_a_restore, move_away, move_directory_away])
def test_file_that_is_gone_or_replaced_takes_no_event(
    open_datastorage: Open, path: Path, lose: Callable[[Path], None]
) -> None:
    client = open_datastorage(f"sqlite:///{path}")
    assert (store(client), ready(client)) == (201, 200)

    lose(path)

    assert (store(client), ready(client)) == (503, 503)
    assert (store(client), ready(client)) == (503, 503)


def test_file_that_is_lost_during_a_commit_is_not_acknowledged(
    open_datastorage: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from signal_gateway.datastorage.sqlite import backend

    client = open_datastorage(f"sqlite:///{path}")
    insert = backend._insert_new

    def insert_and_lose(connection: sqlite3.Connection, rows: object) -> object:
        done = insert(connection, rows)  # type: ignore[arg-type]
        remove_all(path)
        return done

    monkeypatch.setattr(backend, "_insert_new", insert_and_lose)

    assert store(client) == 503


def test_checkpoints_purges_and_other_processes_leave_the_database_ready(open_datastorage: Open, path: Path) -> None:
    client = open_datastorage(f"sqlite:///{path}")
    for _ in range(3):
        assert store(client, 500) == 201
        other = sqlite3.connect(path)
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        other.close()
        assert ready(client) == 200


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "disk"
    directory.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", directory], check=False).returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    yield directory
    subprocess.run(["umount", "-l", directory], check=True)


def test_full_disk_is_not_ready_until_it_has_space(open_datastorage: Open, disk: Path) -> None:
    client = open_datastorage(f"sqlite:///{disk}/a.db")
    while store(client, 200) == 201:
        pass

    assert ready(client) == 503
    assert store(client, 200) == 503
    subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)

    assert (ready(client), store(client, 200), ready(client)) == (200, 201, 200)


def test_lock_of_another_process_is_not_ready(open_datastorage: Open, path: Path) -> None:
    client = open_datastorage(f"sqlite:///{path}")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    assert (store(client), ready(client)) == (503, 503)
    other.execute("ROLLBACK")
    other.close()

    assert (ready(client), store(client)) == (200, 201)


@pytest.mark.parametrize("how", ["ALTER TABLE audit_events RENAME TO lost", "DROP TABLE audit_events"])
def test_table_that_is_gone_is_not_ready(open_datastorage: Open, postgres_database: str, how: str) -> None:
    client = open_datastorage(postgres_database)
    assert (store(client), ready(client)) == (201, 200)
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute(how.encode())

    assert (store(client), ready(client)) == (503, 503)
