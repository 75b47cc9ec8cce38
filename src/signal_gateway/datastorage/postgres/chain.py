"""The chain of links in a PostgreSQL database: its start, new links, purges, and reading it in chunks.

Every function runs inside a transaction of the caller. The row of the head is locked last of all rows of an insert, so
an insert never waits for another one's rows while others wait for its lock.
"""

from hashlib import sha256
from uuid import uuid4

import psycopg
from psycopg.rows import TupleRow

from signal_gateway.datastorage.backend import CHAIN_COLUMNS, MISSING_HEAD, BackendUnavailable
from signal_gateway.datastorage.integrity.link import ChainHead, Link, Manifest, Seal, SealedEvent, event_hashes
from signal_gateway.datastorage.integrity.verification import ChainChunk, ChainEnd, StoredLink, Window

__all__ = ["append", "lock_head", "postgres_chain_head", "purge_events", "read_postgres_chunk", "start_postgres_chain"]

_EVENTS_PER_LINK = 1000
_EVENTS_PER_CHUNK = 2000
_LINKS_PER_CHUNK = 500
_EARLIEST, _LATEST = -(2**63), 2**63 - 1

_HEAD = "SELECT datastorage, number, total, purged, hash FROM audit_chain"
_TABLES = """
SELECT num_nulls(to_regclass('audit_chain'), to_regclass('audit_links'), to_regclass('audit_purged')) = 0
"""
_STORED = "event_id::text, received_at, expires_at, envelope, event_data"
_ROWS = ", ".join("event_id::text" if column == "event_id" else column for column in CHAIN_COLUMNS)

# One statement locks the head, computes the hash as `Link.expected_hash` does, and adds the link: a second round trip
# would lengthen the time of the lock. READ COMMITTED evaluates the expressions with the newest version of the row.
_APPEND = b"""
WITH head AS (
    UPDATE audit_chain SET
        number = number + 1,
        total = total + %(stored)b::bigint,
        purged = purged + %(purged)b::bigint,
        hash = sha256(
            '\\x01'::bytea || convert_to(
                concat_ws(' ', number + 1, %(kind)b::text, %(sealed_at)b::bigint, %(count)b::bigint,
                    total + %(stored)b::bigint, purged + %(purged)b::bigint) || chr(10), 'UTF8'
            ) || %(digest)b::bytea || hash
        )
    RETURNING *
)
INSERT INTO audit_links (number, kind, sealed_at, count, total, purged, digest, hash, manifest)
SELECT head.number, %(kind)b::text, %(sealed_at)b::bigint, %(count)b::bigint, head.total, head.purged,
    %(digest)b::bytea, head.hash, %(manifest)b::bytea
FROM head
RETURNING number
"""
_LOCK_HEAD = "SELECT number FROM audit_chain FOR UPDATE"

_LINKS = b"""
SELECT number, kind, sealed_at, count, total, purged, digest, hash,
    CASE WHEN kind = 'batch' AND sealed_at BETWEEN %b AND %b THEN manifest END
FROM audit_links WHERE number > %b AND (number = %b OR total + purged <= %b) ORDER BY number LIMIT %b
"""

_EXPIRED = f"""
SELECT sequence, {_STORED} FROM audit_events WHERE event_id = ANY (ARRAY(
    SELECT event_id FROM audit_events
    WHERE expires_at <= %b AND correlation_id NOT IN (SELECT correlation_id FROM audit_holds)
    ORDER BY expires_at LIMIT %b FOR UPDATE SKIP LOCKED
)) ORDER BY sequence
""".encode()

_RECORD_PURGE = b"""
INSERT INTO audit_purged SELECT sequence, %b FROM unnest(%b::bigint[]) AS sequence
ON CONFLICT (sequence) DO UPDATE SET link = EXCLUDED.link
"""


# Only for a database with too many events. The sequences are the last part of a manifest; OFFSET 0 reads it once.
_UNSEALED = b"""
SELECT sequence, event_id::text FROM audit_events WHERE sequence = (
    SELECT min(sequence) FROM (
        SELECT sequence FROM audit_events EXCEPT
        SELECT ('x' || encode(substr(sequences, 8 * place + 1, 8), 'hex'))::bit(64)::bigint
        FROM (SELECT count, substr(manifest, 56 * count::integer + 1) AS sequences
            FROM audit_links WHERE kind = 'batch' OFFSET 0) AS batches,
            generate_series(0, count::integer - 1) AS place
    ) AS unsealed
)
"""


def start_postgres_chain(connection: psycopg.Connection[TupleRow]) -> None:
    """Create the head, and seal the stored events in the order of storage."""
    head = ChainHead.start(str(uuid4()))
    connection.execute(
        "INSERT INTO audit_chain VALUES (1, %s, %s, %s, %s, %s)",
        [head.datastorage, head.number, head.total, head.purged, head.hash],
    )
    with connection.cursor(name="stored_events") as rows:
        rows.execute(f"SELECT sequence, {_STORED} FROM audit_events ORDER BY sequence".encode())
        while some := rows.fetchmany(_EVENTS_PER_LINK):
            events = [SealedEvent(*row[1:]) for row in some]
            seal = Seal.of_batch(events, event_hashes(events), [row[0] for row in some])
            connection.execute(_APPEND, _parameters(seal))


async def append(connection: psycopg.AsyncConnection[TupleRow], seal: Seal) -> int:
    """Add a link and return its number. Other writers wait from here to the commit.

    Args:
        connection: The connection of the transaction that inserted or deletes the events.
        seal: The seal of the events.

    Raises:
        BackendUnavailable: The head is missing.
    """
    row = await (await connection.execute(_APPEND, _parameters(seal))).fetchone()
    if row is None:
        raise BackendUnavailable(MISSING_HEAD)
    number: int = row[0]
    return number


async def lock_head(connection: psycopg.AsyncConnection[TupleRow]) -> None:
    """Lock the head before anything else, so that purges, holds and releases run one after the other."""
    await connection.execute(_LOCK_HEAD)


async def purge_events(connection: psycopg.AsyncConnection[TupleRow], *, now: int, limit: int) -> int:
    """Delete expired events that are not on hold, and add the link of the purge; return their number."""
    # the lock comes first: a hold that is committed before has its effect
    await lock_head(connection)
    rows = await (await connection.execute(_EXPIRED, [now, limit])).fetchall()
    if not rows:
        return 0
    events, sequences = [SealedEvent(*row[1:]) for row in rows], [row[0] for row in rows]
    number = await append(connection, Seal.of_batch(events, event_hashes(events), sequences).as_purge(now=now))
    await connection.execute(_RECORD_PURGE, [number, sequences])
    await connection.execute("DELETE FROM audit_events WHERE event_id = ANY (%s::uuid[])", [[row[1] for row in rows]])
    return len(rows)


async def postgres_chain_head(connection: psycopg.AsyncConnection[TupleRow]) -> ChainHead | None:
    """Return the head of the chain; None if it, or a table of the chain, is missing."""
    ((tables,),) = await (await connection.execute(_TABLES)).fetchall()
    row = await (await connection.execute(_HEAD)).fetchone() if tables else None
    return None if row is None else ChainHead(*row)


async def read_postgres_chunk(
    connection: psycopg.AsyncConnection[TupleRow], *, after: ChainHead, window: Window
) -> ChainChunk:
    """Return the next links with their rows; see `Backend.read_chain`."""
    links = await _links(connection, after, window)
    manifests = [Manifest.unpack(stored.manifest) for stored in links if stored.manifest]
    rows: list[TupleRow] = []
    purged: dict[int, int] = {}
    if manifests:
        ids = [event_id for manifest in manifests for event_id in manifest.event_ids]
        sequences = [sequence for manifest in manifests for sequence in manifest.sequences]
        found = await connection.execute(
            f"SELECT {_ROWS} FROM audit_events WHERE event_id = ANY (%s::uuid[])".encode(), [ids]
        )
        rows = await found.fetchall()
        gone = await connection.execute(
            "SELECT sequence, link FROM audit_purged WHERE sequence = ANY (%s)", [sequences]
        )
        purged = dict(await gone.fetchall())

    last = links[-1].link.number if links else after.number
    ((newest_link,),) = await (await connection.execute("SELECT coalesce(max(number), 0) FROM audit_links")).fetchall()
    end = None
    if newest_link <= last or not links:
        ((events, newest),) = await (
            await connection.execute("SELECT count(*), coalesce(max(sequence), 0) FROM audit_events")
        ).fetchall()
        row = await (await connection.execute(_HEAD)).fetchone()
        head = None if row is None else ChainHead(*row)
        has_more_events = head is not None and events > head.total - head.purged
        end = ChainEnd(head, events, newest, await _unsealed(connection) if has_more_events else None)
    return ChainChunk(links, rows, purged, end)


async def _unsealed(connection: psycopg.AsyncConnection[TupleRow]) -> tuple[int, str] | None:
    """Search for an event in no link; None if the search takes too long."""
    try:
        async with connection.transaction():  # a savepoint
            return await (await connection.execute(_UNSEALED)).fetchone()
    except psycopg.errors.QueryCanceled:
        return None


async def _links(connection: psycopg.AsyncConnection[TupleRow], after: ChainHead, window: Window) -> list[StoredLink]:
    rows = await connection.execute(
        _LINKS,
        [
            _EARLIEST if window.since is None else window.since,
            _LATEST if window.until is None else window.until,
            after.number,
            after.number + 1,
            after.total + after.purged + _EVENTS_PER_CHUNK,
            _LINKS_PER_CHUNK,
        ],
    )
    return [StoredLink(Link(*row[:-1]), row[-1]) for row in await rows.fetchall()]


def _parameters(seal: Seal) -> dict[str, object]:
    is_batch = seal.kind == "batch"
    return {
        "stored": seal.count if is_batch else 0,
        "purged": 0 if is_batch else seal.count,
        "kind": seal.kind,
        "sealed_at": seal.sealed_at,
        "count": seal.count,
        "digest": sha256(seal.manifest).digest(),
        "manifest": seal.manifest if is_batch else None,
    }
