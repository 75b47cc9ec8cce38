"""The process of the store under trial: writers, a sampler of its figures, and a checker of its barriers.

    python -m tests.campaigns.fault_load '{"url": ..., ...}'

It says `ready`, takes `go`, `bad` (mark some events as bad from now on) and `stop` on standard input, then closes the
store and prints what it found as JSON.
"""

import json
import logging
import random
import sys
import threading
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.campaigns.fault_server import FaultControl
from tests.campaigns.ledger import Ledger
from tests.campaigns.orders import order_event

from signal_gateway.audit import AuditStoreConfig, BufferedAuditStore, DataStorageClient

__all__ = ["LoadFindings", "LoadSettings"]

WRITERS = 4
BURST = 20
LONGEST_FILLER = 1000
ONE_IN_SO_MANY_IS_BAD = 1000
SAMPLE_SECONDS = 0.02
LONGEST_FLUSH = 2.0
FIRST_FINDINGS = 5


@dataclass(frozen=True)
class LoadSettings:
    """What a load process is told.

    Attributes:
        url: Where the fault server is.
        directory: Of the server and the ledgers.
        durability: Of the store.
        seed: For sizes and pauses.
        events_per_second: Of all writers together.
        most_pending: Writers pause when so many events wait.
        request_timeout: Seconds.
        close_timeout: Seconds.
        leave_out_every: Lose one event in so many before the store sees it, to see that the campaign fails; 0: none.
    """

    url: str
    directory: str
    durability: str
    seed: int
    events_per_second: int
    most_pending: int
    request_timeout: float
    close_timeout: float
    leave_out_every: int


@dataclass
class LoadFindings:
    """What a load process found.

    Attributes:
        recorded: By the store, at its end, and so on.
        delivered: Events.
        rejected: Events.
        pending: Events.
        refused: Calls of `record` that raised.
        retries: Deliveries without a verdict.
        batches: Deliveries.
        close_pending: What `close` said is left.
        samples: How often the figures were looked at.
        wrong_samples: How often they were wrong.
        most_pending: The longest queue.
        idle_bytes: Anonymous memory before the first event.
        peak_bytes: The most of it.
        ok_flushes: Barriers that said ok.
        passed_flushes: Barriers with nothing pending before them.
        flushes: All barriers.
        untrue_flushes: How many of them lied.
        complaints: The first wrong samples and untrue flushes, and what ended a thread.
    """

    recorded: int = 0
    delivered: int = 0
    rejected: int = 0
    pending: int = 0
    refused: int = 0
    retries: int = 0
    batches: int = 0
    close_pending: int = 0
    samples: int = 0
    wrong_samples: int = 0
    most_pending: int = 0
    idle_bytes: int = 0
    peak_bytes: int = 0
    ok_flushes: int = 0
    passed_flushes: int = 0
    flushes: int = 0
    untrue_flushes: int = 0
    complaints: list[str] = None  # type: ignore[assignment]


class Load:
    """Runs the threads; each writer is alone in writing its own place in the lists.

    Args:
        settings: What to do.
    """

    def __init__(self, settings: LoadSettings) -> None:
        directory = Path(settings.directory)
        spool = {"spool_directory": directory / "spool"} if settings.durability == "process" else {}
        self.store = BufferedAuditStore(
            DataStorageClient(settings.url, timeout=settings.request_timeout),
            service="faults",
            config=AuditStoreConfig.model_validate(
                {"durability": settings.durability, "initial_backoff": 0.02, "max_backoff": 0.2, **spool}
            ),
        )
        self.findings = LoadFindings(complaints=[])
        self.mark_bad = threading.Event()
        self._settings = settings
        self._directory = directory
        self._go = threading.Event()
        self._writers_stop = threading.Event()
        self._watchers_stop = threading.Event()
        self._attempted = [0] * WRITERS
        self._returned = [0] * WRITERS
        self._bad = [0] * WRITERS
        self._pending = 0
        self._writers = [self._thread(self._write, writer) for writer in range(WRITERS)]
        self._watchers = [self._thread(self._sample), self._thread(self._check)]

    def go(self) -> None:
        self.findings.idle_bytes = _anonymous_bytes()
        self._go.set()

    def stop(self) -> LoadFindings:
        """End the writers, close the store, and return what was found."""
        self._writers_stop.set()
        self._go.set()
        for thread in self._writers:
            thread.join()
        closed = self.store.close(self._settings.close_timeout)
        self._watchers_stop.set()
        for thread in self._watchers:
            thread.join()

        ledger = Ledger(self._directory / "rejected")
        for event in self.store.rejected_events():
            ledger.append(event.event_id)
        stats = self.store.stats
        for name in ("recorded", "delivered", "rejected", "pending", "refused", "retries", "batches"):
            setattr(self.findings, name, getattr(stats, name))
        self.findings.close_pending = closed.pending
        return self.findings

    def _thread(self, target, *arguments) -> threading.Thread:
        def run() -> None:
            self._go.wait()
            try:
                target(*arguments)
            except BaseException:  # noqa: BLE001 - a thread that ends early must not look like one with nothing to say
                self.findings.complaints.insert(0, traceback.format_exc())

        thread = threading.Thread(target=run, name=target.__name__)
        thread.start()
        return thread

    def _write(self, writer: int) -> None:
        rng = random.Random(self._settings.seed + writer)
        recorded = Ledger(self._directory / f"recorded-{writer}")
        bad_ones = Ledger(self._directory / f"bad-{writer}")
        pause = BURST * WRITERS / self._settings.events_per_second
        while not self._writers_stop.wait(pause):
            if self._pending >= self._settings.most_pending:
                continue
            for number in range(self._attempted[writer], self._attempted[writer] + BURST):
                bad = self.mark_bad.is_set() and rng.randrange(ONE_IN_SO_MANY_IS_BAD) == 0
                event = order_event(str(writer), number, bad=bad, filler="x" * rng.randrange(LONGEST_FILLER))
                self._attempted[writer] = number + 1
                if not self._settings.leave_out_every or number % self._settings.leave_out_every:
                    self.store.record(event)
                recorded.append(event.event_id)
                if bad:
                    bad_ones.append(event.event_id)
                    self._bad[writer] += 1
                self._returned[writer] = number + 1

    def _sample(self) -> None:
        before = self.store.stats
        while not self._watchers_stop.wait(SAMPLE_SECONDS):
            returned = sum(self._returned)
            stats = self.store.stats
            attempted = sum(self._attempted)
            right = (
                stats.recorded == stats.delivered + stats.rejected + stats.pending
                and min(stats.delivered, stats.rejected, stats.pending) >= 0
                and returned <= stats.recorded <= attempted
                and stats.recorded >= before.recorded
                and stats.delivered >= before.delivered
                and stats.rejected >= before.rejected
                and stats.refused == 0
            )
            if not right:
                self.findings.wrong_samples += 1
                self._complain(f"of {returned} to {attempted} events the store says, after {before}: {stats}")
            before = stats
            self._pending = stats.pending
            self.findings.samples += 1
            self.findings.most_pending = max(self.findings.most_pending, stats.pending)
            self.findings.peak_bytes = max(self.findings.peak_bytes, _anonymous_bytes())

    def _check(self) -> None:
        rng = random.Random(self._settings.seed)
        control = FaultControl(self._directory)
        reported = 0  # rejected events, each of which one barrier reports
        while not self._watchers_stop.wait(SAMPLE_SECONDS):
            returned = list(self._returned)
            bad = sum(self._bad)
            result = self.store.flush(timeout=rng.uniform(0.0, LONGEST_FLUSH))
            delivered = self.store.stats.delivered
            stored, settled = control.progress()

            reported += result.rejected
            behind = [writer for writer in range(WRITERS) if settled.get(str(writer), 0) < returned[writer]]
            true = (
                not (result.ok and (behind or result.rejected))
                and not (result.pending == 0 and reported < bad)
                and not (result.pending == 0 and behind)
                and result.ok == (result.error is None)
                and not (result.ok and result.pending)
                and delivered <= stored
            )
            if not true:
                self.findings.untrue_flushes += 1
                self._complain(
                    f"behind {returned} ({bad} bad, {reported} of them reported) the barrier said {result},"
                    f" and stats {delivered} delivered, when {stored} were stored, without gap up to {settled}"
                )
            self.findings.flushes += 1
            self.findings.ok_flushes += result.ok
            self.findings.passed_flushes += result.pending == 0

    def _complain(self, what: str) -> None:
        if len(self.findings.complaints) < FIRST_FINDINGS:
            self.findings.complaints.append(what)


def _anonymous_bytes() -> int:
    """Return the resident memory of this process that is no file's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this kernel doesn't tell RssAnon")


def main(settings: LoadSettings) -> None:
    logging.disable(logging.CRITICAL)
    load = Load(settings)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        match line.strip():
            case "go":
                load.go()
            case "bad":
                load.mark_bad.set()
            case "stop":
                break
    sys.stdout.write(json.dumps(asdict(load.stop())))


if __name__ == "__main__":
    main(LoadSettings(**json.loads(sys.argv[1])))
