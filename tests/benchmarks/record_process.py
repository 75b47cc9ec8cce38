"""One process of the record-cost benchmark: one way to receive events, as nanoseconds in JSON.

    python -m tests.benchmarks.record_process cost spool
    python -m tests.benchmarks.record_process calls spool_delivering

What goes in is made before the clock starts and put out of the garbage collector's reach; the collector stays on.
"""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.audit_events import duplicates
from tests.benchmarks.receivers import WAYS, Receiver
from tests.benchmarks.settling import settle

WARM_BURSTS = 2
BURSTS = 6
DIFFERENT = 400  # what was just made is in the processor's cache; thousands of events wouldn't be
CALLS = 50_000


def cost(way: str, directory: Path) -> dict[str, Any]:
    """Return nanoseconds per event, a figure for each burst, and the share of events that were lost, by threads."""
    open_way, count = WAYS[way]
    found: dict[str, Any] = {}
    # a sink that checks ids wants each event once
    different = count if way == "spool_delivering" else min(count, DIFFERENT)
    with open_way(duplicates(different), directory) as receiver:
        settle()
        given = lost = 0
        for threads in (1, 4):
            bursts = []
            for _ in range(WARM_BURSTS + BURSTS):
                bursts.append(_burst(receiver, threads, turns=count // different))
                receiver.drain()
                given += count
            found[str(threads)] = {
                "ns": bursts[WARM_BURSTS:],
                "lost": (receiver.lost(given) - lost) / (count * len(bursts)),
            }
            lost = receiver.lost(given)
    return found


def _burst(receiver: Receiver, threads: int, *, turns: int) -> float:
    """Hand over everything so many times: wall time by events, however many threads there are."""
    share = len(receiver.items) // threads  # neighbours in memory stay with one thread
    starts: list[int] = []
    ends: list[int] = []
    barrier = threading.Barrier(threads, action=lambda: starts.append(time.perf_counter_ns()))

    def hand_over(items: Sequence[Any]) -> None:
        receive = receiver.receive
        barrier.wait()
        for _ in range(turns):
            for item in items:
                receive(item)
        ends.append(time.perf_counter_ns())

    workers = [
        threading.Thread(target=hand_over, args=(receiver.items[first : first + share],))
        for first in range(0, len(receiver.items), share)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(ends) == threads, "a thread failed"
    return (max(ends) - starts[0]) / len(receiver.items) / turns


def calls(way: str, directory: Path) -> dict[str, Any]:
    """Return the quantiles of single calls in nanoseconds, less what the timer itself takes."""
    open_way, _ = WAYS[way]
    with open_way(duplicates(CALLS), directory) as receiver:
        settle()
        clock, receive = time.perf_counter_ns, receiver.receive
        timer = median(-clock() + clock() for _ in range(10_000))
        durations = []
        for item in receiver.items:
            start = clock()
            receive(item)
            durations.append(clock() - start)
        delivered = receiver.receive.__self__.stats.delivered  # type: ignore[attr-defined] # a store's record
        receiver.drain()
    durations.sort()
    quantiles = {name: durations[int(CALLS * share)] - timer for name, share in (("p50", 0.5), ("p99.9", 0.999))}
    return quantiles | {"max": durations[-1] - timer, "delivered": delivered}


if __name__ == "__main__":
    kind, name = sys.argv[1:]
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps({"cost": cost, "calls": calls}[kind](name, Path(temporary))))
