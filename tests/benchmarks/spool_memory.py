"""What 100 000 events take up while their server is down: blocks of the spool's files, and the heap.

python -m tests.benchmarks.spool_memory
"""

import gc
import json
import tempfile
import tracemalloc
from pathlib import Path

from tests.benchmarks.audit_events import duplicates
from tests.benchmarks.audit_store import crash_safe_store
from tests.benchmarks.measure import Benchmark, Ratio, Series
from tests.benchmarks.processes import figures_of
from tests.benchmarks.sinks import nobody

EVENTS = 100_000
CHUNK = 1000
ROUNDS = 2
MIB = 1024 * 1024
DOWN = 0.5

NOTE = """\
The spool's files in whole blocks, which is the most page cache that they can have, and what Python's allocator holds
more than before (tracemalloc, after a collection). Before: the store is open and has tried in vain to deliver once."""


def run() -> Benchmark:
    found = [figures_of("tests.benchmarks.spool_memory") for _ in range(ROUNDS)]
    files = Series("the spool's files", "MiB", [one["files"] / MIB for one in found])
    heap = Series("the heap's growth", "MiB", [one["heap"] / MIB for one in found])
    payload = found[0]["payload"] / MIB
    return Benchmark(
        "100 000 events buffered, server down",
        [files, heap],
        [
            Ratio("the spool's files in MiB", files.median, at_most=100),
            Ratio("the heap's growth in MiB", heap.median, at_most=1.0),
            Ratio("the spool's files / the JSON in them", files.median / payload),
        ],
        note=NOTE,
    )


def measured(directory: Path) -> dict[str, int]:
    """Return the figures in bytes."""
    payload = 0
    with nobody() as url:
        store = crash_safe_store(url, directory)
        store.record(duplicates(1)[0])
        store.flush(DOWN)
        tracemalloc.start()
        before = _heap()
        for _ in range(0, EVENTS, CHUNK):
            events = duplicates(CHUNK)
            for event in events:
                store.record(event)
            payload += sum(len(event.to_wire()) for event in events)
        store.flush(DOWN)
        del events, event
        heap = _heap() - before
        tracemalloc.stop()
        if store.stats.pending != EVENTS + 1:
            raise SystemExit(f"{store.stats} of {EVENTS + 1}")
        files = sum(path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file())
        store.close(0.0)
    return {"files": files, "heap": heap, "payload": payload}


def _heap() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(measured(Path(temporary))))
