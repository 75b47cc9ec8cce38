"""The chain of links in an SQLite file: its start, new links, purges, and reading it in chunks.

All functions but `chain_head` and `read_chunk` run inside a transaction of the caller, which has the write lock.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from uuid import uuid4

from signal_gateway.datastorage.backend import CHAIN_COLUMNS, MISSING_HEAD, BackendUnavailable
from signal_gateway.datastorage.integrity.link import ChainHead, Link, Manifest, Seal, SealableEvent, StoredEvent
from signal_gateway.datastorage.integrity.verification import ChainChunk, ChainEnd, StoredLink, Window
from signal_gateway.datastorage.sqlite.connection import transaction

__all__ = ["append_batch", "chain_head", "purge_events", "read_chunk", "start_chain"]

_EVENTS_PER_LINK = 1000
_EVENTS_PER_CHUNK = 2000
_LINKS_PER_CHUNK = 500
_EARLIEST, _LATEST = -(2**63), 2**63 - 1

_STORED = ", ".join(StoredEvent._fields)
_HEAD = "SELECT datastorage, number, total, purged, hash FROM audit_chain"
_TABLES = "SELECT count(*) FROM sqlite_schema WHERE name IN ('audit_chain', 'audit_links', 'audit_purged')"


def start_chain(connection: sqlite3.Connection) -> None:
    """Create the head, and seal the stored events in the order of storage."""
    head = ChainHead.start(str(uuid4()))
    connection.execute(
        "INSERT INTO audit_chain VALUES (1, ?, ?, ?, ?, ?)",
        (head.datastorage, head.number, head.total, head.purged, head.hash),
    )
    with closing(connection.execute(f"SELECT sequence, {_STORED} FROM audit_events ORDER BY sequence")) as rows:
        while some := rows.fetchmany(_EVENTS_PER_LINK):
            append_batch(connection, [StoredEvent(*row[1:]) for row in some], [row[0] for row in some])


def append_batch(connection: sqlite3.Connection, events: Sequence[SealableEvent], sequences: Sequence[int]) -> None:
    """Add the link of new events.

    Args:
        connection: The connection of the transaction that inserted them.
        events: At least one, in the order of storage.
        sequences: Their sequences.

    Raises:
        BackendUnavailable: The head is missing.
    """
    _append(connection, Seal.of_batch(events, sequences))


def purge_events(connection: sqlite3.Connection, *, now: int, limit: int) -> int:
    """Delete expired events that are not on hold, and add the link of the purge; return their number."""
    rows = connection.execute(
        f"SELECT sequence, {_STORED} FROM audit_events WHERE expires_at <= ?"
        " AND correlation_id NOT IN (SELECT correlation_id FROM audit_holds) ORDER BY expires_at LIMIT ?",
        (now, limit),
    ).fetchall()
    if not rows:
        return 0
    rows.sort()  # by sequence
    sequences = [row[0] for row in rows]
    link = _append(connection, Seal.of_purge([StoredEvent(*row[1:]) for row in rows], sequences, now=now))
    connection.executemany(
        "INSERT OR REPLACE INTO audit_purged VALUES (?, ?)", [(sequence, link.number) for sequence in sequences]
    )
    connection.executemany("DELETE FROM audit_events WHERE sequence = ?", [(sequence,) for sequence in sequences])
    return len(rows)


def chain_head(connection: sqlite3.Connection) -> ChainHead | None:
    """Return the head of the chain; None if it, or a table of the chain, is missing."""
    (tables,) = connection.execute(_TABLES).fetchone()
    row = connection.execute(_HEAD).fetchone() if tables == 3 else None
    return None if row is None else ChainHead(*row)


def read_chunk(connection: sqlite3.Connection, *, after: ChainHead, window: Window) -> ChainChunk:
    """Return the next links with their rows; see `Backend.read_chain`."""
    connection.text_factory = _lossy_text  # an altered text may not be UTF-8
    try:
        with transaction(connection, "BEGIN"):
            return _chunk(connection, after, window)
    finally:
        connection.text_factory = str


def _chunk(connection: sqlite3.Connection, after: ChainHead, window: Window) -> ChainChunk:
    links = _links(connection, after, window)
    sequences = [
        sequence for stored in links if stored.manifest for sequence in Manifest.unpack(stored.manifest).sequences
    ]
    rows: list[tuple[object, ...]] = []
    purged: dict[int, int] = {}
    if sequences:
        bounds = min(sequences), max(sequences)
        rows = connection.execute(
            f"SELECT {', '.join(CHAIN_COLUMNS)} FROM audit_events WHERE sequence BETWEEN ? AND ?", bounds
        ).fetchall()
        purged = dict(
            connection.execute("SELECT sequence, link FROM audit_purged WHERE sequence BETWEEN ? AND ?", bounds)
        )

    last = links[-1].link.number if links else after.number
    (newest_link,) = connection.execute("SELECT coalesce(max(number), 0) FROM audit_links").fetchone()
    end = None
    if newest_link <= last or not links:
        events, newest = connection.execute("SELECT count(*), coalesce(max(sequence), 0) FROM audit_events").fetchone()
        head = connection.execute(_HEAD).fetchone()
        end = ChainEnd(None if head is None else ChainHead(*head), events, newest)
    return ChainChunk(links, rows, purged, end)


def _links(connection: sqlite3.Connection, after: ChainHead, window: Window) -> list[StoredLink]:
    rows = connection.execute(
        "SELECT number, kind, sealed_at, count, total, purged, root, digest, hash,"
        " CASE WHEN kind = 'batch' AND sealed_at BETWEEN ? AND ? THEN manifest END FROM audit_links"
        " WHERE number > ? AND (number = ? OR total + purged <= ?) ORDER BY number LIMIT ?",
        (
            _EARLIEST if window.since is None else window.since,
            _LATEST if window.until is None else window.until,
            after.number,
            after.number + 1,
            after.total + after.purged + _EVENTS_PER_CHUNK,
            _LINKS_PER_CHUNK,
        ),
    )
    return [StoredLink(Link(*row[:-1]), row[-1]) for row in rows]


def _append(connection: sqlite3.Connection, seal: Seal) -> Link:
    row = connection.execute(_HEAD).fetchone()
    if row is None:
        raise BackendUnavailable(MISSING_HEAD)
    link = seal.link(ChainHead(*row))
    manifest = seal.manifest if seal.kind == "batch" else None
    connection.execute(
        "INSERT INTO audit_links VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            link.number,
            link.kind,
            link.sealed_at,
            link.count,
            link.total,
            link.purged,
            link.root,
            link.digest,
            link.hash,
            manifest,
        ),
    )
    connection.execute(
        "UPDATE audit_chain SET number = ?, total = ?, purged = ?, hash = ?",
        (link.number, link.total, link.purged, link.hash),
    )
    return link


def _lossy_text(text: bytes) -> str:
    return text.decode(errors="replace")
