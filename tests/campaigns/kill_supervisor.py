"""Forks one process after the other, each with a store on the same spool directory, and kills it.

    python -m tests.campaigns.kill_supervisor '{"url": ..., ...}'

Everything is imported before, and no thread ever runs here, so that a fork costs milliseconds. It takes a `Life` per
line on standard input and answers with a `Death`.
"""

import ctypes
import json
import logging
import mmap
import os
import random
import select
import signal
import struct
import sys
import threading
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx  # noqa: F401 - what a store needs is to be there before the fork
from tests.campaigns.ledger import Ledger
from tests.campaigns.orders import order_event

from signal_gateway.audit import (
    AuditStoreClosed,
    AuditStoreConfig,
    AuditStoreFull,
    BufferedAuditStore,
    DataStorageClient,
)

__all__ = ["WRITERS", "Death", "Life", "SupervisorSettings"]

WRITERS = 4
BURST = 5
SAMPLE_SECONDS = 0.005
LONGEST_PEACE = 0.02
REQUEST_TIMEOUT = 2.0
BIRTH_DEADLINE = 60.0
CLOSE_TIMEOUT = 10.0
LAST_TIMEOUT = 300.0

READY, CLOSING, CLOSED = b"r", b"c", b"e"


@dataclass(frozen=True)
class SupervisorSettings:
    """The settings of a supervisor.

    Attributes:
        url: Of DataStorage.
        directory: For the spool and the ledgers.
        durability: Of the stores.
        leave_out_every: Lose one event in so many before the store sees it, each writer's first one included, to see
            that the campaign fails; 0: none.
    """

    url: str
    directory: str
    durability: str
    leave_out_every: int


@dataclass(frozen=True)
class Life:
    """What a process is to do, and when it dies.

    Attributes:
        number: Which one it is.
        moment: What the delay counts from: `start`, the fork; `run`, the store being ready; `close`, the beginning of
            a close; or `last`, a store that has no writers, is closed with all the time it needs, and isn't killed.
        delay: Seconds.
        close_after: Seconds from ready to close.
        filler_bytes: In each event.
        pause: Seconds between a writer's bursts.
        writers: How many.
        flusher_dies: Whether exceptions are raised into the store's thread, again and again.
    """

    number: int
    moment: str
    delay: float = 0.0
    close_after: float = 0.0
    filler_bytes: int = 0
    pause: float = 0.0
    writers: int = WRITERS
    flusher_dies: bool = False


@dataclass(frozen=True)
class Death:
    """What is known when a process is gone.

    Attributes:
        ready: Whether its store was ready.
        closed: Whether its store had been closed.
        trouble: What went wrong, if it did not die as it was told.
        torn: Torn frames that its store met where another was killed in the midst of writing.
        corrupt: Places in the spool that it could not read.
        pending: Events that waited, of stores before it, too.
        rejected: Events that DataStorage refused, of stores before it, too.
        interruptions: Exceptions that reached the store's thread.
    """

    ready: bool
    closed: bool
    trouble: str
    torn: int
    corrupt: int
    pending: int
    rejected: int
    interruptions: int


class Tally:
    """The figures of a process in memory that it shares with its supervisor; they survive its death."""

    _NAMES = ("wrong", "torn", "corrupt", "pending", "rejected", "interruptions")
    _LAYOUT = struct.Struct(f"<{len(_NAMES)}Q")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, self._LAYOUT.size)

    def set(self, **figures: int) -> None:
        """Set some figures; for one thread of one process."""
        self._memory[:] = self._LAYOUT.pack(*(self.read() | figures).values())

    def read(self) -> dict[str, int]:
        return dict(zip(self._NAMES, self._LAYOUT.unpack(self._memory[:]), strict=True))


def _live(life: Life, settings: SupervisorSettings, tally: Tally, pipe: int) -> None:
    store = BufferedAuditStore(
        DataStorageClient(settings.url, timeout=REQUEST_TIMEOUT), service="kill", config=_config(settings)
    )
    if life.moment == "last":
        store.close(LAST_TIMEOUT)
        _sample(store, tally, wrong=0)
        return

    for writer in range(life.writers):
        threading.Thread(target=_write, args=(life, settings, store, writer), daemon=True).start()
    threading.Thread(target=_sample_often, args=(store, tally), daemon=True).start()
    if life.flusher_dies:
        threading.Thread(target=_raise_often, args=(life.number,), daemon=True).start()
    os.write(pipe, READY)
    forever = threading.Event()
    if life.moment == "close":
        forever.wait(life.close_after)
        os.write(pipe, CLOSING)
        store.close(CLOSE_TIMEOUT)
        os.write(pipe, CLOSED)
    forever.wait()


def _config(settings: SupervisorSettings) -> AuditStoreConfig:
    spool = {"spool_directory": Path(settings.directory) / "spool"} if settings.durability == "process" else {}
    return AuditStoreConfig.model_validate(
        {"durability": settings.durability, "initial_backoff": 0.01, "max_backoff": 0.1, **spool}
    )


def _write(life: Life, settings: SupervisorSettings, store: BufferedAuditStore, writer: int) -> None:
    attempted, returned, refused = (
        Ledger(Path(settings.directory) / f"{kind}-{writer}") for kind in ("attempted", "returned", "refused")
    )
    name = f"{life.number}-{writer}"
    filler = "x" * life.filler_bytes
    pause = threading.Event().wait
    number = 0
    while True:
        for _ in range(BURST):
            event = order_event(name, number, filler=filler)
            is_left_out = settings.leave_out_every and number % settings.leave_out_every == 0
            number += 1
            attempted.append(event.event_id)
            try:
                if not is_left_out:
                    store.record(event)
            except AuditStoreClosed:
                return
            except AuditStoreFull:
                refused.append(event.event_id)
            else:
                returned.append(event.event_id)
        pause(life.pause)


def _raise_often(seed: int) -> None:
    """Raise SystemExit into the store's thread, as a logging handler or another thread may."""
    rng = random.Random(seed)
    pause = threading.Event().wait
    while True:
        pause(rng.uniform(0.0, LONGEST_PEACE))
        for thread in threading.enumerate():
            if thread.name == "audit-flusher-kill" and thread.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


def _sample_often(store: BufferedAuditStore, tally: Tally) -> None:
    wrong = 0
    pause = threading.Event().wait
    while True:
        stats = store.stats
        wrong += stats.recorded != stats.delivered + stats.rejected + stats.pending
        _sample(store, tally, wrong=wrong)
        pause(SAMPLE_SECONDS)


def _sample(store: BufferedAuditStore, tally: Tally, *, wrong: int) -> None:
    stats = store.stats
    tally.set(
        wrong=wrong,
        torn=stats.recovered.torn,
        corrupt=stats.recovered.corrupt,
        pending=stats.pending + stats.recovered.pending,
        rejected=stats.rejected + stats.recovered.rejected,
        interruptions=stats.interruptions,
    )


def _fork(life: Life, settings: SupervisorSettings, tally: Tally) -> tuple[int, int]:
    """Return the process id, and the pipe that it talks through; its end is the process's end."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    status = 1
    try:
        os.close(reading)
        threading.excepthook = _die_of
        _live(life, settings, tally, writing)
        status = 0
    except BaseException:  # noqa: BLE001 - must not go on as a second supervisor
        traceback.print_exc()
    finally:
        os._exit(status)


def _die_of(exception: threading.ExceptHookArgs) -> None:
    threading.__excepthook__(exception)
    os._exit(1)


def _let_live(life: Life, settings: SupervisorSettings) -> Death:
    tally = Tally()
    process, pipe = _fork(life, settings, tally)
    said = b""
    try:
        said = _wait_for_moment(life, pipe)
    finally:
        if life.moment != "last":
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
    while rest := os.read(pipe, 16):
        said += rest
    os.close(pipe)

    figures = tally.read()
    expected = 0 if life.moment == "last" else -signal.SIGKILL
    trouble = ""
    if os.waitstatus_to_exitcode(status) != expected:
        trouble = f"life {life} ended with status {os.waitstatus_to_exitcode(status)}"
    elif figures.pop("wrong"):
        trouble = f"in life {life} recorded was not delivered + rejected + pending"
    figures.pop("wrong", None)
    return Death(ready=READY in said, closed=CLOSED in said, trouble=trouble, **figures)


def _wait_for_moment(life: Life, pipe: int) -> bytes:
    """Wait until it is time to kill, or the process has ended by itself."""
    said = b""
    awaited = {"start": b"", "run": READY, "close": CLOSING, "last": CLOSED}[life.moment]
    deadline = time.monotonic() + (LAST_TIMEOUT * 2 if life.moment == "last" else BIRTH_DEADLINE)
    while awaited not in said:
        heard = _read_until(pipe, deadline)
        if not heard:
            return said
        said += heard
    until = time.monotonic() + life.delay
    while heard := _read_until(pipe, until):
        said += heard
    return said


def _read_until(pipe: int, moment: float) -> bytes:
    """Return what the process says, or nothing when it ended or the moment has come."""
    readable, _, _ = select.select([pipe], [], [], max(moment - time.monotonic(), 0.0))
    return os.read(pipe, 16) if readable else b""


def main(settings: SupervisorSettings) -> None:
    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        death = _let_live(Life(**json.loads(line)), settings)
        sys.stdout.write(json.dumps(asdict(death)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(SupervisorSettings(**json.loads(sys.argv[1])))
