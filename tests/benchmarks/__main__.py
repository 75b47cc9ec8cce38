"""`python -m tests.benchmarks`: run every benchmark, print and keep the figures, exit 1 if a ratio is missed.

Figures are medians with the 10th and 90th percentile; what counts are ratios within one run. Raw samples go to
build/benchmarks.json, the tables to docs/benchmarks.md with `--write`.
"""

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from tests.benchmarks import gateway_per_test, keep_alive, plugin_import
from tests.benchmarks.measure import Benchmark

ROOT = Path(__file__).parents[2]
BENCHMARKS = {"gateway_per_test": gateway_per_test, "keep_alive": keep_alive, "plugin_import": plugin_import}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which ones; all by default")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md too")
    arguments = parser.parse_args()

    found = {name: BENCHMARKS[name].run() for name in arguments.names or BENCHMARKS}
    text = "\n".join(_section(benchmark) for benchmark in found.values())
    sys.stdout.write(text)

    (ROOT / "build").mkdir(exist_ok=True)
    raw = {name: asdict(benchmark) for name, benchmark in found.items()}
    (ROOT / "build" / "benchmarks.json").write_text(json.dumps(raw, indent=1))
    if arguments.write:
        (ROOT / "docs" / "benchmarks.md").write_text(_page(text))
    return 0 if all(ratio.holds for benchmark in found.values() for ratio in benchmark.ratios) else 1


def _section(benchmark: Benchmark) -> str:
    lines = [f"## {benchmark.title}", "", "| what | median | 10 % … 90 % | samples |", "|---|---|---|---|"]
    for series in benchmark.series:
        low, high = series.spread
        lines.append(
            f"| {series.name} | {series.median:.2f} {series.unit} | {low:.2f} … {high:.2f} | {len(series.samples)} |"
        )
    if benchmark.ratios:
        lines += ["", "| ratio | value | bound | |", "|---|---|---|---|"]
        lines += [
            f"| {ratio.name} | {ratio.value:.2f} | {ratio.bound} | {'held' if ratio.holds else '**missed**'} |"
            for ratio in benchmark.ratios
        ]
    return "\n".join([*lines, ""])


def _page(sections: str) -> str:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("uvicorn", "starlette", "httpx", "lightkube"))
    machine = f"{os.cpu_count()} shared cores, Python {platform.python_version()}, {versions}"
    return f"""# Benchmarks

`make bench` makes these numbers, `.venv/bin/python -m tests.benchmarks --write` writes this page. What counts are
the ratios: both sides of each were measured in the same run. The absolute figures are those of one small machine
({machine}), medians with the 10th and 90th percentile. A missed ratio makes the command exit with 1.

{sections}"""


if __name__ == "__main__":
    sys.exit(main())
