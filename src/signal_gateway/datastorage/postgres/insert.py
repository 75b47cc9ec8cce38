"""Inserts into PostgreSQL: one statement for a batch of new events, a transaction for a batch with duplicates."""

from collections.abc import Sequence

import psycopg
from psycopg.rows import TupleRow

from signal_gateway.datastorage.backend import Duplicate, EventRow, StoredRecord
from signal_gateway.datastorage.integrity.link import Seal, event_hashes, pack_events
from signal_gateway.datastorage.postgres.chain import append
from signal_gateway.datastorage.record import find_duplicates, first_of_each_id

__all__ = ["HasDuplicates", "insert_new", "insert_with_duplicates"]

Connection = psycopg.AsyncConnection[TupleRow]

_COLUMN_TYPES = {
    "event_id": "uuid",
    "event_timestamp": "bigint",
    "received_at": "bigint",
    "expires_at": "bigint",
}
_COLUMNS = ", ".join(EventRow._fields)
_ARRAYS = ", ".join(f"%({column})b::{_COLUMN_TYPES.get(column, 'text')}[]" for column in EventRow._fields)

# The inner SELECT numbers the events in the order of the batch: nextval is volatile, so the planner does not move it.
# The rows are inserted in the order of their ids: two batches with the same ids lock them in the same order, which
# prevents deadlocks.
_INSERTED = f"""
WITH inserted AS (
    INSERT INTO audit_events (sequence, {_COLUMNS})
    SELECT * FROM (
        SELECT nextval('audit_events_sequence'), batch.* FROM unnest({_ARRAYS}) AS batch ({_COLUMNS})
    ) AS numbered
    ORDER BY event_id
    ON CONFLICT (event_id) DO NOTHING
    RETURNING sequence, event_id
)
"""

_INSERT = f"{_INSERTED} SELECT event_id::text, sequence FROM inserted ORDER BY sequence".encode()

# Only the sequences of the manifest come from the database, so one statement does all. The head is locked when all rows
# are inserted. If a row is a duplicate, or there is no head, the number of the link is NULL: that error undoes the
# statement.
_INSERT_NEW = f"""
{_INSERTED}, packed AS MATERIALIZED (
    SELECT %(events)b::bytea || string_agg(int8send(sequence), '' ORDER BY sequence) AS manifest
    FROM inserted HAVING count(*) = %(count)b::bigint
), sealed AS MATERIALIZED (
    SELECT manifest, sha256(manifest) AS digest FROM packed
), head AS (
    UPDATE audit_chain SET
        number = number + 1,
        total = total + %(count)b::bigint,
        hash = sha256(
            '\\x01'::bytea || convert_to(
                concat_ws(' ', number + 1, 'batch', %(sealed_at)b::bigint, %(count)b::bigint,
                    total + %(count)b::bigint, purged) || chr(10), 'UTF8'
            ) || digest || hash
        )
    FROM sealed
    RETURNING audit_chain.*, digest, manifest
)
INSERT INTO audit_links (number, kind, sealed_at, count, total, purged, digest, hash, manifest)
SELECT head.number, 'batch', %(sealed_at)b::bigint, %(count)b::bigint, head.total, head.purged,
    head.digest, head.hash, head.manifest
FROM (SELECT) AS one LEFT JOIN head ON true
""".encode()


class HasDuplicates(Exception):  # noqa: N818 - chooses the other way to insert
    """Some events of a batch are stored already, or the head of the chain is missing. Nothing was stored."""


async def insert_new(connection: Connection, rows: Sequence[EventRow]) -> None:
    """Insert rows and their link, in one statement that commits by itself.

    Args:
        connection: A connection without a transaction.
        rows: At least one, with different ids.

    Raises:
        HasDuplicates: `insert_with_duplicates` is needed.
    """
    parameters = _parameters(rows) | {
        "count": len(rows),
        "sealed_at": max(row.received_at for row in rows),
        "events": pack_events(rows, event_hashes(rows)),
    }
    try:
        await connection.execute(_INSERT_NEW, parameters)
    except psycopg.errors.NotNullViolation as exc:
        raise HasDuplicates from exc


async def insert_with_duplicates(connection: Connection, rows: Sequence[EventRow]) -> Sequence[Duplicate]:
    """Insert the rows with a new id and their link, inside the transaction of the caller.

    Raises:
        BackendUnavailable: The head of the chain is missing.
    """
    first = first_of_each_id(rows)
    cursor = await connection.execute(_INSERT, _parameters(list(first.values())))
    sequences: dict[str, int] = dict(await cursor.fetchall())
    stored: dict[str, StoredRecord] = {}
    if sequences:
        new = [first[event_id] for event_id in sequences]
        await append(connection, Seal.of_batch(new, event_hashes(new), list(sequences.values())))
    if len(sequences) < len(first):
        stored = await _stored(connection, list(first.keys() - sequences.keys()))
    return find_duplicates(rows, first, stored)


def _parameters(rows: Sequence[EventRow]) -> dict[str, object]:
    return {name: list(column) for name, column in zip(EventRow._fields, zip(*rows, strict=True), strict=True)}


async def _stored(connection: Connection, ids: list[str]) -> dict[str, StoredRecord]:
    """Return the events with these ids, without those that were purged meanwhile."""
    columns = ", ".join(StoredRecord._fields)
    statement = f"SELECT event_id::text, {columns} FROM audit_events WHERE event_id = ANY (%b::uuid[])"
    rows = await (await connection.execute(statement.encode(), [ids])).fetchall()
    return {event_id: StoredRecord(*event) for event_id, *event in rows}
