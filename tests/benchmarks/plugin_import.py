"""What the plugin costs a run that never uses it: its import, beside that of an empty plugin module."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measure import Benchmark, Ratio, Series

ROUNDS = 25

MEASURE = """
import sys, time
sys.path.insert(0, sys.argv[1])
import pytest
start = time.perf_counter()
__import__(sys.argv[2])
print((time.perf_counter() - start) * 1000)
"""


def run() -> Benchmark:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "empty_plugin.py").write_text('"""A plugin that does nothing."""\n\nimport pytest\n')
        ours, empty = [], []
        for _ in range(ROUNDS):
            ours.append(_milliseconds(directory, "signal_gateway.pytest_plugin"))
            empty.append(_milliseconds(directory, "empty_plugin"))
    plugin = Series("signal_gateway.pytest_plugin, the lazy package included", "ms", ours[2:])
    return Benchmark(
        "Import after pytest, bytecode warm",
        [plugin, Series("an empty plugin module", "ms", empty[2:])],
        [Ratio("plugin import in ms", plugin.median, at_most=1.0)],
    )


def _milliseconds(directory: str, module: str) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    output = subprocess.run(
        [sys.executable, "-c", MEASURE, directory, module],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return float(output.stdout)
