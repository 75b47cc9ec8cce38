"""Milliseconds per test with a live gateway, beside Starlette's TestClient and the uvicorn-in-a-thread recipe."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measure import Benchmark, Ratio, Series

SUITE = Path(__file__).parent / "gateway_per_test_suite.py"

NAMES = {
    "test_live_fresh": "live gateway, a fresh cluster per test",
    "test_testclient_fresh": "Starlette TestClient, a fresh cluster per test",
    "test_live_shared": "live gateway, one cluster",
    "test_testclient_shared": "Starlette TestClient, one cluster",
    "test_recipe_fresh": "uvicorn in a thread, a fresh cluster per test",
    "test_live_alert": "live gateway, a fresh cluster per test, no query",
    "test_recipe_alert": "uvicorn in a thread, a fresh cluster per test, no query",
}

NOTE = """With a cluster of its own and a question to the audit trail, a test makes seven HTTP exchanges (namespace,
list, watch, alert, create, batch of events, query) in Python on both sides, at about a millisecond each, which no way
of serving takes away. The recipe's 200 ms are sleep, the same on every machine, and ours are computing: so that ratio
grows with the machine's speed, and its bound guards against a step back ([why](decisions/0048-recipe-ratio.md))."""


def run() -> Benchmark:
    with tempfile.TemporaryDirectory() as directory:
        figures = Path(directory) / "figures.json"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "tests.benchmarks.recorder", "-W", "default", str(SUITE)],
            check=True,
            env=os.environ | {"BENCHMARK_FIGURES": str(figures)},
        )
        samples = json.loads(figures.read_text())

    warm = {name: one[len(one) // 10 :] for name, one in samples.items()}
    series = {name: Series(title, "ms", warm[name]) for name, title in NAMES.items()}
    live = series["test_live_fresh"].median
    return Benchmark(
        "One test with a gateway: create, serve, one alert through, stop",
        list(series.values()),
        [
            Ratio(
                "live / TestClient, a fresh cluster per test",
                live / series["test_testclient_fresh"].median,
                at_most=1.5,
            ),
            Ratio(
                "live / TestClient, one cluster",
                series["test_live_shared"].median / series["test_testclient_shared"].median,
                at_most=1.5,
            ),
            Ratio("uvicorn in a thread / live, with a query", series["test_recipe_fresh"].median / live),
            Ratio(
                "uvicorn in a thread / live, one alert through",
                series["test_recipe_alert"].median / series["test_live_alert"].median,
                at_least=10,
            ),
        ],
        note=NOTE,
    )
