"""Signals per second through one gateway, beside the bare calls to Kubernetes and the barest server."""

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import yaml
from tests.benchmarks import bare_calls, processes, signal_load
from tests.benchmarks.cluster_process import ClusterProcess, cluster_process
from tests.benchmarks.measure import Benchmark, Ratio, Series, Table
from tests.benchmarks.sinks import datastorage

from signal_gateway.audit import DataStorageClient
from signal_gateway.gateway.config import DEFAULT_NAMESPACE
from signal_gateway.gateway.signals.signal import Target, fingerprint_of

ROUNDS = 5
LATE: Final = 0.005  # seconds added to each call
STORM = 10_000
STORM_IN_FLIGHT = 100  # max_concurrent_requests
CALLS_AT_ONCE = 64  # of a gateway
LOAD = "tests.benchmarks.signal_load"
CALLS = "tests.benchmarks.bare_calls"
APP = "tests.benchmarks.bare_app"
REQUESTS = f"/apis/kubernaut.ai/v1alpha1/namespaces/{DEFAULT_NAMESPACE}/remediationrequests"

NOTE = f"""\
`signal-gateway serve` with its defaults, the embedded Kubernetes API, DataStorage on SQLite and what sends the signals
are four processes, which share two cores. In turn with it the same calls were made to the same API by lightkube alone,
as many at once ({CALLS_AT_ONCE} for a batch, as a gateway does), and the same requests sent to a Starlette app on
uvicorn that reads the JSON and answers 201. Rates and ratios are medians of {ROUNDS} rounds; latencies are those of a
request, a batch of {signal_load.BATCH} being one, over all rounds. CPU is that of the whole process for a signal: its
answer, its calls, the watch that shows it each object again, its lines of log and the delivery of its events. A new
signal is about a Deployment of its own, which is looked up first; where the workload is known, it comes from a cluster
of its own.

What decides the budget of new signals is computing, not waiting: 32 in flight at {LATE * 1000:g} ms would be 6 400 a
second, for a client that computes 0.16 ms for a create. lightkube computes several times that. A gateway has the same
to compute and all the rest, as the ratio of CPU says, on two cores that four processes share.

In the storms 10 000 duplicates of one came {STORM_IN_FLIGHT} at a time, as many as may be in flight; the latency of a
patch is the median of bare ones, one after the other."""


@dataclass
class Case:
    """One row of the table.

    Attributes:
        kind: Of the signals, one of `signal_load.KINDS`.
        in_flight: Requests at once.
        requests: How many in a round.
        call: What is called for each signal, of `bare_calls.Calls`.
        late: Seconds added to each call.
        rates: Signals per second of each round.
        latencies: Milliseconds of each request.
        cpu: Milliseconds of the gateway's process for a signal, of each round.
        call_rates: Bare calls per second of each round.
        call_cpu: Milliseconds of the bare client's process for one, of each round.
        app_rates: Signals per second that the bare app took, of each round.
        calls: What the gateway called in all, by verb and resource.
    """

    kind: str
    in_flight: int
    requests: int
    call: str
    late: float = 0.0
    rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    call_rates: list[float] = field(default_factory=list)
    call_cpu: list[float] = field(default_factory=list)
    app_rates: list[float] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)

    @property
    def title(self) -> str:
        late = f", {self.late * 1000:g} ms added to each call" if self.late else ""
        return f"{self.kind.replace('_', ' ')}{late}"

    @property
    def is_batch(self) -> bool:
        return self.kind.startswith("batches")

    @property
    def signals(self) -> int:
        """How many in a round."""
        return self.requests * (signal_load.BATCH if self.is_batch else 1)

    @property
    def expected(self) -> dict[str, int]:
        """What its answers have to be, by status."""
        status = "207" if self.is_batch else "202" if "duplicates" in self.kind else "201"
        return {status: self.requests}

    @property
    def of_calls(self) -> float:
        return statistics.median(rate / bare for rate, bare in zip(self.rates, self.call_rates, strict=True))

    @property
    def of_app(self) -> float:
        return statistics.median(rate / bare for rate, bare in zip(self.rates, self.app_rates, strict=True))

    def calls_per_signal(self, call: str) -> float:
        return self.calls.get(call, 0) / (self.signals * ROUNDS)


@dataclass(frozen=True)
class Storm:
    """What a storm of duplicates of one came to.

    Attributes:
        seconds: How long it took.
        answered: How many were answered 202.
        occurrences: What the object says.
        patches: Writes of its status.
        patch_seconds: What one takes, alone.
    """

    seconds: float
    answered: int
    occurrences: int
    patches: int
    patch_seconds: float

    @property
    def patches_of_allowed(self) -> float:
        return self.patches / max(1.0, self.seconds / self.patch_seconds)


def cases() -> list[Case]:
    return [
        Case("new", 1, 200, "get_create"),
        Case("new", 32, 600, "get_create"),
        Case("new_of_known_workload", 1, 300, "create"),
        Case("new_of_known_workload", 32, 1000, "create"),
        Case("new_of_known_workload", 32, 1000, "create", late=LATE),
        Case("duplicates_of_one", 1, 300, "patch_one"),
        Case("duplicates_of_one", 32, 2000, "patch_one"),
        Case("duplicates_of_many", 1, 300, "patch_many"),
        Case("duplicates_of_many", 32, 1000, "patch_many"),
        Case("batches_of_new", 1, 4, "get_create"),
        Case("batches_of_new", 4, 8, "get_create"),
        Case("batches_of_duplicates", 1, 5, "patch_many"),
        Case("batches_of_duplicates", 4, 16, "patch_many"),
    ]


class Bench:
    """What is measured, and against what.

    Args:
        cluster: The Kubernetes API.
        app: URL of the bare app.
        gateway: URL of the gateway.
        pid: Of the gateway.
        log: What the gateway logs.
    """

    def __init__(self, cluster: ClusterProcess, *, app: str, gateway: str, pid: int, log: Path) -> None:
        self._cluster = cluster
        self._app = app
        self._gateway = gateway
        self._pid = pid
        self._log = log
        self._next = 0
        self.created = self.duplicates = 0

    def prepare(self) -> None:
        """Create what duplicates are duplicates of, and what bare calls patch, off the clock; all code is warm then."""
        self._cluster.do("namespace", bare_calls.NAMESPACE)
        for prefix, count in (("known", 1), ("one", 3), ("many", signal_load.MANY)):
            self._cluster.do("workloads", prefix, 0, count)
        processes.figures_of(CALLS, self._cluster.url, "prepare", 1, 1, 0)
        self._load("duplicates_of_many", signal_load.MANY, 1)
        for number in range(3):
            self._load("duplicates_of_one", 1, 1, number)

    def measure(self, case: Case) -> None:
        """Measure one round of a case, and of its peers."""
        first = 0 if "duplicates" in case.kind else self._next
        self._next += case.signals + 1
        if case.call == "get_create":
            self._cluster.do("workloads", "new", first, case.signals)
        if case.kind == "new_of_known_workload":
            self._load(case.kind, 1, 1, first + case.signals)
        self._cluster.do("late", case.late)
        self._cluster.do("forget_calls")
        cpu = processes.cpu_seconds(self._pid)
        load = self._load(case.kind, case.requests, case.in_flight, first)
        case.cpu.append((processes.cpu_seconds(self._pid) - cpu) * 1000 / case.signals)
        if load["statuses"] != case.expected:
            complaints = [line for line in self._log.read_text().splitlines() if '"level": "info"' not in line]
            why = "\n".join(complaints[-10:])
            raise SystemExit(f"{case.title} was answered {load['statuses']} instead of {case.expected}:\n{why}")
        case.rates.append(case.signals / load["seconds"])
        case.latencies += load["latencies"]
        for call, count in self._cluster.do("calls").items():
            case.calls[call] = case.calls.get(call, 0) + count

        at_once = min(CALLS_AT_ONCE, case.in_flight * signal_load.BATCH) if case.is_batch else case.in_flight
        bare = processes.figures_of(CALLS, self._cluster.url, case.call, case.signals, at_once, first)
        case.call_rates.append(case.signals / bare["seconds"])
        case.call_cpu.append(bare["cpu_seconds"] * 1000 / case.signals)
        app = processes.figures_of(LOAD, self._app, case.kind, case.requests, case.in_flight, first)
        case.app_rates.append(case.signals / app["seconds"])
        self._cluster.do("late", 0)

    def storm(self, number: int, *, late: float) -> Storm:
        """Send many duplicates of one at once."""
        self._cluster.do("late", late)
        patches = processes.figures_of(CALLS, self._cluster.url, "patch_one", 200, 1, 0)
        self._cluster.do("forget_calls")
        load = self._load("duplicates_of_one", STORM, STORM_IN_FLIGHT, number)
        calls = self._cluster.do("calls")
        self._cluster.do("late", 0)
        return Storm(
            seconds=load["seconds"],
            answered=load["statuses"].get("202", 0),
            occurrences=self._occurrences(f"one-{number}"),
            patches=calls.get("patch remediationrequests/status", 0),
            patch_seconds=statistics.median(patches["latencies"]) / 1000,
        )

    def _load(self, kind: str, requests: int, in_flight: int, first: int = 0) -> Any:
        load = processes.figures_of(LOAD, self._gateway, kind, requests, in_flight, first)
        self.created += load["statuses"].get("201", 0) + load["results"].get("created", 0)
        self.duplicates += load["statuses"].get("202", 0) + load["results"].get("duplicate", 0)
        return load

    def _occurrences(self, workload: str) -> int:
        target = Target(kind="Deployment", name=workload, namespace="prod", api_version="apps/v1")
        selector = f"spec.signalFingerprint={fingerprint_of(target, cluster_id='east')}"
        found = httpx.get(self._cluster.url + REQUESTS, params={"fieldSelector": selector}).json()["items"]
        if len(found) != 1:
            raise SystemExit(f"{workload} has {len(found)} RemediationRequests")
        return int(found[0].get("status", {}).get("deduplication", {}).get("occurrenceCount", 1))


def run() -> Benchmark:
    measured = cases()
    with tempfile.TemporaryDirectory() as name, datastorage(f"sqlite:///{name}/audit.db") as store:
        with everything(Path(name), store) as bench:
            bench.prepare()
            for _ in range(ROUNDS):
                for case in measured:
                    bench.measure(case)
            storms = [bench.storm(1, late=0.0), bench.storm(2, late=LATE)]
        recorded = 2 * bench.created + bench.duplicates
        with_store = DataStorageClient(store)
        delivered = with_store.query(limit=1).total
        with_store.close()
    return Benchmark(
        "Signals through one gateway",
        ratios=[
            *_case_ratios(measured),
            *_storm_ratios(storms),
            Ratio("audit events lost", recorded - delivered, 0, 0),
        ],
        table=_table(measured),
        raw=[
            Series(f"{case.title}, {case.in_flight} in flight: {what}", unit, samples)
            for case in measured
            for what, unit, samples in (
                ("signals", "1/s", case.rates),
                ("bare calls", "1/s", case.call_rates),
                ("bare app", "1/s", case.app_rates),
                ("CPU", "ms", case.cpu),
                ("CPU of bare calls", "ms", case.call_cpu),
            )
        ],
        note=NOTE,
    )


@contextmanager
def everything(directory: Path, datastorage_url: str) -> Iterator[Bench]:
    """Run a cluster, the bare app and a gateway."""
    with ExitStack() as stack:
        cluster = stack.enter_context(cluster_process())
        _, app = stack.enter_context(processes.started(APP))
        settings = {
            "processing": {"multi_cluster": True},
            "server": {"listen": "127.0.0.1:0"},
            "audit": {"datastorage_url": datastorage_url, "spool_directory": str(directory / "spool")},
            "kubernetes": {"kubeconfig": cluster.kubeconfig},
        }
        config = directory / "gateway.yaml"
        config.write_text(yaml.safe_dump(settings))
        log = directory / "gateway.log"
        written = stack.enter_context(log.open("w"))
        serve = processes.started("signal_gateway", "serve", "--config", config, log=written)
        process, line = stack.enter_context(serve)
        gateway = line.removeprefix("gateway on ").partition(",")[0].strip()
        yield Bench(cluster, app=app.strip(), gateway=gateway, pid=process.pid, log=log)


def _case_ratios(measured: list[Case]) -> list[Ratio]:
    def find(kind: str, in_flight: int, late: float = 0.0) -> Case:
        return next(case for case in measured if (case.kind, case.in_flight, case.late) == (kind, in_flight, late))

    late, known = find("new_of_known_workload", 32, LATE), find("new_of_known_workload", 32)
    one, many = find("duplicates_of_one", 1), find("duplicates_of_many", 32)
    create, patch = "create remediationrequests", "patch remediationrequests/status"
    lookups = sum(count for call, count in known.calls.items() if call.startswith("get ")) / (known.signals * ROUNDS)
    return [
        Ratio("new signals/s of bare creates/s, 5 ms added to each call, 32 in flight", late.of_calls, at_least=0.8),
        Ratio("CPU of a bare create, ms", statistics.median(late.call_cpu)),
        Ratio("CPU of a new signal / of a bare create", statistics.median(late.cpu) / statistics.median(late.call_cpu)),
        Ratio("creates for a new signal, warm", known.calls_per_signal(create), 1, 1),
        Ratio("look-ups for a new signal, warm", lookups, at_most=0.01),
        Ratio("status patches for a duplicate, 1 in flight", one.calls_per_signal(patch), at_most=1),
        Ratio("status patches for a duplicate of many, 32 in flight", many.calls_per_signal(patch), at_most=1),
    ]


def _storm_ratios(storms: list[Storm]) -> Iterator[Ratio]:
    for storm, title in zip(storms, ("storm", f"storm, {LATE * 1000:g} ms added to each call"), strict=True):
        yield Ratio(f"{title}: duplicates/s", storm.answered / storm.seconds)
        yield Ratio(f"{title}: not answered 202", STORM - storm.answered, at_most=0)
        yield Ratio(f"{title}: status patches", storm.patches)
        yield Ratio(f"{title}: patches / (duration / latency of a patch)", storm.patches_of_allowed, at_most=1)
        yield Ratio(f"{title}: occurrenceCount - answered", storm.occurrences - storm.answered, 1, 1)


def _table(measured: list[Case]) -> Table:
    return Table(
        [
            "signals",
            "in flight",
            "signals/s",
            "p50, ms",
            "p99, ms",
            "CPU, ms",
            "bare calls/s",
            "of bare calls",
            "bare app, signals/s",
            "of the bare app",
        ],
        [
            [
                case.title,
                case.in_flight,
                _rounded(statistics.median(case.rates)),
                f"{statistics.median(case.latencies):.1f}",
                f"{statistics.quantiles(case.latencies, n=100, method='inclusive')[98]:.1f}",
                f"{statistics.median(case.cpu):.2f}",
                _rounded(statistics.median(case.call_rates)),
                f"{case.of_calls:.2f}",
                _rounded(statistics.median(case.app_rates)),
                f"{case.of_app:.3f}",
            ]
            for case in measured
        ],
    )


def _rounded(rate: float) -> str:
    return f"{rate:,.0f}".replace(",", " ")
