"""What each filter, each pair of filters and a day's cases cost at a million events, and what an index would cost."""

import asyncio
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median

import httpx
import psycopg
from tests.benchmarks.datastorage_growth import BATCH, BEGIN, DAY, EVENTS, EVERY, SIZES, filled, moment, row, served
from tests.benchmarks.measure import Benchmark, Ratio, Table
from tests.support.datastorage_backends import opened
from tests.support.postgres_server import PostgresServer

CASES = "/api/v1/audit/cases"
ASKED = 5
WARM = 15
ROUNDS = 40
INDEXED = {
    "event_type": "gateway.signal.failed",
    "severity": "critical",
    "event_category": "controller",
    "event_outcome": "failure",
}
NAMES = {
    "namespace": "team-7",
    "resource_type": "StatefulSet",
    "resource_name": "service-42",
    "actor_id": "mira",
    "text": "service-42",
}
DETAIL = {"detail_key": "number", "detail_value": "3"}
FILTERS = {
    **{name: {name: value} for name, value in (INDEXED | NAMES).items()},
    "detail_key": DETAIL,
}
END = BEGIN + SIZES[-1] * EVERY
LAST_DAY = {"since": moment(END - DAY), "until": moment(END)}

NOTE = """\
Medians of {asked} questions over HTTP in milliseconds, SQLite / PostgreSQL, in a table of 1 000 000 events of 30 days
with 5 000 workloads in 20 namespaces: a page of 50 and the bounded total, for a filter alone (where a column meets its
own row), with another, within the last day, and for the cases of the last day. One workload has one event in 5 000.
The first four filters have an index. The others have none: an index on a member of the envelope is one on an
expression, which costs SQLite much more than an index on a plain column. The ratios with an index are the processor
time of inserts of {batch} events straight to the backend, in turn with a database without it, on SQLite. Run it on an
idle machine: each other process on the processors is in every figure.
Command: `python -m tests.benchmarks datastorage_questions`."""


@dataclass(frozen=True)
class Times:
    """Milliseconds of the questions to one database, by path and filters."""

    singles: dict[str, float]
    pairs: dict[tuple[str, str], float]
    of_a_day: dict[str, float]
    cases: dict[str, float]


def run() -> Benchmark:
    found: dict[str, Times] = {}
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/audit.db"
        asyncio.run(filled(url, 0, SIZES[-1]))
        found["SQLite"] = questions(url)
    with PostgresServer() as server:
        asyncio.run(filled(server.url(), 0, SIZES[-1]))
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE audit_events")  # as autovacuum does
        found["PostgreSQL"] = questions(server.url())
    return benchmark(found, index_costs())


def benchmark(found: dict[str, Times], costs: dict[str, float]) -> Benchmark:
    rows: list[list[str | float]] = [
        [
            first,
            *(_cell([_pair(times, first, second) for times in found.values()]) for second in FILTERS),
            _cell([times.of_a_day[first] for times in found.values()]),
            _cell([times.cases[first] for times in found.values()]),
        ]
        for first in FILTERS
    ]
    ratios = []
    for name, times in found.items():
        indexed = [_pair(times, a, b) or 0.0 for a, b in combinations(INDEXED, 2)]
        ratios += [
            Ratio(f"{name}: slowest filter with an index, ms", max(times.singles[a] for a in INDEXED), at_most=10),
            Ratio(f"{name}: slowest pair of them, ms", max(indexed), at_most=10),
            Ratio(f"{name}: slowest other filter within a day, ms", max(times.of_a_day[a] for a in NAMES)),
            Ratio(f"{name}: slowest other filter, ms", max(times.singles[a] for a in NAMES)),
            Ratio(f"{name}: detail_key, ms", times.singles["detail_key"], at_most=200),
            Ratio(f"{name}: the cases of a day, ms", times.cases["none"], at_most=200),
            Ratio(f"{name}: slowest filter of the cases of a day, ms", max(times.cases.values()), at_most=200),
        ]
    ratios += [Ratio(f"SQLite: inserts with {what} / without", cost) for what, cost in costs.items()]
    columns = ["filter", *FILTERS, "within a day", "cases of a day"]
    note = NOTE.format(asked=ASKED, batch=f"{BATCH:,}".replace(",", " "))
    return Benchmark("Every filter and pair of filters", ratios=ratios, table=Table(columns, rows), note=note)


def _cell(figures: list[float | None]) -> str:
    return " / ".join(f"{figure:.1f}" for figure in figures if figure is not None)


def _pair(times: Times, first: str, second: str) -> float | None:
    return times.singles[first] if first == second else times.pairs.get((first, second))


def questions(database: str) -> Times:
    """Ask every question of a filled database."""
    with served(database) as (_, url), httpx.Client(base_url=url, trust_env=False, timeout=60.0) as client:

        def ask(path: str, parameters: dict[str, str]) -> float:
            samples = []
            for _ in range(ASKED + 1):
                start = time.perf_counter()
                client.get(path, params=parameters).raise_for_status()
                samples.append((time.perf_counter() - start) * 1000)
            return median(samples[1:])

        case_questions: dict[str, dict[str, str]] = {"none": {}, **FILTERS}
        return Times(
            singles={name: ask(EVENTS, parameters) for name, parameters in FILTERS.items()},
            pairs={(a, b): ask(EVENTS, FILTERS[a] | FILTERS[b]) for a, b in combinations(FILTERS, 2)},
            of_a_day={name: ask(EVENTS, parameters | LAST_DAY) for name, parameters in FILTERS.items()},
            cases={name: ask(CASES, parameters | LAST_DAY) for name, parameters in case_questions.items()},
        )


_MEMBER = "envelope ->> '$.{}'"
_INDEXES = {
    "an index on length(event_outcome)": ["length(event_outcome)"],
    "an index on the namespace": [_MEMBER.format("namespace")],
    "indexes on namespace, resource and actor": [
        _MEMBER.format(name) for name in ("namespace", "resource_id", "actor_id")
    ],
}


def index_costs() -> dict[str, float]:
    """Return the processor time of an insert with indexes on expressions, compared with one without, on SQLite."""
    with tempfile.TemporaryDirectory() as directory:
        paths = {what: Path(directory, f"{number}.db") for number, what in enumerate(["none", *_INDEXES])}
        seconds = asyncio.run(_inserted(paths))
    return {what: median(seconds[what]) / median(seconds["none"]) for what in _INDEXES}


async def _inserted(paths: dict[str, Path]) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {what: [] for what in paths}
    for what, path in paths.items():
        async with opened(f"sqlite:///{path}"):
            pass  # the schema
        with closing(sqlite3.connect(path)) as connection:
            for number, statement in enumerate(_create(what)):
                connection.execute(statement.format(number))
    async with AsyncExitStack() as stack:
        backends = {what: await stack.enter_async_context(opened(f"sqlite:///{path}")) for what, path in paths.items()}
        for turn in range(WARM + ROUNDS):
            for what in random.sample(list(backends), len(backends)):
                rows = [row(number) for number in range(turn * BATCH, (turn + 1) * BATCH)]
                begin = time.process_time()
                await backends[what].insert(rows)
                if turn >= WARM:
                    seconds[what].append(time.process_time() - begin)
    return seconds


def _create(what: str) -> Iterator[str]:
    for expression in _INDEXES.get(what, []):
        yield f"CREATE INDEX further_{{}} ON audit_events ({expression}, event_timestamp)"
