"""`python -m tests.campaigns.kill`: a store's process is killed again and again, and no event may be lost by it.

Each process has four writers and a store on the spool directory of the one before. It dies by SIGKILL at a random
moment of its start, its work or its close, sometimes while DataStorage is down. Now and then exceptions are raised into
the store's thread, and the files of the database are moved away under a running DataStorage. As root, the spool is on a
small disk that fills up. In the end one more store recovers what is left, and the ledgers are compared with all
databases of DataStorage. Exits with 1 if anything was lost or is there twice.
"""

import argparse
import json
import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from prometheus_client.parser import text_string_to_metric_families
from tests.campaigns.kill_supervisor import WRITERS, Death, Life, SupervisorSettings
from tests.campaigns.ledger import read_ledger
from tests.campaigns.processes import Process, running
from tests.campaigns.report import Report

from signal_gateway.errors import HarnessError
from signal_gateway.testing import EmbeddedDataStorage

MOMENTS = {"start": 0.06, "run": 0.3, "close": 0.1}  # the longest delay, in seconds
WEIGHTS = (20, 60, 20)
FILLERS = (0, 0, 0, 200, 200, 2000)
LARGE_FILLER = 64 * 1024
LARGE_IN_SO_MANY = 20
CALM_PAUSE = 0.005
LONGEST_RUSH = 0.05  # so that a thousand of them stay within a disk
MOST_PENDING = 50_000
LONGEST_WITHOUT_WRITERS = 1.0
GOES_DOWN, COMES_UP, GOES_DOWN_MEANWHILE = 0.1, 0.4, 0.05
FLUSHER_DIES, DATABASE_IS_MOVED = 0.2, 0.05
SPOOL_DISK = "16m"  # full within the longest outages


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    kills: int
    seed: int
    durability: str
    leave_out_every: int
    keep: Path | None


class DataStorageOfTheCampaign:
    """A DataStorage that comes and goes, and that counts what it got more than once.

    Args:
        database: Its file.
    """

    def __init__(self, database: Path) -> None:
        self.redelivered = 0
        self.unclean_stops = 0
        self.up = False
        self.moves = 0
        self._database = database
        self._datastorage = EmbeddedDataStorage(database)
        self.url = self._datastorage.url

    def start(self) -> None:
        self._datastorage.start()
        self.up = True

    def stop(self) -> None:
        self.redelivered += self._duplicates()
        self.up = False
        try:
            self._datastorage.stop()
        except HarnessError:  # a store that connects in this very moment; what is committed stays so
            self.unclean_stops += 1

    def move_database(self) -> None:
        """Move the files away while it has them open; from then on nothing is stored until it is started again."""
        self.moves += 1
        past = self._database.parent / f"past-{self.moves:04}"
        past.mkdir()
        for path in self._database.parent.glob(f"{self._database.name}*"):
            path.rename(past / path.name)

    def close(self) -> None:
        self._datastorage.close()

    def _duplicates(self) -> int:
        text = httpx.get(f"{self.url}/metrics").text
        return sum(
            int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "datastorage_events_total" and sample.labels["result"] == "duplicate"
        )


def random_life(number: int, rng: random.Random) -> Life:
    """Draw a life: a long and calm one, or a short rush in which every writer is killed in the midst of a record."""
    (moment,) = rng.choices(list(MOMENTS), WEIGHTS)
    large = number % LARGE_IN_SO_MANY == LARGE_IN_SO_MANY - 1
    rush = large or rng.random() < 0.4
    return Life(
        number,
        moment,
        delay=rng.uniform(0.0, min(MOMENTS[moment], LONGEST_RUSH) if rush else MOMENTS[moment]),
        close_after=rng.uniform(0.0, LONGEST_RUSH),
        filler_bytes=LARGE_FILLER if large else rng.choice(FILLERS),
        pause=0.0 if rush else CALM_PAUSE,
        flusher_dies=rng.random() < FLUSHER_DIES,
    )


def life_without_writers(number: int, rng: random.Random) -> Life:
    """Draw a life that delivers what others left, or the queue would grow until all is refused."""
    return Life(number, "run", delay=rng.uniform(0.0, LONGEST_WITHOUT_WRITERS), writers=0)


@contextmanager
def small_disk(directory: Path) -> Iterator[bool]:
    """Mount a small disk for the spool; gives whether that is allowed."""
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SPOOL_DISK}", "tmpfs", str(directory)]
    has_disk = (
        shutil.which("mount") is not None and not subprocess.run(command, check=False, capture_output=True).returncode
    )
    try:
        yield has_disk
    finally:
        if has_disk:
            subprocess.run(["umount", "-l", directory], check=True)


def live(supervisor: Process, life: Life) -> None:
    supervisor.say(json.dumps(asdict(life)))


def died(supervisor: Process) -> Death:
    return Death(**json.loads(supervisor.hear()))


def campaign(options: Options, directory: Path) -> Report:
    rng = random.Random(options.seed)
    report = Report(f"{options.kills} kills (seed {options.seed}, durability {options.durability})")
    begin = time.monotonic()
    deaths: list[Death] = []
    moments: Counter[str] = Counter()
    while_down = 0

    datastorage = DataStorageOfTheCampaign(directory / "audit.db")
    settings = SupervisorSettings(datastorage.url, str(directory), options.durability, options.leave_out_every)
    with (
        small_disk(directory / "spool") as has_disk,
        closing(datastorage),
        running("tests.campaigns.kill_supervisor", json.dumps(asdict(settings))) as supervisor,
    ):
        datastorage.start()
        for number in range(options.kills):
            if not datastorage.up and rng.random() < COMES_UP:
                datastorage.start()
            elif datastorage.up and rng.random() < GOES_DOWN:
                datastorage.stop()
            behind = bool(deaths) and deaths[-1].pending > MOST_PENDING
            life = life_without_writers(number, rng) if behind else random_life(number, rng)
            live(supervisor, life)
            if datastorage.up and rng.random() < GOES_DOWN_MEANWHILE:
                datastorage.stop()
            has_moved = datastorage.up and rng.random() < DATABASE_IS_MOVED
            if has_moved:
                datastorage.move_database()
            deaths.append(died(supervisor))
            if has_moved:  # stores that came meanwhile were answered 503
                datastorage.stop()
            moments[life.moment] += 1
            while_down += not datastorage.up
        if not datastorage.up:
            datastorage.start()
        live(supervisor, Life(options.kills, "last"))
        last = died(supervisor)
        datastorage.stop()
        left_behind = [path.name for path in (directory / "spool").glob("*")]
    never_locked = {name for name in left_behind if name.endswith(".lock.tmp")}  # which have nobody's events

    report.figure("in the midst of start, run, close", " ".join(str(moments[moment]) for moment in MOMENTS))
    report.figure("while DataStorage was down", while_down)
    report.figure("before the store was ready", sum(not death.ready for death in deaths))
    report.figure("after the store was closed", sum(death.closed for death in deaths))
    compare(directory, report, deaths, last)
    report.none_of("files left behind", set(left_behind) - never_locked)
    report.figure("and locks that nobody had yet", len(never_locked))
    report.figure("database moved away", datastorage.moves)
    report.figure("spool on a small disk", "yes" if has_disk else "no")
    report.figure("sent more than once", datastorage.redelivered)
    report.figure("stops with a connection left", datastorage.unclean_stops)
    report.figure("seconds", f"{time.monotonic() - begin:.1f}")
    return report


def compare(directory: Path, report: Report, deaths: list[Death], last: Death) -> None:
    attempted = read_ledger(*directory.glob("attempted-*"))
    returned = read_ledger(*directory.glob("returned-*"))
    stored: set[str] = set()
    twice = repeated = 0
    for path in [directory / "audit.db", *directory.glob("past-*/audit.db")]:
        with closing(sqlite3.connect(path)) as database:
            rows = database.execute("SELECT event_id, correlation_id FROM audit_events").fetchall()
        here = {event_id.replace("-", "") for event_id, _ in rows}
        twice += max(len(rows) - len(here), len(rows) - len({correlation_id for _, correlation_id in rows}))
        repeated += len(stored & here)
        stored |= here
    refused = read_ledger(*directory.glob("refused-*"))
    in_flight = len(set(attempted) - set(returned) - set(refused))

    report.check("events recorded", len(returned), holds=len(returned) == len(set(returned)) > 0)
    report.check("in flight when killed", in_flight, holds=0 <= in_flight <= WRITERS * len(deaths))
    report.figure("and stored nevertheless", len(stored - set(returned)))
    report.figure("refused, the spool being full", len(refused))
    report.figure("stored", len(stored))
    report.figure("stored in two databases, before and after a move", repeated)
    report.none_of("lost", set(returned) - stored)
    report.none_of("out of nowhere", stored - set(attempted))
    report.none_of("refused and stored", stored & set(refused))
    report.check("twice", twice, holds=twice == 0)
    lives = [*deaths, last]
    report.check("left in the spool", last.pending, holds=last.pending == 0)
    rejected = sum(life.rejected for life in lives)
    report.check("rejected", rejected, holds=rejected == 0)
    corrupt = sum(life.corrupt for life in lives)
    report.check("corrupt places in the spool", corrupt, holds=corrupt == 0)
    report.figure("exceptions in the store's thread", sum(life.interruptions for life in lives))
    report.figure("torn frames", sum(life.torn for life in lives))
    report.none_of("lives that went wrong", [life.trouble for life in lives if life.trouble])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.kill")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)), help="of what is left to chance")
    parser.add_argument("--durability", choices=["process", "memory"], default="process")
    parser.add_argument(
        "--leave-out-every", type=int, default=0, metavar="N", help="lose one event in N, to see it told"
    )
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="leave spool, ledgers and database there")
    options = Options(**vars(parser.parse_args()))
    logging.disable(logging.CRITICAL)  # of a DataStorage without its database

    with TemporaryDirectory(prefix="kill-") as directory:
        if options.keep is not None:
            options.keep.mkdir(parents=True)
        report = campaign(options, options.keep or Path(directory))
    report.print()
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
