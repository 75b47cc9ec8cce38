"""The chain of links in an SQLite file: its start, the events of a purge, and reading it in chunks.

`backend` adds the other links.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import astuple
from uuid import uuid4

from signal_gateway.datastorage.backend import CHAIN_COLUMNS
from signal_gateway.datastorage.integrity.link import ChainHead, Link, Manifest, Seal, SealedEvent, event_hashes
from signal_gateway.datastorage.integrity.verification import ChainChunk, ChainEnd, StoredLink, Window
from signal_gateway.datastorage.sqlite.connection import transaction

__all__ = [
    "INSERT_LINK",
    "SELECT_HEAD",
    "delete_events",
    "expired_events",
    "read_sqlite_chunk",
    "sqlite_chain_head",
    "start_sqlite_chain",
]

SELECT_HEAD = "SELECT datastorage, number, total, purged, hash FROM audit_chain"
INSERT_LINK = "INSERT INTO audit_links VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"

_EVENTS_PER_LINK = 1000
_EVENTS_PER_CHUNK = 2000
_LINKS_PER_CHUNK = 500
_EARLIEST, _LATEST = -(2**63), 2**63 - 1

_STORED = ", ".join(SealedEvent._fields)
_TABLES = "SELECT count(*) FROM sqlite_schema WHERE name IN ('audit_chain', 'audit_links', 'audit_purged')"


def start_sqlite_chain(connection: sqlite3.Connection) -> None:
    """Seal the stored events in the order of storage, and create the head. The caller has the write lock."""
    head = ChainHead.start(str(uuid4()))
    with closing(connection.execute(f"SELECT sequence, {_STORED} FROM audit_events ORDER BY sequence")) as rows:
        while some := rows.fetchmany(_EVENTS_PER_LINK):
            events = [SealedEvent(*row[1:]) for row in some]
            seal = Seal.of_batch(events, event_hashes(events), [row[0] for row in some])
            link = seal.link(head)
            connection.execute(INSERT_LINK, (*astuple(link), seal.manifest))
            head = head.after(link)
    connection.execute(
        "INSERT INTO audit_chain VALUES (1, ?, ?, ?, ?, ?)",
        (head.datastorage, head.number, head.total, head.purged, head.hash),
    )


def expired_events(connection: sqlite3.Connection, *, now: int, limit: int) -> tuple[list[SealedEvent], list[int]]:
    """Return the events that expired first and are not on hold, in the order of storage, and their sequences."""
    rows = connection.execute(
        f"SELECT sequence, {_STORED} FROM audit_events WHERE expires_at <= ?"
        " AND correlation_id NOT IN (SELECT correlation_id FROM audit_holds) ORDER BY expires_at LIMIT ?",
        (now, limit),
    ).fetchall()
    rows.sort()  # by sequence
    return [SealedEvent(*row[1:]) for row in rows], [row[0] for row in rows]


def delete_events(connection: sqlite3.Connection, sequences: Sequence[int], *, purge_link: int) -> None:
    """Delete events, and record the link of their purge."""
    connection.executemany(
        "INSERT OR REPLACE INTO audit_purged VALUES (?, ?)", [(sequence, purge_link) for sequence in sequences]
    )
    connection.executemany("DELETE FROM audit_events WHERE sequence = ?", [(sequence,) for sequence in sequences])


def sqlite_chain_head(connection: sqlite3.Connection) -> ChainHead | None:
    """Return the head of the chain; None if it, or a table of the chain, is missing."""
    (tables,) = connection.execute(_TABLES).fetchone()
    row = connection.execute(SELECT_HEAD).fetchone() if tables == 3 else None
    return None if row is None else ChainHead(*row)


def read_sqlite_chunk(connection: sqlite3.Connection, *, after: ChainHead, window: Window) -> ChainChunk:
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
        row = connection.execute(SELECT_HEAD).fetchone()
        head = None if row is None else ChainHead(*row)
        has_more_events = head is not None and events > head.total - head.purged
        end = ChainEnd(head, events, newest, _unsealed(connection) if has_more_events else None)
    return ChainChunk(links, rows, purged, end)


def _unsealed(connection: sqlite3.Connection) -> tuple[int, str] | None:
    """Search for an event in no link."""
    manifests = connection.execute("SELECT manifest FROM audit_links WHERE kind = 'batch'")
    sealed = {sequence for (manifest,) in manifests if manifest for sequence in Manifest.unpack(manifest).sequences}
    events = connection.execute("SELECT sequence, event_id FROM audit_events ORDER BY sequence")
    return next(((sequence, event_id) for sequence, event_id in events if sequence not in sealed), None)


def _links(connection: sqlite3.Connection, after: ChainHead, window: Window) -> list[StoredLink]:
    rows = connection.execute(
        "SELECT number, kind, sealed_at, count, total, purged, digest, hash,"
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


def _lossy_text(text: bytes) -> str:
    return text.decode(errors="replace")
