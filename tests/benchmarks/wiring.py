"""The incident's matrix as numbers: a store per server against one per process, for 1 to 1 000 live servers."""

import json
import subprocess
import sys
from dataclasses import dataclass

from tests.benchmarks.measure import Benchmark, Ratio, Table

from signal_gateway.audit import DataStorageClient
from signal_gateway.testing import EmbeddedCluster, EmbeddedDataStorage

COUNTS = (1, 10, 100, 1000)
TIMEOUT = 300.0
PICTURE = "images/wiring.svg"
NOTE = """\
Each row is a fresh process with so many live servers at once, on a cluster and a DataStorage of its own. Each server
takes an alert, lives until that one's events are delivered (the old store empties its buffer once a second), takes the
alert again and is stopped at once, as tests do. To get so far the old wiring is given a registry per server, and told
the right URL. DataStorage closes connections that are idle for five seconds, or the old wiring would have 1 000."""


@dataclass(frozen=True)
class Figures:
    """What one process with one wiring came to.

    Attributes:
        wiring: `old` or `new`.
        servers: How many were live at once.
        flusher_threads: While they were.
        connections: To DataStorage, while they were.
        connections_after: Sockets of any kind that the process still had when all were stopped.
        peak_memory_mib: Largest resident set.
        seconds: From the first server's making to the end of the last, the delivery included.
        recorded: Events that the servers recorded.
        delivered: Those that DataStorage had when the process was gone.
    """

    wiring: str
    servers: int
    flusher_threads: int
    connections: int
    connections_after: int
    peak_memory_mib: float
    seconds: float
    recorded: int
    delivered: int

    @property
    def lost(self) -> int:
        return self.recorded - self.delivered


def run() -> Benchmark:
    figures = [_measure(wiring, count) for wiring in ("old", "new") for count in COUNTS]
    new = [one for one in figures if one.wiring == "new"]
    most = new[-1]
    return Benchmark(
        "A store per server (old), one store per process (new)",
        ratios=[
            Ratio("events lost by the new wiring", sum(abs(one.lost) for one in new), at_most=0),
            Ratio(f"flusher threads of {most.servers} servers", most.flusher_threads, at_least=1, at_most=1),
            Ratio(f"sockets open after {most.servers} servers", most.connections_after, at_most=0),
        ],
        table=_table(figures),
        note=NOTE,
        picture=PICTURE,
    )


def _measure(wiring: str, servers: int) -> Figures:
    with EmbeddedCluster() as cluster, EmbeddedDataStorage() as datastorage:
        command = [sys.executable, "-m", "tests.benchmarks.wiring_process", wiring, str(servers)]
        process = subprocess.run(
            [*command, datastorage.url, str(cluster.kubeconfig)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT,
        )
        client = DataStorageClient(datastorage.url)
        delivered = client.query(limit=1).total
        client.close()
    return Figures(wiring, servers, delivered=delivered, **json.loads(process.stdout))


def _table(figures: list[Figures]) -> Table:
    return Table(
        columns=[
            "wiring",
            "live servers",
            "flusher threads",
            "connections to DataStorage",
            "sockets after",
            "peak memory, MiB",
            "seconds",
            "events recorded",
            "delivered",
            "lost",
        ],
        rows=[
            [
                one.wiring,
                one.servers,
                one.flusher_threads,
                one.connections,
                one.connections_after,
                round(one.peak_memory_mib),
                round(one.seconds, 1),
                round(one.recorded),
                one.delivered,
                round(one.lost),
            ]
            for one in figures
        ],
    )
