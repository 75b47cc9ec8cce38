"""`python -m tests.benchmarks`: run every benchmark, print and keep the figures, exit 1 if a ratio is missed.

Figures are medians with the 10th and 90th percentile; what counts are ratios within one run. Raw samples go to
build/benchmarks.json, the tables and their plots to docs with `--write`, where those of other benchmarks stay.
"""

import argparse
import json
import os
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from tests.benchmarks import (
    bare_server,
    chain_cost,
    datastorage_growth,
    datastorage_questions,
    delivery_rate,
    export_speed,
    gateway_per_test,
    gateway_signals,
    keep_alive,
    kubernetes_api,
    many_gateways,
    picture,
    plugin_import,
    record_cost,
    spool_close,
    spool_memory,
    spool_recovery,
    wiring,
)
from tests.benchmarks.measure import Benchmark, Ratio

ROOT = Path(__file__).parents[2]
BENCHMARKS = {
    "gateway_per_test": gateway_per_test,
    "bare_server": bare_server,
    "wiring": wiring,
    "keep_alive": keep_alive,
    "kubernetes_api": kubernetes_api,
    "gateway_signals": gateway_signals,
    "many_gateways": many_gateways,
    "plugin_import": plugin_import,
    "record_cost": record_cost,
    "delivery_rate": delivery_rate,
    "datastorage_growth": datastorage_growth,
    "datastorage_questions": datastorage_questions,
    "chain_cost": chain_cost,
    "export_speed": export_speed,
    "spool_memory": spool_memory,
    "spool_recovery": spool_recovery,
    "spool_close": spool_close,
}
SHOWN_VERSIONS = ("uvicorn", "starlette", "httpx", "lightkube", "opentelemetry-sdk", "persist-queue")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which ones; all by default")
    parser.add_argument("--write", action="store_true", help="write into docs/benchmarks.md and its plots, too")
    arguments = parser.parse_args()

    found = {name: BENCHMARKS[name].run() for name in arguments.names or BENCHMARKS}
    sections = {benchmark.title: _section(benchmark) for benchmark in found.values()}
    sys.stdout.write("\n".join(sections.values()))

    (ROOT / "build").mkdir(exist_ok=True)
    raw = {name: asdict(benchmark) for name, benchmark in found.items()}
    (ROOT / "build" / "benchmarks.json").write_text(json.dumps(raw, indent=1))
    if arguments.write:
        page = ROOT / "docs" / "benchmarks.md"
        before = _sections(page.read_text())  # some sections are written by hand, or from `versus`
        page.write_text(_page("\n".join((before | sections).values())))
        for benchmark in found.values():
            if benchmark.table is not None and benchmark.picture is not None:
                picture.draw(benchmark.picture, benchmark.table, ROOT / "docs")
    return 0 if all(ratio.holds for benchmark in found.values() for ratio in benchmark.ratios) else 1


def _sections(page: str) -> dict[str, str]:
    """Take a page apart, by the titles of its sections."""
    _, *sections = re.split("^## ", page, flags=re.MULTILINE)
    return {text.partition("\n")[0]: f"## {text.rstrip()}\n" for text in sections}


def _section(benchmark: Benchmark) -> str:
    lines = [f"## {benchmark.title}", ""]
    if benchmark.note:
        lines += [benchmark.note, ""]
    if benchmark.picture is not None:
        lines += [f"![{benchmark.title}]({benchmark.picture})", ""]
    if benchmark.series:
        lines += _markdown(
            ["what", "median", "10 % … 90 %", "samples"],
            [
                [
                    series.name,
                    f"{series.median:.2f} {series.unit}",
                    " … ".join(f"{tenth:.2f}" for tenth in series.spread),
                    len(series.samples),
                ]
                for series in benchmark.series
            ],
        )
    if benchmark.table is not None:
        lines += _markdown(benchmark.table.columns, benchmark.table.rows)
    if benchmark.ratios:
        lines += _markdown(
            ["ratio", "value", "bound", ""],
            [[ratio.name, f"{ratio.value:.2f}", ratio.bound, _verdict(ratio)] for ratio in benchmark.ratios],
        )
    return "\n".join(lines)


def _verdict(ratio: Ratio) -> str:
    if not ratio.bound:
        return ""
    return "held" if ratio.holds else "**missed**"


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str | float]]) -> list[str]:
    table = [columns, ["---"] * len(columns), *rows]
    return ["|" + "|".join(f" {cell} " if cell != "---" else cell for cell in row) + "|" for row in table] + [""]


def _page(sections: str) -> str:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in SHOWN_VERSIONS)
    machine = f"{os.cpu_count()} shared cores, Python {platform.python_version()}, {versions}"
    return f"""# Benchmarks

`make bench` makes these numbers, `.venv/bin/python -m tests.benchmarks --write` writes this page. What counts are
the ratios: both sides of each were measured in the same run. The absolute figures are those of one small machine
({machine}), medians with the 10th and 90th percentile. A missed ratio makes the command exit with 1.

{sections}"""


if __name__ == "__main__":
    sys.exit(main())
