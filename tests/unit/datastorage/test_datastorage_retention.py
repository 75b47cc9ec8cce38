"""What a database does for export, for the histogram and for retention."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from tests.support.datastorage_backends import envelopes, exported, opened, row

from signal_gateway.audit.event import AuditEvent
from signal_gateway.datastorage.backend import Backend, Bar
from signal_gateway.datastorage.query import EventQuery, Position
from signal_gateway.datastorage.record import microseconds, row_of
from signal_gateway.datastorage.sqlite.connection import connect
from signal_gateway.datastorage.sqlite.schema import prepare
from signal_gateway.errors import DataStorageError

DAY = 24 * 60 * 60 * 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.asyncio
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_export_gives_all_that_match_in_order(backend: Backend, order: str) -> None:
    # seven moments, so that a slice ends in the midst of one
    await backend.insert([row(n, event_timestamp=n % 7, severity="high" if n % 2 else None) for n in range(2500)])

    everything = await exported(backend, EventQuery(order=order, limit=1, offset=5))  # type: ignore[arg-type]
    some = await exported(backend, EventQuery(order="asc", severity="high", until=EPOCH + timedelta(microseconds=1)))

    expected = sorted(range(2500), key=lambda n: (n % 7, n), reverse=order == "desc")
    assert everything == envelopes(*expected)
    assert some == envelopes(*[n for n in expected[:: -1 if order == "desc" else 1] if n % 7 < 2 and n % 2])


@pytest.mark.asyncio
async def test_export_gives_each_event_once_while_others_come_and_go(backend: Backend) -> None:
    late = count(10_000)
    seen: list[str] = []
    await backend.insert([row(n, event_timestamp=n // 2, expires_at=1 if n % 3 == 0 else None) for n in range(4500)])

    async for events in backend.export(EventQuery(order="asc")):
        seen += [event.envelope for event in events]
        if len(seen) > 4_600:
            break  # it runs after what is inserted, and would do so for good
        await backend.insert([row(next(late), event_timestamp=moment) for moment in (0, 1_000, 2_000, 9_000)])
        await backend.purge(now=1, limit=100)

    assert len(seen) == len(set(seen))
    assert set(envelopes(*[n for n in range(4500) if n % 3])) <= set(seen) <= set(envelopes(*range(4500)))


@pytest.mark.asyncio
async def test_slice_of_an_export_is_bounded_in_bytes(backend: Backend) -> None:
    large = f'{{"fill":"{"x" * 200_000}"}}'
    await backend.insert([row(n, event_data=large) for n in range(40)])

    slices = [events async for events in backend.export(EventQuery(order="asc"))]

    assert [event.envelope for events in slices for event in events] == envelopes(*range(40))
    assert max(len(events) for events in slices) <= 10


@pytest.mark.asyncio
async def test_export_goes_on_behind_a_position(backend: Backend) -> None:
    await backend.insert([row(n) for n in range(10)])
    first = [event async for events in backend.export(EventQuery(order="asc")) for event in events][6]

    rest = await exported(backend, EventQuery(order="asc", after=Position(first.event_timestamp, first.sequence)))

    assert rest == envelopes(7, 8, 9)


@pytest.mark.asyncio
async def test_export_that_is_not_read_on_keeps_no_log_from_starting_anew(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/audit.db") as backend:
        await backend.insert([row(n) for n in range(3000)])
        await anext(aiter(backend.export(EventQuery())))

        with closing(sqlite3.connect(tmp_path / "audit.db")) as other:
            blocked, in_log, moved = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    assert (blocked, in_log, moved) == (0, 0, 0)


@pytest.mark.asyncio
async def test_histogram_counts_outcomes_by_time(backend: Backend) -> None:
    moments = {"success": [-11, -10, -1, 0, 9, 10, 35], "failure": [9, 30], "pending": [39, 40]}
    number = count()
    rows = [
        row(next(number), event_timestamp=moment, event_outcome=outcome, correlation_id=outcome)
        for outcome, times in moments.items()
        for moment in times
    ]
    wide = EventQuery(since=EPOCH - timedelta(days=1), until=EPOCH + timedelta(microseconds=39), limit=1, offset=9)
    await backend.insert(rows)

    everything = await backend.histogram(wide, width=10)
    some = await backend.histogram(
        EventQuery(since=EPOCH, until=wide.until, correlation_id="failure", event_outcome="failure"), width=10
    )

    assert everything == [
        Bar(-20, {"success": 1}),
        Bar(-10, {"success": 2}),
        Bar(0, {"success": 2, "failure": 1}),
        Bar(10, {"success": 1}),
        Bar(30, {"success": 1, "failure": 1, "pending": 1}),
    ]
    assert some == [Bar(0, {"failure": 1}), Bar(30, {"failure": 1})]


@pytest.mark.asyncio
async def test_purge_takes_only_what_has_expired(backend: Backend) -> None:
    await backend.insert([row(n, expires_at=expiry) for n, expiry in enumerate((99, 100, 101, None, 0, -5))])

    assert await backend.purge(now=100, limit=10) == 4
    assert await backend.purge(now=100, limit=10) == 0

    assert await exported(backend) == envelopes(2, 3)


@pytest.mark.asyncio
async def test_purge_goes_in_bounded_steps_and_begins_with_the_longest_expired(backend: Backend) -> None:
    await backend.insert([row(n, expires_at=100 - n) for n in range(10)])

    steps = [await backend.purge(now=100, limit=4)]
    left = await exported(backend)
    steps += [await backend.purge(now=100, limit=4) for _ in range(3)]

    assert left == envelopes(*range(6))
    assert steps == [4, 4, 2, 0]


@pytest.mark.asyncio
async def test_sequence_of_a_purged_event_is_not_used_again(backend: Backend) -> None:
    await backend.insert([row(1, expires_at=1)])
    [[before]] = [events async for events in backend.export(EventQuery())]
    await backend.purge(now=1, limit=1)
    await backend.insert([row(2)])
    [[after]] = [events async for events in backend.export(EventQuery())]

    assert after.sequence > before.sequence


def audit_event(**members: object) -> AuditEvent:
    return AuditEvent(
        event_type="t",
        event_category="c",
        event_action="a",
        event_outcome="success",
        correlation_id="x",
        event_data={"event_type": "t"},
        **members,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("stamp", ["0001-01-01T00:00:00Z", "2026-01-31T12:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("days", [1, 2555])
def test_retention_runs_from_the_arrival_whatever_the_events_clock_said(stamp: str, days: int) -> None:
    now = microseconds(datetime(2026, 1, 31, tzinfo=UTC))

    expires = row_of(audit_event(event_timestamp=stamp, retention_days=days), received_at=now).expires_at

    assert expires == now + days * DAY


def test_event_without_retention_never_expires() -> None:
    assert row_of(audit_event(), received_at=5).expires_at is None


VERSION_1 = """
CREATE TABLE audit_events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, event_timestamp INTEGER NOT NULL,
    received_at INTEGER NOT NULL, event_type TEXT NOT NULL, event_category TEXT NOT NULL, event_outcome TEXT NOT NULL,
    correlation_id TEXT NOT NULL, severity TEXT, envelope TEXT NOT NULL, event_data TEXT NOT NULL
) STRICT;
CREATE INDEX audit_events_by_time ON audit_events (event_timestamp);
CREATE INDEX audit_events_by_correlation ON audit_events (correlation_id, event_timestamp);
CREATE INDEX audit_events_by_type ON audit_events (event_type, event_timestamp);
CREATE INDEX audit_events_by_category ON audit_events (event_category, event_timestamp);
CREATE INDEX audit_events_by_outcome ON audit_events (event_outcome, event_timestamp);
CREATE INDEX audit_events_by_severity ON audit_events (severity, event_timestamp) WHERE severity IS NOT NULL;
PRAGMA application_id = 0x53474154;
PRAGMA user_version = 1;
"""


def file_of_version_1(path: Path) -> None:
    """A file as the first release made it, with an event to be kept for 30 days and one without a term."""
    with closing(sqlite3.connect(path)) as old:
        old.executescript(VERSION_1)
        for n, envelope in enumerate(('{"n":0,"retention_days":30}', '{"n":1}')):
            plain = row(n, envelope=envelope)._asdict()
            del plain["expires_at"]
            old.execute(
                f"INSERT INTO audit_events ({', '.join(plain)}) VALUES ({', '.join('?' * len(plain))})",
                list(plain.values()),
            )
        old.commit()


@pytest.mark.asyncio
async def test_file_of_version_1_is_brought_up_to_date_with_its_events(tmp_path: Path) -> None:
    file_of_version_1(tmp_path / "audit.db")

    async with opened(f"sqlite:///{tmp_path}/audit.db") as backend:
        kept = await exported(backend)
        duplicates = await backend.insert([row(1, envelope='{"n":1}')])
        early = await backend.purge(now=30 * DAY - 1, limit=10)
        due = await backend.purge(now=30 * DAY, limit=10)

        assert await exported(backend) == ['{"n":1}']
    assert kept == ['{"n":0,"retention_days":30}', '{"n":1}']
    assert [duplicate.has_same_content for duplicate in duplicates] == [True]
    assert (early, due) == (0, 1)


def test_upgraded_file_is_like_a_new_one(tmp_path: Path) -> None:
    file_of_version_1(tmp_path / "old.db")
    shapes = []
    for name in ("old.db", "new.db"):
        with closing(connect(tmp_path / name, busy_timeout=1)) as connection:
            prepare(connection, tmp_path / name)
            columns = connection.execute("SELECT * FROM pragma_table_info('audit_events')").fetchall()
            indexes = connection.execute(
                "SELECT name, sql FROM sqlite_schema WHERE type = 'index' ORDER BY 1"
            ).fetchall()
            version = connection.execute("PRAGMA user_version").fetchone()
        shapes.append((columns, indexes, version))

    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("is_old", [True, False])
def test_of_processes_that_open_a_file_at_once_one_migrates(tmp_path: Path, is_old: bool) -> None:
    path = tmp_path / "audit.db"
    if is_old:
        file_of_version_1(path)
    start = Barrier(8)

    def open_it(_: int) -> tuple[int, int]:
        start.wait()
        with closing(connect(path, busy_timeout=30)) as connection:
            prepare(connection, path)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (events,) = connection.execute("SELECT count(*) FROM audit_events").fetchone()
            return version, events

    with ThreadPoolExecutor(8) as openers:
        found = set(openers.map(open_it, range(8)))

    assert found == {(4, 2 if is_old else 0)}


class _Busy(sqlite3.Connection):
    """Another process switches to a write-ahead log at the first attempts, and SQLite does not wait for it."""

    refusals = 0

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        if statement == "PRAGMA journal_mode = WAL" and self.refusals:
            self.refusals -= 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        return super().execute(statement, *parameters)


def test_file_that_another_process_opens_at_this_moment_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None, factory=_Busy)) as connection:
        connection.refusals = 3

        prepare(connection, path)

        assert connection.refusals == 0
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_file_that_stays_locked_is_refused_after_the_busy_timeout(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    with closing(sqlite3.connect(path, timeout=0.05, isolation_level=None, factory=_Busy)) as connection:
        connection.refusals = 1_000_000

        with pytest.raises(DataStorageError, match="database is locked"):
            prepare(connection, path)


def test_upgrade_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    file_of_version_1(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE audit_events_by_expiry (x)")  # takes the name of the last thing that it makes

    with closing(connect(path, busy_timeout=1)) as connection, pytest.raises(Exception, match="already"):
        prepare(connection, path)

    with closing(sqlite3.connect(path)) as after:
        assert after.execute("PRAGMA user_version").fetchone() == (1,)
        assert "expires_at" not in [column[1] for column in after.execute("PRAGMA table_info('audit_events')")]
