"""The schema of an SQLite file: its revisions, and the preparation of a file for audit events."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from signal_gateway._machine import machine
from signal_gateway.datastorage.migration import Revision, check_version, migrate
from signal_gateway.datastorage.sqlite.chain import start_sqlite_chain
from signal_gateway.datastorage.sqlite.connection import transaction
from signal_gateway.errors import DataStorageError

__all__ = ["prepare"]

_APPLICATION_ID = 0x5347_4154
_PAGE_BYTES = 16 * 1024
_PAGES_PER_CHECKPOINT = 4000  # 64 MiB
_CACHE_KIB = 32 * 1024
_SECONDS_PER_ATTEMPT = 0.01

# A new file goes through all revisions, so its schema is the same as that of an upgraded file.
_REVISIONS = (
    Revision(
        1,
        (
            """
            CREATE TABLE audit_events (
                sequence INTEGER PRIMARY KEY AUTOINCREMENT,
                event_id TEXT NOT NULL UNIQUE,
                event_timestamp INTEGER NOT NULL,
                received_at INTEGER NOT NULL,
                event_type TEXT NOT NULL,
                event_category TEXT NOT NULL,
                event_outcome TEXT NOT NULL,
                correlation_id TEXT NOT NULL,
                severity TEXT,
                envelope TEXT NOT NULL,
                event_data TEXT NOT NULL
            ) STRICT
            """,
            "CREATE INDEX audit_events_by_time ON audit_events (event_timestamp)",
            "CREATE INDEX audit_events_by_correlation ON audit_events (correlation_id, event_timestamp)",
            "CREATE INDEX audit_events_by_type ON audit_events (event_type, event_timestamp)",
            "CREATE INDEX audit_events_by_category ON audit_events (event_category, event_timestamp)",
            "CREATE INDEX audit_events_by_outcome ON audit_events (event_outcome, event_timestamp)",
            "CREATE INDEX audit_events_by_severity ON audit_events (severity, event_timestamp)"
            " WHERE severity IS NOT NULL",
        ),
    ),
    Revision(
        2,
        (
            "ALTER TABLE audit_events ADD COLUMN expires_at INTEGER",
            "UPDATE audit_events SET expires_at = received_at + envelope ->> '$.retention_days' * 86400000000"
            " WHERE envelope ->> '$.retention_days' IS NOT NULL",
            "CREATE INDEX audit_events_by_expiry ON audit_events (expires_at) WHERE expires_at IS NOT NULL",
        ),
    ),
    Revision(
        3,
        (
            """
            CREATE TABLE audit_chain (
                one INTEGER PRIMARY KEY CHECK (one = 1),
                datastorage TEXT NOT NULL,
                number INTEGER NOT NULL,
                total INTEGER NOT NULL,
                purged INTEGER NOT NULL,
                hash BLOB NOT NULL
            ) STRICT
            """,
            """
            CREATE TABLE audit_links (
                number INTEGER PRIMARY KEY,
                kind TEXT NOT NULL,
                sealed_at INTEGER NOT NULL,
                count INTEGER NOT NULL,
                total INTEGER NOT NULL,
                purged INTEGER NOT NULL,
                digest BLOB NOT NULL,
                hash BLOB NOT NULL,
                manifest BLOB
            ) STRICT
            """,
            "CREATE TABLE audit_purged (sequence INTEGER PRIMARY KEY, link INTEGER NOT NULL) STRICT",
            """
            CREATE TABLE audit_holds (
                correlation_id TEXT PRIMARY KEY,
                reason TEXT NOT NULL,
                placed_by TEXT NOT NULL,
                placed_at INTEGER NOT NULL
            ) STRICT, WITHOUT ROWID
            """,
        ),
        starts_chain=True,
    ),
    # Each index has the columns of the other exact filters, too: a pair of filters is counted in an index alone.
    Revision(
        4,
        (
            "DROP INDEX audit_events_by_type",
            "DROP INDEX audit_events_by_category",
            "DROP INDEX audit_events_by_outcome",
            "DROP INDEX audit_events_by_severity",
            "CREATE INDEX audit_events_by_type"
            " ON audit_events (event_type, event_timestamp, sequence, event_outcome, severity, event_category)",
            "CREATE INDEX audit_events_by_category"
            " ON audit_events (event_category, event_timestamp, sequence, event_type, event_outcome, severity)",
            "CREATE INDEX audit_events_by_outcome"
            " ON audit_events (event_outcome, event_timestamp, sequence, event_type, severity, event_category)",
            "CREATE INDEX audit_events_by_severity"
            " ON audit_events (severity, event_timestamp, sequence, event_type, event_outcome, event_category)"
            " WHERE severity IS NOT NULL",
        ),
    ),
)


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Configure the writing connection of a file and bring the schema of the file up to date.

    Args:
        connection: The connection that writes.
        path: The file, for error messages.

    Raises:
        DataStorageError: The file is not an SQLite database, belongs to another application, has a newer schema or
            is not writable. It stays unchanged.
    """
    file = _SqliteFile(connection, path)
    try:
        check_version(file, file.version(), _REVISIONS)  # before the pragmas, which write to the file
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        mode = _begin_write_ahead_log(connection)
        if mode != "wal":
            raise DataStorageError(
                f"the SQLite file {path} has no write-ahead log (journal mode {mode}): is it on a network disk?"
            )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_PER_CHECKPOINT}")
        connection.execute(f"PRAGMA journal_size_limit = {_PAGES_PER_CHECKPOINT * _PAGE_BYTES}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        migrate(file, _REVISIONS)
    except sqlite3.Error as exc:
        raise DataStorageError(f"cannot use the SQLite file {path}: {exc}") from exc


def _begin_write_ahead_log(connection: sqlite3.Connection) -> str:
    """Switch to a write-ahead log within the busy timeout of the connection; return the journal mode.

    SQLite does not always wait for the lock of another process that switches at the same moment.
    """
    (milliseconds,) = connection.execute("PRAGMA busy_timeout").fetchone()
    deadline = machine.monotonic() + milliseconds / 1000
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or machine.monotonic() >= deadline:
                raise
            machine.sleep(_SECONDS_PER_ATTEMPT)
        else:
            return str(mode)


class _SqliteFile:
    """A SQLite file for `migrate`: `user_version` holds the schema version, `application_id` the owner."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.description = f"the SQLite file {path}"
        self._connection = connection

    @contextmanager
    def locked_transaction(self) -> Iterator[None]:
        with transaction(self._connection, "BEGIN IMMEDIATE"):
            yield

    def version(self) -> int:
        (objects,) = self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if objects == 0:
            return 0
        version = self._pragma("user_version")
        if self._pragma("application_id") != _APPLICATION_ID or version == 0:
            raise DataStorageError(f"{self.description} belongs to another application; name another file")
        return version

    def execute(self, statement: str) -> None:
        self._connection.execute(statement)

    def start_chain(self) -> None:
        start_sqlite_chain(self._connection)

    def set_version(self, version: int) -> None:
        self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self._connection.execute(f"PRAGMA user_version = {version}")

    def _pragma(self, name: str) -> int:
        value: int = self._connection.execute(f"PRAGMA {name}").fetchone()[0]
        return value
