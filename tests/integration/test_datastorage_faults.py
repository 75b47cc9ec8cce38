"""What stores delivered is what the database has, both ways, whatever happens to DataStorage and its database."""

import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Self

import psycopg
import pytest
from tests.campaigns.orders import order_event
from tests.support.postgres_server import PostgresServer
from tests.support.relay import Relay

from signal_gateway.audit import AuditStoreConfig, BufferedAuditStore, DataStorageClient

DEADLINE = 60.0
BURST = 20
PAUSE = 0.01  # seconds between the bursts of a writer, so that a load goes on while something happens
MOST_EVENTS = 200_000  # of one writer, should a test go wrong
HALF_A_BATCH = 200_000  # bytes; a batch of a thousand has 450 000
FILLER = "x" * 150


class Service:
    """`signal-gateway datastorage` in a process of its own, behind an address that stays when it is restarted.

    Args:
        database: URL of its database.
    """

    def __init__(self, database: str) -> None:
        self._database = database
        self._process: subprocess.Popen[str] | None = None
        self.relay = Relay(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.relay.port}"

    def start(self) -> None:
        command = ["signal_gateway", "datastorage", "--database", self._database, "--listen", "127.0.0.1:0"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("DataStorage on "), f"it did not start: {line!r}"
        url = line.removeprefix("DataStorage on ").partition(",")[0]
        self.relay.target = ("127.0.0.1", int(url.rpartition(":")[2]))

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        self.relay.__enter__()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end(signal.SIGTERM)
        self.relay.__exit__(None, None, None)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.communicate(timeout=DEADLINE)


class Load:
    """Stores that are written to until the end of the block, each by a thread, and the ids whose `record` returned.

    Args:
        urls: Where each store delivers.
        directory: For their spools.
    """

    def __init__(self, urls: list[str], directory: Path) -> None:
        self._stores = [
            BufferedAuditStore(
                DataStorageClient(url),
                service=f"writer-{number}",
                config=AuditStoreConfig(
                    spool_directory=directory / f"spool-{number}", initial_backoff=0.02, max_backoff=0.2
                ),
            )
            for number, url in enumerate(urls)
        ]
        self._ids: list[list[str]] = [[] for _ in urls]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(len(urls))]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for store in self._stores:
            store.close(timeout=0.0)
        for thread in self._threads:
            thread.join()

    @property
    def recorded(self) -> set[str]:
        return {event_id for ids in self._ids for event_id in ids}

    def deliver(self) -> None:
        """Return when what was recorded before the call is delivered; more is recorded meanwhile."""
        for store in self._stores:
            result = store.flush(DEADLINE)
            assert result.ok, result

    def fail_to_deliver(self, *stores: int) -> None:
        """Return when each of these stores, or each store, has tried in vain since the call."""
        deadline = time.monotonic() + DEADLINE
        for store in [self._stores[number] for number in stores] or self._stores:
            before = store.stats.retries
            while store.stats.retries == before:
                store.flush(0.05)
                assert time.monotonic() < deadline, f"nothing went wrong: {store.stats}"

    def finish(self) -> set[str]:
        """Stop writing, deliver everything, and return the ids of all that was recorded."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.deliver()
        for store in self._stores:
            stats = store.stats
            assert (stats.pending, stats.rejected, stats.refused) == (0, 0, 0)
        assert sum(store.stats.delivered for store in self._stores) == sum(len(ids) for ids in self._ids)
        return self.recorded

    def _write(self, writer: int) -> None:
        number = 0
        while not self._stop.wait(PAUSE) and number < MOST_EVENTS:
            for number in range(number, number + BURST):  # noqa: B020 - it goes on from there
                event = order_event(str(writer), number, filler=FILLER)
                self._stores[writer].record(event)
                self._ids[writer].append(event.event_id)
            number += 1


def stored_in(database: str) -> Counter[str]:
    """Count the rows of each id, in the database itself."""
    statement = "SELECT event_id FROM audit_events"
    if database.startswith("sqlite"):
        with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as connection:
            return Counter(_text(row[0]) for row in connection.execute(statement))
    with psycopg.connect(database) as connection:
        return Counter(str(row[0]) for row in connection.execute(statement))


def _text(event_id: str | bytes) -> str:
    if isinstance(event_id, str):
        return event_id
    digits = event_id.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def assert_stored_exactly_once(recorded: set[str], database: str) -> None:
    stored = stored_in(database)

    assert recorded - stored.keys() == set(), "lost"
    assert stored.keys() - recorded == set(), "out of nowhere"
    assert [event_id for event_id, count in stored.items() if count > 1] == [], "twice"
    assert recorded, "nothing was recorded: the test would hold whatever happens"


@pytest.fixture
def postgres(postgres_programs: None) -> Iterator[PostgresServer]:  # noqa: ARG001
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/audit.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url()


def test_database_that_is_restarted_under_load(postgres: PostgresServer, tmp_path: Path) -> None:
    with Service(postgres.url()) as service, Load([service.url] * 2, tmp_path) as load:
        load.deliver()
        postgres.stop()
        load.fail_to_deliver()
        postgres.start()
        load.deliver()

        recorded = load.finish()

    assert_stored_exactly_once(recorded, postgres.url())


def test_database_that_is_killed_under_load(postgres: PostgresServer, tmp_path: Path) -> None:
    with Service(postgres.url()) as service, Load([service.url] * 2, tmp_path) as load:
        for _ in range(2):
            load.deliver()
            postgres.kill()
            load.fail_to_deliver()
            postgres.start()
        load.deliver()

        recorded = load.finish()

    assert_stored_exactly_once(recorded, postgres.url())


def test_datastorage_that_is_killed_under_load(database: str, tmp_path: Path) -> None:
    with Service(database) as service, Load([service.url] * 2, tmp_path) as load:
        for _ in range(2):
            load.deliver()
            service.kill()
            load.fail_to_deliver()
            service.start()
        load.deliver()

        recorded = load.finish()

    assert_stored_exactly_once(recorded, database)


@pytest.mark.parametrize("part", ["request", "answer"])
def test_connection_to_datastorage_that_is_cut_in_a_batch(database: str, tmp_path: Path, part: str) -> None:
    with Service(database) as service, Load([service.url] * 2, tmp_path) as load:
        load.deliver()
        plan = service.relay.cut_request if part == "request" else service.relay.cut_answer
        service.kill()
        load.fail_to_deliver()  # so that the next batches are large
        plan(behind=HALF_A_BATCH if part == "request" else 10_000)
        service.start()

        assert service.relay.wait_until_cut(DEADLINE)
        recorded = load.finish()

    assert_stored_exactly_once(recorded, database)


@pytest.mark.parametrize("part", ["request", "answer"])
def test_connection_to_postgres_that_is_cut_in_a_batch(postgres: PostgresServer, tmp_path: Path, part: str) -> None:
    directory = Path(tempfile.mkdtemp(prefix="relay-"))  # a socket's path may have 107 bytes at most
    socket_name = ".s.PGSQL.5432"
    behind_the_relay = postgres.url().replace(str(postgres.data_directory.parent).replace("/", "%2F"), str(directory))
    try:
        with (
            Relay(postgres.data_directory.parent / socket_name, path=directory / socket_name) as relay,
            Service(behind_the_relay) as service,
            Load([service.url] * 2, tmp_path) as load,
        ):
            load.deliver()
            plan = relay.cut_request if part == "request" else relay.cut_answer
            service.kill()
            load.fail_to_deliver()  # so that the next batches are large
            plan(behind=HALF_A_BATCH if part == "request" else 10_000)
            service.start()

            assert relay.wait_until_cut(DEADLINE)
            recorded = load.finish()
    finally:
        shutil.rmtree(directory)

    assert_stored_exactly_once(recorded, postgres.url())


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[None]:
    directory.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory], check=False).returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def test_disk_that_is_full_and_has_room_again(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "1m"):
        database = f"sqlite:///{disk}/audit.db"
        with Service(database) as service, Load([service.url] * 2, tmp_path) as load:
            load.fail_to_deliver()
            subprocess.run(["mount", "-o", "remount,size=256m", disk], check=True)
            load.deliver()

            recorded = load.finish()

        assert_stored_exactly_once(recorded, database)


def test_four_stores_two_replicas_and_one_of_them_killed(postgres: PostgresServer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        first, second = (stack.enter_context(Service(postgres.url())) for _ in range(2))
        load = stack.enter_context(Load([first.url, second.url] * 2, tmp_path))
        for _ in range(2):
            load.deliver()
            first.kill()
            load.fail_to_deliver(0, 2)
            first.start()
        load.deliver()

        recorded = load.finish()

    assert_stored_exactly_once(recorded, postgres.url())
