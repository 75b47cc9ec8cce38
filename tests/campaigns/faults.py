"""`python -m tests.campaigns.faults`: a store under load while DataStorage misbehaves in every way.

Prints the figures of two trials, one of all faults in a random order and one of a long outage, and exits with 1 if
anything was lost, stored twice, misreported, or took more memory than it may.
"""

import argparse
import json
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.campaigns.fault_load import LoadFindings, LoadSettings
from tests.campaigns.fault_modes import GONE, MODES
from tests.campaigns.fault_server import FaultControl
from tests.campaigns.ledger import read_ledger
from tests.campaigns.processes import Process, running
from tests.campaigns.report import Report

MIB = 1024 * 1024
MOST_GROWTH = 64 * MIB
EVENTS_PER_SECOND = 8000
MOST_PENDING = 100_000
MOST_PENDING_IN_MEMORY = 30_000
REQUEST_TIMEOUT = 0.5
CLOSE_TIMEOUT = 300.0
MEETINGS = 2  # the first batch may be stored already, its answer having been lost
MEETING_DEADLINE = 10.0
SETTLED_START = 0.5
SHORTEST_PHASE, LONGEST_PHASE = 0.02, 0.3

pause = threading.Event().wait


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    seed: int
    seconds: float
    outage: float
    durability: str
    leave_out_every: int


class Trial:
    """One store against one fault server, from the first event to the comparison of the books.

    Args:
        name: For the report.
        options: The campaign's.
        most_pending: Where the writers pause; None: nowhere.
    """

    def __init__(self, name: str, options: Options, *, most_pending: int | None) -> None:
        self.report = Report(f"{name} (seed {options.seed}, durability {options.durability})")
        self.rng = random.Random(options.seed)
        self._options = options
        if options.durability == "memory":
            most_pending = MOST_PENDING_IN_MEMORY
        self._most_pending = sys.maxsize if most_pending is None else most_pending

    def run(self, misbehave: "Callable[[Trial, FaultControl, Process], None]") -> Report:
        """Run the trial.

        Args:
            misbehave: Has the server switched to its faults for as long as they last.
        """
        with TemporaryDirectory(prefix="faults-") as name:
            directory = Path(name)
            seed = str(self._options.seed)
            with running("tests.campaigns.fault_server", name, seed) as server:
                settings = LoadSettings(
                    url=server.hear(),
                    directory=name,
                    durability=self._options.durability,
                    seed=self._options.seed,
                    events_per_second=EVENTS_PER_SECOND,
                    most_pending=self._most_pending,
                    request_timeout=REQUEST_TIMEOUT,
                    close_timeout=CLOSE_TIMEOUT,
                    leave_out_every=self._options.leave_out_every,
                )
                control = FaultControl(directory)
                begin = time.monotonic()
                with running("tests.campaigns.fault_load", json.dumps(settings.__dict__)) as load:
                    load.hear()
                    load.say("go")
                    pause(SETTLED_START)
                    misbehave(self, control, load)
                    control.switch("normal")
                    load.say("stop")
                    findings = LoadFindings(**json.loads(load.hear()))
                seconds = time.monotonic() - begin
                counts = control.counts()
                control.close()
            self._compare(directory, findings, Counter(counts), seconds)
        return self.report

    def _compare(self, directory: Path, findings: LoadFindings, counts: Counter[str], seconds: float) -> None:
        recorded_list = read_ledger(*directory.glob("recorded-*"))
        stored_list = read_ledger(directory / "stored")
        rejected_list = read_ledger(directory / "rejected")
        bad = set(read_ledger(*directory.glob("bad-*")))
        recorded, stored, rejected = set(recorded_list), set(stored_list), set(rejected_list)

        report = self.report
        report.figure("seconds", f"{seconds:.1f}")
        report.check("events recorded", len(recorded), holds=len(recorded) == findings.recorded > 0)
        report.check("stored", len(stored), holds=len(stored) == findings.delivered)
        report.check("rejected", len(rejected), holds=len(rejected) == findings.rejected)
        report.figure("sent more than once", counts["redelivered"])
        report.figure("requests", counts["requests"])
        report.check("retries", findings.retries, holds=findings.retries > 0)
        report.none_of("lost", recorded - stored - rejected)
        report.none_of("out of nowhere", (stored | rejected) - recorded)
        report.none_of("stored and rejected", stored & rejected)
        twice = len(recorded_list) - len(recorded) + len(stored_list) - len(stored) + len(rejected_list) - len(rejected)
        report.check("twice", twice + counts["same_number"], holds=twice + counts["same_number"] == 0)
        report.none_of("bad and stored", bad & stored)
        report.none_of("good and rejected", rejected - bad)
        report.check("sent though acknowledged", counts["sent_again"], holds=counts["sent_again"] == 0)
        report.figure("Retry-After surely read", counts["told_to_wait"])
        report.check("sent before Retry-After", counts["too_early"], holds=counts["too_early"] == 0)
        report.check("pending at the end", findings.pending, holds=findings.pending == findings.close_pending == 0)
        report.check("refused by record", findings.refused, holds=findings.refused == 0)
        report.check("barriers", findings.flushes, holds=findings.flushes > 0)
        report.check("barriers that passed", findings.passed_flushes, holds=findings.passed_flushes > 0)
        report.check("barriers that said ok", findings.ok_flushes, holds=findings.ok_flushes > 0)
        report.check("barriers that lied", findings.untrue_flushes, holds=findings.untrue_flushes == 0)
        report.check("samples of stats", findings.samples, holds=findings.samples > 0)
        report.check("samples that were wrong", findings.wrong_samples, holds=findings.wrong_samples == 0)
        report.figure("longest queue", findings.most_pending)
        growth = findings.peak_bytes - findings.idle_bytes
        report.figure("anonymous memory, idle MiB", f"{findings.idle_bytes / MIB:.1f}")
        bounded = growth <= MOST_GROWTH or self._options.durability == "memory"  # where the queue itself is part of it
        report.check("and at most above it, MiB", f"{growth / MIB:.1f}", holds=bounded)
        report.none_of("complaints", findings.complaints)


def every_fault(seconds: float) -> "Callable[[Trial, FaultControl, Process], None]":
    """Switch through all modes in a random order, again and again; bad events come in the second half."""

    def misbehave(trial: Trial, control: FaultControl, load: Process) -> None:
        begin = time.monotonic()
        missed: Counter[str] = Counter()
        phases = 0
        bad = False
        deck: list[str] = []
        while deck or phases == 0 or time.monotonic() - begin < seconds:
            if not deck:
                deck = [*MODES, GONE]
                trial.rng.shuffle(deck)
            if not bad and (phases == len(MODES) // 2 or time.monotonic() - begin > seconds / 2):
                load.say("bad")
                bad = True
            mode = deck.pop()
            control.switch(mode)
            pause(trial.rng.uniform(SHORTEST_PHASE, LONGEST_PHASE))
            if mode != GONE and not control.met(MEETINGS, MEETING_DEADLINE):
                missed[mode] += 1
            phases += 1
        trial.report.check("phases", phases, holds=phases > len(MODES))
        trial.report.none_of("phases that passed unnoticed", missed)

    return misbehave


def outage(seconds: float) -> "Callable[[Trial, FaultControl, Process], None]":
    """Let the server be gone under load."""

    def misbehave(_: Trial, control: FaultControl, __: Process) -> None:
        control.switch(GONE)
        pause(seconds)

    return misbehave


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.faults")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults go on; 0: none of that")
    parser.add_argument("--outage", type=float, default=60.0, help="how long DataStorage is down; 0: none of that")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)), help="of what is left to chance")
    parser.add_argument("--durability", choices=["process", "memory"], default="process")
    parser.add_argument(
        "--leave-out-every", type=int, default=0, metavar="N", help="lose one event in N, to see it told"
    )
    options = Options(**vars(parser.parse_args()))

    reports = []
    if options.seconds:
        trial = Trial(f"Faults for {options.seconds:g} s", options, most_pending=MOST_PENDING)
        reports.append(trial.run(every_fault(options.seconds)))
        reports[-1].print()
    if options.outage:
        trial = Trial(f"Outage of {options.outage:g} s", options, most_pending=None)
        reports.append(trial.run(outage(options.outage)))
        reports[-1].print()
    return 1 if any(report.failed for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
