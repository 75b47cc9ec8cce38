"""How long `audit export` takes for 200 000 events, beside curl."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from shutil import which
from statistics import median

from tests.benchmarks.audit_events import duplicates
from tests.benchmarks.measure import Benchmark, Ratio, Series
from tests.benchmarks.processes import ENVIRONMENT, started

from signal_gateway.audit import DataStorageClient
from signal_gateway.audit.client.results import BatchAccepted

EVENTS = 200_000
BATCH = 1000
ROUNDS = 3
PATH = "/api/v1/audit/export?order=asc"
NO_EVENTS = "nothing.has.this.type"

NOTE = """\
Whole commands, one after the other in {rounds} rounds, from a DataStorage on SQLite with {events} events in a process
of its own, written to /dev/null. `audit export` of no event is the start of the command: the interpreter, the option
parser and the client. The ratio of the transfer leaves it out; beside more events it weighs less. The bytecode is warm.
The client needs a core beside that of DataStorage: on a machine with a load above its cores, both ratios grow.
Command: `python -m tests.benchmarks export_speed`."""


def run() -> Benchmark:
    curl = which("curl")
    if curl is None:
        raise SystemExit("export_speed needs curl: apt-get install curl")
    with tempfile.TemporaryDirectory() as directory:
        database = f"sqlite:///{Path(directory) / 'audit.db'}"
        serve = ("signal_gateway", "datastorage", "--database", database, "--listen", "127.0.0.1:0")
        with started(*serve) as (_, line):
            url = line.split(",")[0].split()[-1]
            _fill(url)
            export = [sys.executable, "-m", "signal_gateway", "audit", "export", "--datastorage", url]
            commands = {
                "curl": [curl, "--silent", "--fail", url + PATH],
                "audit export": export,
                "audit export, no event": [*export, "--event-type", NO_EVENTS],
            }
            samples = _measured(commands)
    seconds = {name: median(times) for name, times in samples.items()}
    transfer = seconds["audit export"] - seconds["audit export, no event"]
    return Benchmark(
        "Exporting 200 000 events",
        series=[Series(name, "s", times) for name, times in samples.items()],
        ratios=[
            Ratio("audit export without its start / curl", transfer / seconds["curl"], at_most=1.1),
            Ratio("audit export / curl", seconds["audit export"] / seconds["curl"]),
        ],
        note=NOTE.format(rounds=ROUNDS, events=EVENTS),
    )


def _fill(url: str) -> None:
    client = DataStorageClient(url)
    for _ in range(EVENTS // BATCH):
        body = b"[" + b",".join(event.to_wire() for event in duplicates(BATCH)) + b"]"
        assert isinstance(client.deliver(body, BATCH), BatchAccepted)
    client.close()


def _measured(commands: dict[str, list[str]]) -> dict[str, list[float]]:
    """Return the seconds of each command in each round, after a round that is not counted."""
    samples: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(ROUNDS + 1):
        for name, command in commands.items():
            begin = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=ENVIRONMENT)
            if number:
                samples[name].append(time.perf_counter() - begin)
    return samples
