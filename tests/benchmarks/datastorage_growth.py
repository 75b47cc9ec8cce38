"""What queries, inserts and an export cost as the table grows, on both databases."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median

import httpx
from tests.benchmarks.measure import Benchmark, Ratio, Table
from tests.benchmarks.processes import started
from tests.support.postgres_server import PostgresServer

from signal_gateway.audit.event import new_event_id
from signal_gateway.datastorage.backend import EventRow
from signal_gateway.datastorage.database import backend_for

SIZES = (10_000, 100_000, 1_000_000)
BATCH = 1000
TIMED_BATCHES = 10
ASKED = 9
MICROSECONDS = 1_000_000
DAY = 24 * 3600 * MICROSECONDS
BEGIN = 1_780_000_000 * MICROSECONDS
EVERY = 30 * DAY // SIZES[-1]
MIB = 1024 * 1024
EVENTS_PER_CORRELATION = 5
TYPES = ("received", "created", "deduplicated", "failed", "rejected", "resolved")
SEVERITIES = ("critical", "warning", "warning", "warning", "info", "info", None)
WORKLOADS = 5_000
NAMESPACES = tuple(f"team-{number}" for number in range(20))
KINDS = ("Deployment", "Deployment", "StatefulSet", "DaemonSet", "Node")
ALERTS = ("HighLatency", "PodCrashLooping", "KubeNodePressure", "HighErrorRate", "DiskFull", "CertificateExpiry", "Lag")
PEOPLE = ("mira", "jonas", "ops@example.org", "release-bot")
EVENTS = "/api/v1/audit/events"

NOTE = """\
A table of so many events of about 650 bytes as JSON, one each 2.6 seconds of 30 days; {asked} questions of each kind on
one connection to a DataStorage in a process of its own, medians in milliseconds. Each answer has a page of 50 and the
total, for which at most 10 000 events are read. Inserts are batches of {batch} straight to the backend, each committed
to the disk. An export reads the whole table over HTTP; its memory is the most that the process had meanwhile, more than
before."""


@dataclass(frozen=True)
class Question:
    """One kind of query.

    Attributes:
        title: For the table.
        parameters: Of the URL.
    """

    title: str
    parameters: dict[str, str]


def moment(microseconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(microseconds // MICROSECONDS))


def _correlation_id(number: int) -> str:
    """Name a RemediationRequest: neighbours in time have nothing in common."""
    digits = sha256(str(number).encode()).hexdigest()
    return f"rr-{digits[:12]}-{digits[12:20]}"


HOUR = {"since": moment(BEGIN + DAY // 12), "until": moment(BEGIN + DAY // 8)}
QUESTIONS = (
    Question("the newest", {}),
    Question("correlation_id", {"correlation_id": _correlation_id(42)}),
    Question("event_type", {"event_type": "gateway.signal.failed"}),
    Question("event_category", {"event_category": "controller"}),
    Question("event_outcome, rare", {"event_outcome": "failure"}),
    Question("event_outcome, common", {"event_outcome": "success"}),
    Question("severity", {"severity": "critical"}),
    Question("since and until, an hour", HOUR),
    Question("detail within that hour", {**HOUR, "detail_key": "number", "detail_value": "3"}),
    Question("offset of 5 000", {"offset": "5000"}),
)


def run() -> Benchmark:
    found: dict[str, dict[int, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as directory:
        found["SQLite"] = _grown(f"sqlite:///{directory}/audit.db")
    with PostgresServer() as server:
        found["PostgreSQL"] = _grown(server.url())

    ratios = []
    for name, sizes in found.items():
        small, large = sizes[SIZES[0]], sizes[SIZES[-1]]
        rarest, inserts = (large[what] / small[what] for what in ("correlation_id", INSERTS))
        ratios += [
            Ratio(f"{name}: correlation_id at 1 000 000 / at 10 000", rarest, at_most=3),
            Ratio(f"{name}: inserts at 1 000 000 / at 10 000", inserts),
            Ratio(f"{name}: memory of an export of 1 000 000, MiB", large[MEMORY], at_most=32),
        ]
    rows: list[list[str | float]] = [
        [name, what, *(_shown(found[name][size][what]) for size in SIZES)]
        for name in found
        for what in found[name][SIZES[0]]
    ]
    columns = ["database", "what", *(f"{size:,} events".replace(",", " ") for size in SIZES)]
    return Benchmark(
        "DataStorage as its table grows",
        ratios=ratios,
        table=Table(columns, rows),
        note=NOTE.format(asked=ASKED, batch=f"{BATCH:,}".replace(",", " ")),
    )


INSERTS = "inserts, events/s"
MEMORY = "an export's memory, MiB"
EXPORTED = "export, events/s"


def _shown(figure: float) -> str:
    return f"{figure:,.0f}".replace(",", " ") if figure >= 100 else f"{figure:.1f}"


def _grown(database: str) -> dict[int, dict[str, float]]:
    found = {}
    size = 0
    for wanted in SIZES:
        rate = asyncio.run(filled(database, size, wanted))
        size = wanted
        with served(database) as (pid, url):
            found[wanted] = {**_asked(url), INSERTS: rate, **_exported(pid, url, wanted)}
    return found


async def filled(database: str, begin: int, end: int) -> float:
    """Insert events up to a number; return the rate of the last batches."""
    backend = backend_for(database)
    seconds = []
    await backend.open()
    try:
        for first in range(begin, end, BATCH):
            rows = [row(number) for number in range(first, first + BATCH)]
            start = time.perf_counter()
            await backend.insert(rows)
            seconds.append(time.perf_counter() - start)
    finally:
        await backend.close()
    return BATCH / median(seconds[-TIMED_BATCHES:])


def row(number: int) -> EventRow:
    event_id = new_event_id()
    case = number // EVENTS_PER_CORRELATION
    correlation_id = _correlation_id(case)
    workload = f"service-{case * 7 % WORKLOADS}"
    namespace, kind, alert = (names[case * 7 % WORKLOADS % len(names)] for names in (NAMESPACES, KINDS, ALERTS))
    actor = PEOPLE[case // 10 % len(PEOPLE)] if case % 10 == 0 else "prometheus"
    event_type = f"gateway.signal.{TYPES[number % len(TYPES)]}"
    category = "controller" if number % 11 == 0 else "gateway"
    outcome = "failure" if number % 9 == 0 else "pending" if number % 9 == 1 else "success"
    severity = SEVERITIES[number % len(SEVERITIES)]
    happened = BEGIN + number * EVERY
    envelope = (
        f'{{"version":"1.0","event_id":"{event_id}","event_type":"{event_type}",'
        f'"event_timestamp":"{moment(happened)}","event_category":"{category}","event_action":"received",'
        f'"event_outcome":"{outcome}","correlation_id":"{correlation_id}","actor_type":"external",'
        f'"actor_id":"{actor}","resource_type":"{kind}","resource_id":"{namespace}/{workload}",'
        f'"namespace":"{namespace}"}}'
    )
    data = (
        f'{{"event_type":"{event_type}","signal_name":"{alert}","fingerprint":"{case:064x}",'
        f'"remediation_request":"prod/{correlation_id}","number":{number % 4}}}'
    )
    return EventRow(
        event_id=event_id,
        event_timestamp=happened,
        received_at=happened,
        event_type=event_type,
        event_category=category,
        event_outcome=outcome,
        correlation_id=correlation_id,
        severity=severity,
        expires_at=None,
        envelope=envelope,
        event_data=data,
    )


@contextmanager
def served(database: str) -> Iterator[tuple[int, str]]:
    command = ["signal_gateway", "datastorage", "--database", database, "--listen", "127.0.0.1:0"]
    with started(*command) as (process, line):
        yield process.pid, line.removeprefix("DataStorage on ").partition(",")[0]


def _asked(url: str) -> dict[str, float]:
    """Return the milliseconds of each question."""
    found = {}
    with httpx.Client(base_url=url, trust_env=False, timeout=60.0) as client:
        for question in QUESTIONS:
            samples = []
            for _ in range(ASKED + 1):
                start = time.perf_counter()
                answer = client.get(EVENTS, params=question.parameters)
                samples.append((time.perf_counter() - start) * 1000)
                if not answer.raise_for_status().json()["data"]:
                    raise SystemExit(f"{question.title}: nothing was found")
            found[question.title] = median(samples[1:])
    return found


def _exported(pid: int, url: str, size: int) -> dict[str, float]:
    """Return the rate of an export of everything, and the memory that it took at its peak, in MiB."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # its peak begins anew
    before = _peak_bytes(pid)
    lines = 0
    start = time.perf_counter()
    with httpx.stream("GET", f"{url}/api/v1/audit/export", trust_env=False, timeout=60.0) as answer:
        for chunk in answer.raise_for_status().iter_bytes():
            lines += chunk.count(b"\n")
    seconds = time.perf_counter() - start
    if lines != size:
        raise SystemExit(f"the export had {lines} of {size} events")
    return {EXPORTED: lines / seconds, MEMORY: (_peak_bytes(pid) - before) / MIB}


def _peak_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("this kernel doesn't tell VmHWM")
