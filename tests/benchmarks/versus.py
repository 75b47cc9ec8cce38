"""`python -m tests.benchmarks.versus --base REV`: this build beside an older one, in one interleaved run.

The older build is a commit of this repository in an environment of its own (build/versus/REV, made once). Each round
runs every workload on both builds, in turns, so that noise meets both alike. The figure is the ratio new / old of
each round; its median counts. Exit status 1 if a ratio misses its bound.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import yaml
from tests.benchmarks import processes
from tests.benchmarks.cluster_process import ClusterProcess, cluster_process
from tests.benchmarks.signal_load import PATH, one
from tests.benchmarks.sinks import datastorage

from signal_gateway.testing import alertmanager_webhook

ROOT = Path(__file__).parents[2]
SIDE = Path(__file__).with_name("versus_side.py")
LOAD = "tests.benchmarks.signal_load"
SIGNALS: Final = 1000
BATCH: Final = 3000
BATCH_SECONDS: Final = 120
IN_FLIGHT: Final = 32
NOT_WORSE: Final = 1.03
BOUNDS: Final = {
    "CPU of one test with a live gateway and one query": 0.75,
    "CPU of a new signal of a known workload": 0.4,
    "CPU of a duplicate of many": 0.4,
    f"CPU of one request with {BATCH} new alerts": 0.4,
}


@dataclass
class Comparison:
    """One workload on both builds.

    Attributes:
        name: What is measured.
        unit: Of the samples.
        at_most: Bound of the median of new / old.
        old: The older build's figure of each round.
        new: This build's figure of each round.
    """

    name: str
    unit: str
    at_most: float
    old: list[float] = field(default_factory=list)
    new: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """The ratio new / old of each round."""
        return [new / old for new, old in zip(self.new, self.old, strict=True)]

    @property
    def ratio(self) -> float:
        """The median ratio."""
        return statistics.median(self.ratios)

    def row(self) -> str:
        """Return the line of the table."""
        spread = f"{min(self.ratios):.2f}-{max(self.ratios):.2f}"
        verdict = "" if self.ratio <= self.at_most else "  MISSED"
        old, new = statistics.median(self.old), statistics.median(self.new)
        return (
            f"| {self.name} | {old:.2f} {self.unit} | {new:.2f} {self.unit} | {self.ratio:.2f} ({spread}) "
            f"| <= {self.at_most:g}{verdict} |"
        )


def environment_of(revision: str) -> Path:
    """Return the interpreter of a build in an environment of its own, made if it does not exist.

    Args:
        revision: Any name of a commit.
    """
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", f"{revision}^{{commit}}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    home = ROOT / "build" / "versus" / commit
    python = home / "venv" / "bin" / "python"
    if not (home / "complete").exists():
        source = home / "source"
        source.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", source], input=archive, check=True)
        subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"{source}[pytest]"], check=True)
        (home / "complete").touch()
    return python


def side(python: Path | str, workload: str, count: int) -> float:
    """Run a workload on one build and return the median of its samples."""
    with tempfile.TemporaryDirectory() as elsewhere:  # the repository must not be importable
        process = subprocess.run(
            [python, SIDE, workload, str(count)],
            capture_output=True,
            text=True,
            cwd=elsewhere,
            env=processes.ENVIRONMENT,
            timeout=processes.TIMEOUT,
            check=False,
        )
    if process.returncode:
        raise SystemExit(f"{workload} failed on {python}:\n{process.stderr[-4000:]}")
    return statistics.median(json.loads(process.stdout))


class Signals:
    """Signals through `serve` of either build, on one cluster and one DataStorage of this build."""

    def __init__(self, cluster: ClusterProcess, gateways: dict[str, tuple[str, int]]) -> None:
        self._cluster = cluster
        self._gateways = gateways
        self._next = 0
        self._batches = 0

    def prepare(self) -> None:
        """Create the workloads that the signals are about."""
        self._cluster.do("workloads", "known", 0, 1)
        self._cluster.do("workloads", "many", 0, 100)
        self._cluster.do("workloads", "new", 0, BATCH)
        for name in self._gateways:
            self.cpu(name, "new_of_known_workload")
            self.cpu(name, "duplicates_of_many")

    def cpu(self, name: str, kind: str) -> float:
        """Return the milliseconds of CPU that a gateway needs for a signal."""
        url, pid = self._gateways[name]
        first = 0 if "duplicates" in kind else self._next
        self._next += SIGNALS + 1
        before = processes.cpu_seconds(pid)
        load = processes.figures_of(LOAD, url, kind, SIGNALS, IN_FLIGHT, first)
        if set(load["statuses"]) - {"201", "202"}:
            raise SystemExit(f"{kind} on the {name} build got {load['statuses']}")
        return (processes.cpu_seconds(pid) - before) * 1000 / SIGNALS

    def cpu_of_batch(self, name: str) -> float:
        """Return the seconds of CPU that a gateway needs for one request with 3 000 new alerts."""
        url, pid = self._gateways[name]
        self._batches += 1
        alerts = [one(f"new-{number}", f"batch-{self._batches}") for number in range(BATCH)]
        before = processes.cpu_seconds(pid)
        response = httpx.post(
            f"{url}{PATH}", json=alertmanager_webhook(*alerts), timeout=BATCH_SECONDS, trust_env=False
        )
        statuses = {result["status"] for result in response.json().get("results", [])}
        if statuses != {"created"}:
            raise SystemExit(f"a batch on the {name} build got {response.status_code}, {statuses}")
        return processes.cpu_seconds(pid) - before


@contextmanager
def signals(builds: dict[str, Path | str]) -> Iterator[Signals]:
    """Run one gateway of each build."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(datastorage(f"sqlite:///{directory}/audit.db"))
        cluster = stack.enter_context(cluster_process())
        gateways = {}
        for name, python in builds.items():
            settings = {
                # the older build needs more than the default of 15 s for a batch
                "processing": {"multi_cluster": True, "request_deadline": BATCH_SECONDS},
                "server": {"listen": "127.0.0.1:0"},
                "audit": {"datastorage_url": store, "spool_directory": str(directory / f"spool-{name}")},
                "kubernetes": {"kubeconfig": cluster.kubeconfig},
            }
            config = directory / f"{name}.yaml"
            config.write_text(yaml.safe_dump(settings))
            log = stack.enter_context((directory / f"{name}.log").open("w"))
            command = [str(python), "-m", "signal_gateway", "serve", "--config", str(config)]
            process = stack.enter_context(
                subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=directory, env=processes.ENVIRONMENT
                )
            )
            stack.callback(process.terminate)
            assert process.stdout is not None
            line = process.stdout.readline()
            gateways[name] = (line.removeprefix("gateway on ").partition(",")[0].strip(), process.pid)
        yield Signals(cluster, gateways)


def main() -> int:
    """Compare, print the table, and return 1 if a bound is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.versus")
    parser.add_argument("--base", default="3658bba", help="the older build, a commit")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    builds: dict[str, Path | str] = {"old": environment_of(arguments.base), "new": sys.executable}

    comparisons: dict[str, Comparison] = {}
    with signals(builds) as load:
        load.prepare()
        measures: list[tuple[str, str, Callable[[str], float]]] = [
            (
                "CPU of one test with a live gateway and one query",
                "ms",
                lambda it: side(builds[it], "gateway_per_test", 30),
            ),
            ("CPU of `record()` of a made event", "ns", lambda it: side(builds[it], "record", 5)),
            ("CPU of `AuditEvent(...)` and `record()`", "ns", lambda it: side(builds[it], "build_and_record", 3)),
            ("CPU of a new signal of a known workload", "ms", lambda it: load.cpu(it, "new_of_known_workload")),
            ("CPU of a duplicate of many", "ms", lambda it: load.cpu(it, "duplicates_of_many")),
            (f"CPU of one request with {BATCH} new alerts", "s", load.cpu_of_batch),
        ]
        for turn in range(arguments.rounds):
            for name, unit, measure in measures:
                comparison = comparisons.setdefault(name, Comparison(name, unit, BOUNDS.get(name, NOT_WORSE)))
                # who goes first changes from round to round
                for build in ("old", "new") if turn % 2 == 0 else ("new", "old"):
                    getattr(comparison, build).append(measure(build))
    print("| workload | old | new | new / old (spread) | bound |\n|---|---|---|---|---|")
    print("\n".join(comparison.row() for comparison in comparisons.values()))
    return int(any(comparison.ratio > comparison.at_most for comparison in comparisons.values()))


if __name__ == "__main__":
    sys.exit(main())
