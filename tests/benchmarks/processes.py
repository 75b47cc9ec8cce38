"""Processes that a benchmark starts: one that measures, or one that is measured against."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

__all__ = ["cpu_seconds", "figures_of", "started"]

TIMEOUT = 400.0
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def figures_of(module: str, *arguments: object) -> Any:
    """Run a module in a fresh interpreter and read the JSON that it prints.

    Args:
        module: Its name.
        *arguments: What it is told.
    """
    process = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=TIMEOUT,
        check=False,
    )
    if process.returncode:
        raise SystemExit(f"{module} {' '.join(map(str, arguments))} failed:\n{process.stderr}")
    return json.loads(process.stdout)


@contextmanager
def started(module: str, *arguments: object, log: IO[str] | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a module meanwhile; yield its process, which reads what is written to it, and the first line that it prints.

    Args:
        module: Its name.
        *arguments: What it is told.
        log: Where its standard error goes; by default where ours does.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"{module} {' '.join(map(str, arguments))} did not start")
            yield process, line
        finally:
            process.terminate()


def cpu_seconds(pid: int) -> float:
    """Return what a process has computed so far, all its threads, as Linux counts it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
