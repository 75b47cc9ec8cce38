"""`python -m tests.campaigns.busy`: suites under `pytest -n 4` beside busy processes.

The quickstart suite and a generated suite run with the embedded DataStorage, beside two, six and twelve processes that
never wait. A test that does not pass is an error. The events that the suite recorded are compared with the database of
its DataStorage. Exits with 1 if there was an error or if an event was lost.
"""

import argparse
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.campaigns.report import Report

__all__ = ["main"]

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"
EVENTS_PER_TEST = 2
TIMEOUT = 1800.0
INI = """
[pytest]
addopts = -p no:cacheprovider -p no:randomly -p no:rerunfailures -p no:schemathesis -p no:timeout -p no:hypothesispytest
asyncio_default_fixture_loop_scope = function
"""
GENERATED_TEST = """
import pytest

@pytest.mark.parametrize("number", range({tests}))
def test_alert_{part}(gateway, number):
    response = gateway.send_alert(f"Busy{part}-{{number}}", namespace="prod", deployment="api")

    assert response.status_code == 201
    assert gateway.metrics.value("gateway_crds_created_total", source_type="prometheus", status="created") == 1
    correlation = response.json()["remediationRequestName"]
    assert len(list(gateway.audit_trail.events(correlation_id=correlation))) == {events}
"""
FILES = 4
RECORDED = re.compile(r"gateway: .*?(\d+) events? recorded, (\d+) delivered")
FAILED = re.compile(r"^(?:FAILED|ERROR) .*$", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """The result of one run of a suite.

    Attributes:
        seconds: The duration.
        errors: One line for each test that did not pass, or for a run that failed as a whole.
        recorded: The number of events that the suite reports as recorded.
        lost: The number of recorded or expected events that the database does not have.
    """

    seconds: float
    errors: tuple[str, ...]
    recorded: int
    lost: int


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Run processes that use all processor time that they get."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def generate(folder: Path, tests: int) -> None:
    """Write a suite of `tests` tests in a few files."""
    for part in range(FILES):
        share = tests // FILES + (part < tests % FILES)
        text = GENERATED_TEST.format(part=part, tests=share, events=EVENTS_PER_TEST)
        (folder / f"test_generated_{part}.py").write_text(text)


def run_suite(folder: Path, *, workers: int, expected: int) -> Run:
    """Run the suite of a folder.

    Args:
        folder: The folder with the tests.
        workers: The number of xdist workers.
        expected: The number of events that the suite records at least.
    """
    database = folder / "audit.db"
    for path in folder.glob("audit.db*"):
        path.unlink()
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(workers), f"--gateway-audit-db={database}", str(folder)]
    begin = time.monotonic()
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=TIMEOUT, check=False)
    seconds = time.monotonic() - begin

    errors = FAILED.findall(result.stdout)
    if result.returncode != 0 and not errors:
        errors = [f"exit status {result.returncode}: {(result.stdout + result.stderr)[-300:]}"]
    found = RECORDED.search(result.stdout)
    recorded = int(found[1]) if found else 0
    return Run(seconds, tuple(errors), recorded, max(recorded, expected) - count_events(database))


def count_events(database: Path) -> int:
    """Count the events in the database of a DataStorage."""
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM audit_events").fetchone()[0])


def trial(name: str, folder: Path, *, busy: int, runs: int, workers: int, expected: int) -> Report:
    """Run a suite several times beside busy processes, and report."""
    with busy_processes(busy):
        results = [run_suite(folder, workers=workers, expected=expected) for _ in range(runs)]
    report = Report(f"{name}, -n {workers}, {busy} busy processes, {runs} runs")
    report.none_of("errors", [error for result in results for error in result.errors])
    report.check("lost events", lost := sum(result.lost for result in results), holds=lost == 0)
    report.figure("recorded events", sum(result.recorded for result in results))
    report.figure("seconds, median", f"{median(result.seconds for result in results):.1f}")
    report.figure("seconds, longest", f"{max(result.seconds for result in results):.1f}")
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all trials; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="runs of each suite beside each load (default: 10)")
    parser.add_argument("--busy", type=int, nargs="+", default=[2, 6, 12], help="busy processes (default: 2 6 12)")
    parser.add_argument("--tests", type=int, default=200, help="tests of the generated suite (default: 200); 0: none")
    parser.add_argument("--workers", type=int, default=4, help="xdist workers (default: 4)")
    parser.add_argument("--no-quickstart", action="store_true", help="leave the quickstart suite out")
    options = parser.parse_args(arguments)

    failed = False
    with TemporaryDirectory(prefix="signal-gateway-busy-") as directory:
        suites: list[tuple[str, Path, int]] = []
        if not options.no_quickstart:
            shutil.copytree(QUICKSTART, folder := Path(directory, "quickstart"), ignore=shutil.ignore_patterns("__*"))
            suites.append(("quickstart", folder, EVENTS_PER_TEST))
        if options.tests:
            (folder := Path(directory, "generated")).mkdir()
            generate(folder, options.tests)
            suites.append((f"{options.tests} tests", folder, options.tests * EVENTS_PER_TEST))
        for name, folder, expected in suites:
            (folder / "pytest.ini").write_text(INI)
            for busy in options.busy:
                report = trial(name, folder, busy=busy, runs=options.runs, workers=options.workers, expected=expected)
                report.print()
                failed = failed or bool(report.failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
