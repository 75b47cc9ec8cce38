"""What it costs to record an event: ours beside OpenTelemetry, logging, queues and SQLite, with 1 and 4 threads."""

from dataclasses import dataclass
from typing import Any

from tests.benchmarks.audit_events import duplicates, wire_bytes
from tests.benchmarks.measure import Benchmark, Ratio, Series, Table
from tests.benchmarks.processes import figures_of
from tests.benchmarks.record_process import DIFFERENT

ROUNDS = 5
MODULE = "tests.benchmarks.record_process"
PICTURE = "images/record-cost.svg"


@dataclass(frozen=True)
class Way:
    """One way to take events.

    Attributes:
        title: What is called.
        survives: Whether an event that was taken survives the death of the process.
    """

    title: str
    survives: bool


WAYS = {
    "spool": Way("record(), crash-safe, server down", survives=True),
    "spool_delivering": Way("record(), crash-safe, delivering", survives=True),
    "memory": Way("record(), in memory, server down", survives=False),
    "queue": Way("queue.Queue.put_nowait", survives=False),
    "otel_on_emit": Way("OpenTelemetry on_emit", survives=False),
    "otel_emit": Way("OpenTelemetry Logger.emit", survives=False),
    "queue_handler": Way("logging, QueueHandler", survives=False),
    "sqlite_normal": Way("SQLite, WAL, NORMAL", survives=True),
    "sqlite_full": Way("SQLite, WAL, FULL", survives=True),
    "persist_queue_file": Way("persist-queue, Queue", survives=True),
    "persist_queue_sqlite": Way("persist-queue, SQLiteQueue", survives=True),
}
CALLS = {"spool": "record(), server down", "spool_delivering": "record(), delivering"}

NOTE = """\
Nanoseconds for one event: wall time by events, medians. Each way ran {rounds} times in turn with the others, each time
in a process of its own, in bursts of {burst} events (SQLite NORMAL 4 000; FULL and persist-queue 200). Between bursts
it was emptied, off the clock; a store whose server is down kept all. What went in was made before: {different} events
as a gateway makes them for duplicates, {size} bytes as JSON, over and over (but for the server that checks ids): like
one that was just made, they are in the processor's cache. A store got the AuditEvent, OpenTelemetry the same as a log
record, a queue the object; SQLite and persist-queue encoded it. The last column says what OpenTelemetry lost at its
defaults, its exporter doing nothing.

The single calls were timed one by one, {calls} in a burst at full speed, less the timer's own time."""


def run() -> Benchmark:
    rounds = [{way: figures_of(MODULE, "cost", way) for way in WAYS} for _ in range(ROUNDS)]
    calls = [{way: figures_of(MODULE, "calls", way) for way in CALLS} for _ in range(ROUNDS)]

    series = {(way, threads): _series(rounds, way, threads) for way in WAYS for threads in (1, 4)}
    medians = {key: one.median for key, one in series.items()}
    ours = medians["spool", 1]
    slowest_of_thousand = _calls(calls, "spool_delivering", "p99.9")
    unsent = sum(not one["spool_delivering"]["delivered"] for one in calls)
    return Benchmark(
        "The cost of recording one event",
        [_calls(calls, way, quantile) for way in CALLS for quantile in ("p50", "p99.9")],
        [
            Ratio("record(), crash-safe, 1 thread, µs", ours / 1000, at_most=2.0),
            Ratio("record(), crash-safe, 4 threads, µs", medians["spool", 4] / 1000, at_most=2.0),
            Ratio("record(), delivering, p99.9, µs", slowest_of_thousand.median, at_most=60.0),
            Ratio("runs of it in which nothing was delivered meanwhile", unsent, at_most=0),
            Ratio("OpenTelemetry on_emit / record()", medians["otel_on_emit", 1] / ours, at_least=1.5),
            Ratio("OpenTelemetry Logger.emit / record()", medians["otel_emit", 1] / ours, at_least=8),
            *(
                Ratio(f"{WAYS[way].title} / record()", medians[way, 1] / ours)
                for way in ("queue", "queue_handler", "sqlite_normal", "sqlite_full", "persist_queue_sqlite")
            ),
        ],
        table=Table(
            [
                "way to take an event",
                "survives kill -9",
                "1 thread, ns",
                "1 thread, 10 % … 90 %",
                "4 threads, ns",
                "4 threads, 10 % … 90 %",
                "lost, 1 / 4 threads",
            ],
            [_row(series, rounds, way) for way in WAYS],
        ),
        raw=list(series.values()),
        note=NOTE.format(
            rounds=ROUNDS, burst="10 000", size=wire_bytes(duplicates(100)), different=DIFFERENT, calls="50 000"
        ),
        picture=PICTURE,
    )


def _series(rounds: list[dict[str, Any]], way: str, threads: int) -> Series:
    samples = [sample for one in rounds for sample in one[way][str(threads)]["ns"]]
    return Series(f"{WAYS[way].title}, {threads} thread{'s' * (threads > 1)}", "ns", samples)


def _calls(rounds: list[dict[str, Any]], way: str, quantile: str) -> Series:
    return Series(f"{CALLS[way]}, {quantile} of its calls", "µs", [one[way][quantile] / 1000 for one in rounds])


def _row(series: dict[tuple[str, int], Series], rounds: list[dict[str, Any]], way: str) -> list[str | float]:
    row: list[str | float] = [WAYS[way].title, "yes" if WAYS[way].survives else "no"]
    lost = []
    for threads in (1, 4):
        one = series[way, threads]
        row += [round(one.median), " … ".join(f"{tenth:.0f}" for tenth in one.spread)]
        lost.append(sum(single[way][str(threads)]["lost"] for single in rounds) / len(rounds))
    return [*row, " / ".join(f"{share:.1%}" for share in lost)]
