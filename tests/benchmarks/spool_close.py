"""How long `close` takes: with the server up, refusing connections, and taking requests without an answer.

python -m tests.benchmarks.spool_close validating_sink 5.0
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks import sinks
from tests.benchmarks.audit_events import duplicates
from tests.benchmarks.audit_store import crash_safe_store
from tests.benchmarks.measure import Benchmark, Ratio, Series
from tests.benchmarks.processes import figures_of

ROUNDS = 25
EVENTS = 100
UP, DOWN = 5.0, 0.25
MODULE = "tests.benchmarks.spool_close"

NOTE = """\
A crash-safe store takes 100 events and is closed at once. The server that is down refuses connections, the silent one
takes the request and never answers. What is left stays in the spool for the next store."""


def run() -> Benchmark:
    up = Series("server up", "ms", figures_of(MODULE, "validating_sink", UP))
    down = Series(f"server down, beyond the timeout of {DOWN} s", "ms", figures_of(MODULE, "nobody", DOWN))
    silent = Series(f"server silent, beyond the timeout of {DOWN} s", "ms", figures_of(MODULE, "silence", DOWN))
    return Benchmark(
        "close() with 100 events pending",
        [up, down, silent],
        [
            Ratio("close in ms, server up", up.median, at_most=50),
            Ratio("ms beyond its timeout, server down", down.median, at_most=50),
            Ratio("ms beyond its timeout, server silent", silent.median, at_most=50),
        ],
        note=NOTE,
    )


def measured(server: str, timeout: float) -> list[float]:
    """Return the milliseconds of each round; a timeout that was used up is taken off."""
    found = []
    with getattr(sinks, server)() as url:
        for _ in range(ROUNDS):
            events = duplicates(EVENTS)
            with tempfile.TemporaryDirectory() as directory:
                store = crash_safe_store(url, Path(directory))
                for event in events:
                    store.record(event)
                start = time.perf_counter()
                result = store.close(timeout)
                taken = time.perf_counter() - start
            if result.ok != (server == "validating_sink"):
                raise SystemExit(f"close against {server}: {result}")
            found.append((taken - (0.0 if result.ok else timeout)) * 1000)
    return found


if __name__ == "__main__":
    kind, seconds = sys.argv[1:]
    print(json.dumps(measured(kind, float(seconds))))
