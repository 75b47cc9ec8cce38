"""Thousands of gateways, one after the other: what a process has of threads, descriptors and memory meanwhile."""

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.measure import Benchmark, Ratio, Series, Table
from tests.benchmarks.processes import figures_of

from signal_gateway.testing import EmbeddedDataStorage

GATEWAYS = 5000
TESTS = 1000
WORKERS = 4
PROCESS = "tests.benchmarks.many_gateways_process"
NOTE = f"""\
{GATEWAYS} times in one process: a cluster, a gateway on it, one alert through, both stopped. Memory is the process's
own (anonymous) after a full garbage collection; descriptors are those that aren't the spool's. Below: {TESTS} tests
with the fixture `gateway` and one alert each, by pytest with `-n {WORKERS}` on the machine's two cores, start and end
of the workers included."""
SUITE = f"""\
import pytest

@pytest.mark.parametrize("number", range({TESTS}))
def test_alert(gateway, number):
    assert gateway.send_alert("HighLatency", namespace="prod", deployment=f"d-{{number}}").status_code == 201
"""


def run() -> Benchmark:
    with EmbeddedDataStorage() as datastorage:
        samples = figures_of(PROCESS, GATEWAYS, datastorage.url)
    early, last = samples[1], samples[-1]  # the first hundred have warmed up what is made once
    seconds = _suite_seconds()
    return Benchmark(
        "Thousands of gateways in one process",
        [Series(f"a test of {TESTS}, with -n {WORKERS}", "ms", [seconds * 1000 / TESTS])],
        [
            Ratio("threads at the end / after the first hundred", last["threads"] / early["threads"], at_most=1),
            Ratio(
                "descriptors at the end / after the first hundred",
                last["descriptors"] / early["descriptors"],
                at_most=1,
            ),
            Ratio("memory at the end / after the first hundred", last["mib"] / early["mib"], at_most=1.1),
        ],
        table=Table(
            ["gateways so far", "threads", "descriptors", "memory, MiB", "ms for each since the row before"],
            [
                [one["gateways"], one["threads"], one["descriptors"], round(one["mib"], 1), round(one["ms"], 1)]
                for one in samples
            ],
        ),
        note=NOTE,
    )


def _suite_seconds() -> float:
    with TemporaryDirectory() as directory:
        (Path(directory) / "test_many.py").write_text(SUITE)
        begin = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", str(WORKERS), "-p", "no:randomly", "-p", "no:cacheprovider"],
            cwd=directory,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return time.perf_counter() - begin
