"""The SQLite file: how it is opened, what is in it, and whose it is."""

import sqlite3
from pathlib import Path

from signal_gateway.errors import DataStorageError

__all__ = ["connect", "prepare"]

_APPLICATION_ID = 0x5347_4154
_PAGE_BYTES = 16 * 1024
_PAGES_PER_CHECKPOINT = 4000  # 64 MiB
_CACHE_KIB = 32 * 1024

# What each version added to the one before; a new file goes through all of them, so that it is what an old one became.
_VERSIONS = (
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
) STRICT;
CREATE INDEX audit_events_by_time ON audit_events (event_timestamp);
CREATE INDEX audit_events_by_correlation ON audit_events (correlation_id, event_timestamp);
CREATE INDEX audit_events_by_type ON audit_events (event_type, event_timestamp);
CREATE INDEX audit_events_by_category ON audit_events (event_category, event_timestamp);
CREATE INDEX audit_events_by_outcome ON audit_events (event_outcome, event_timestamp);
CREATE INDEX audit_events_by_severity ON audit_events (severity, event_timestamp) WHERE severity IS NOT NULL;
""",
    """
ALTER TABLE audit_events ADD COLUMN expires_at INTEGER;
UPDATE audit_events SET expires_at = received_at + envelope ->> '$.retention_days' * 86400000000
    WHERE envelope ->> '$.retention_days' IS NOT NULL;
CREATE INDEX audit_events_by_expiry ON audit_events (expires_at) WHERE expires_at IS NOT NULL;
""",
)


def connect(path: Path, *, busy_timeout: float) -> sqlite3.Connection:
    """Open a connection for the calling thread, without implicit transactions.

    Args:
        path: The file; created empty if it isn't there.
        busy_timeout: How long a statement waits for another process's lock, in seconds.

    Raises:
        DataStorageError: The file can't be opened; the message names it and the cause.
    """
    try:
        return sqlite3.connect(path, timeout=busy_timeout, isolation_level=None)
    except sqlite3.Error as exc:
        reason = f"there is no directory {path.parent}; create it" if not path.parent.is_dir() else str(exc)
        raise DataStorageError(f"can't open the SQLite file {path}: {reason}") from exc


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make a connection fit for audit events, and an empty file, or one of an older release, a database of ours.

    Args:
        connection: Will write.
        path: Its file, for the messages.

    Raises:
        DataStorageError: The file is no SQLite database, belongs to something else, is of a newer version, or
            can't be written. It is left as it was.
    """
    try:
        _refuse_strangers(connection, path)
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise DataStorageError(f"the SQLite file {path} can't use a write-ahead log here: is it on a network disk?")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_PER_CHECKPOINT}")
        connection.execute(f"PRAGMA journal_size_limit = {_PAGES_PER_CHECKPOINT * _PAGE_BYTES}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")

        connection.execute("BEGIN IMMEDIATE")
        _refuse_strangers(connection, path)  # once more: another process may have been here before the lock
        for version in _VERSIONS[_pragma(connection, "user_version") :]:
            for statement in version.split(";")[:-1]:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(_VERSIONS)}")
        connection.execute("COMMIT")
    except sqlite3.Error as exc:
        raise DataStorageError(f"can't use the SQLite file {path}: {exc}") from exc


def _refuse_strangers(connection: sqlite3.Connection, path: Path) -> None:
    if _is_empty(connection):
        return
    if _pragma(connection, "application_id") != _APPLICATION_ID:
        raise DataStorageError(f"the SQLite file {path} belongs to another application; name another file")
    version = _pragma(connection, "user_version")
    if not 1 <= version <= len(_VERSIONS):
        raise DataStorageError(
            f"the SQLite file {path} has schema version {version} and this release knows up to {len(_VERSIONS)}; "
            "use the release that made it, or name another file"
        )


def _is_empty(connection: sqlite3.Connection) -> bool:
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return bool(objects == 0)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
