"""How soon a store knows the events of one that was killed, beside reading as many rows from an SQLite file.

python -m tests.benchmarks.spool_recovery record DIRECTORY
python -m tests.benchmarks.spool_recovery adopt DIRECTORY
python -m tests.benchmarks.spool_recovery read DIRECTORY
"""

import json
import signal
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.audit_events import duplicates
from tests.benchmarks.audit_store import crash_safe_store
from tests.benchmarks.measure import Benchmark, Ratio, Series
from tests.benchmarks.processes import figures_of, started
from tests.benchmarks.sinks import nobody

EVENTS = 100_000
CHUNK = 1000
ROUNDS = 5
MODULE = "tests.benchmarks.spool_recovery"
DEADLINE = 60.0
POLL = 0.0002

NOTE = """\
A process records 100 000 events, its server being down, and is killed with SIGKILL. A second one opens a store on the
same directory: the time is from before its constructor until its `stats` show every one of them. Beside it, a queue of
the same events in a plain SQLite file: from opening that until each row was fetched."""


def run() -> Benchmark:
    adopted, read = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as directory:
            with started(MODULE, "record", directory) as (process, _line):
                process.send_signal(signal.SIGKILL)
                process.wait()
            read.append(figures_of(MODULE, "read", directory))
            adopted.append(figures_of(MODULE, "adopt", directory))
    ours = Series("a store that adopts them", "ms", adopted)
    peer = Series("SQLite, every row fetched", "ms", read)
    return Benchmark(
        "Recovery of 100 000 events of a killed process",
        [ours, peer],
        [
            Ratio("recovery in ms", ours.median, at_most=100),
            Ratio("SQLite / recovery", peer.median / ours.median),
        ],
        note=NOTE,
    )


def record(directory: Path) -> None:
    """Record the events here and in SQLite, say so, and wait to be killed."""
    connection = sqlite3.connect(directory / "queue.db")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE queue (id INTEGER PRIMARY KEY, event BLOB)")
    with nobody() as url:
        store = crash_safe_store(url, directory / "spool")
        for _ in range(0, EVENTS, CHUNK):
            events = duplicates(CHUNK)
            for event in events:
                store.record(event)
            with connection:
                connection.executemany("INSERT INTO queue (event) VALUES (?)", [(event.to_wire(),) for event in events])
        print("recorded", flush=True)
        signal.pause()


def adopt(directory: Path) -> float:
    """Return the milliseconds until a new store shows the events."""
    with nobody() as url:
        start = time.perf_counter()
        store = crash_safe_store(url, directory / "spool")
        while (shown := store.stats.recovered.pending + store.stats.recovered.delivered) != EVENTS:
            if time.perf_counter() - start > DEADLINE:
                raise SystemExit(f"{shown} of {EVENTS} events were adopted")
            time.sleep(POLL)  # gives the GIL to whoever adopts
        taken = time.perf_counter() - start
        store.close(0.0)
    return taken * 1000


def read(directory: Path) -> float:
    """Return the milliseconds until every row was fetched."""
    start = time.perf_counter()
    connection = sqlite3.connect(directory / "queue.db")
    rows = connection.execute("SELECT id, event FROM queue ORDER BY id").fetchall()
    taken = time.perf_counter() - start
    if len(rows) != EVENTS:
        raise SystemExit(f"{len(rows)} of {EVENTS} rows were found")
    return taken * 1000


if __name__ == "__main__":
    what, folder = sys.argv[1:]
    if what == "record":
        record(Path(folder))
    else:
        print(json.dumps({"adopt": adopt, "read": read}[what](Path(folder))))
