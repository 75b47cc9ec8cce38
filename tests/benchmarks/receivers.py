"""The ways to receive an event that the record-cost benchmark compares: the audit store and its alternatives.

Each is given events that were made before, in the form that its hot path wants, and a directory of its own.
"""

import logging
import logging.handlers
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import persistqueue
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from tests.benchmarks.audit_store import crash_safe_store, deliver_everything, memory_store
from tests.benchmarks.sinks import forget_events, nobody, validating_sink

from signal_gateway.audit import AuditEvent

__all__ = ["WAYS", "Receiver"]


@dataclass(frozen=True)
class Receiver:
    """One way to receive events.

    Attributes:
        items: Its arguments, one per event.
        receive: Its hot path.
        drain: Removes the received events between two bursts, except those in the spool of a store without server.
        lost: Returns the number of lost events, from the number of given events.
    """

    items: Sequence[Any]
    receive: Callable[[Any], object]
    drain: Callable[[], object] = lambda: None
    lost: Callable[[int], int] = lambda _: 0


Opener = Callable[[list[AuditEvent], Path], AbstractContextManager[Receiver]]


@contextmanager
def spool(events: list[AuditEvent], directory: Path) -> Iterator[Receiver]:
    with nobody() as url:
        store = crash_safe_store(url, directory)
        yield Receiver(events, store.record)
        store.close(0.0)


@contextmanager
def spool_delivering(events: list[AuditEvent], directory: Path) -> Iterator[Receiver]:
    with validating_sink() as url, crash_safe_store(url, directory) as store:

        def drain() -> None:
            deliver_everything(store)
            forget_events(url)

        yield Receiver(events, store.record, drain)


@contextmanager
def memory(events: list[AuditEvent], _: Path) -> Iterator[Receiver]:
    with nobody() as url:
        store = memory_store(url)
        yield Receiver(events, store.record)
        store.close(0.0)


class Exporter(LogRecordExporter):
    """Does nothing but count."""

    exported = 0

    def export(self, batch: Sequence[object]) -> LogRecordExportResult:
        self.exported += len(batch)
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is open."""

    def force_flush(self, timeout_millis: int = 0) -> bool:  # noqa: ARG002 - its name is given
        return True


class Keeper(LogRecordProcessor):
    """Keeps what a Logger hands to its processor."""

    def __init__(self) -> None:
        self.records: list[ReadWriteLogRecord] = []

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self.records.append(log_record)

    def shutdown(self) -> None:
        """Nothing is open."""

    def force_flush(self, timeout_millis: int = 0) -> bool:  # noqa: ARG002 - its name is given
        return True


@contextmanager
def otel_on_emit(events: list[AuditEvent], _: Path) -> Iterator[Receiver]:
    provider, keeper = LoggerProvider(), Keeper()
    provider.add_log_record_processor(keeper)
    logger = provider.get_logger("bench")
    for arguments in map(_as_log, events):
        logger.emit(**arguments)

    exporter = Exporter()
    processor = BatchLogRecordProcessor(exporter)
    yield Receiver(
        keeper.records, processor.on_emit, processor.force_flush, lost=lambda given: given - exporter.exported
    )
    processor.shutdown()


@contextmanager
def otel_emit(events: list[AuditEvent], _: Path) -> Iterator[Receiver]:
    exporter, provider = Exporter(), LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logger = provider.get_logger("bench")
    yield Receiver(
        [_as_log(event) for event in events],
        lambda arguments: logger.emit(**arguments),
        provider.force_flush,
        lost=lambda given: given - exporter.exported,
    )
    provider.shutdown()


def _as_log(event: AuditEvent) -> dict[str, Any]:
    """Say an event in OpenTelemetry's words: `event_data` is the body, the rest are attributes."""
    attributes = event.model_dump(mode="json", exclude_none=True, exclude={"event_data"})
    moment = int(event.event_timestamp.timestamp() * 1e9)
    return {"event_name": event.event_type, "timestamp": moment, "body": event.event_data, "attributes": attributes}


@contextmanager
def queue_handler(events: list[AuditEvent], _: Path) -> Iterator[Receiver]:
    taken: queue.Queue[Any] = queue.Queue()
    logger = logging.getLogger("bench")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(logging.handlers.QueueHandler(taken))
    yield Receiver(events, lambda event: logger.info("audit event", extra={"event": event}), taken.queue.clear)


@contextmanager
def plain_queue(events: list[AuditEvent], _: Path) -> Iterator[Receiver]:
    taken: queue.Queue[AuditEvent] = queue.Queue()
    yield Receiver(events, taken.put_nowait, taken.queue.clear)


def _sqlite(synchronous: str) -> Opener:
    @contextmanager
    def sqlite(events: list[AuditEvent], directory: Path) -> Iterator[Receiver]:
        connection = sqlite3.connect(directory / "queue.db", isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("CREATE TABLE queue (id INTEGER PRIMARY KEY, event BLOB)")
        lock = threading.Lock()

        def receive(event: AuditEvent) -> None:
            with lock:
                connection.execute("INSERT INTO queue (event) VALUES (?)", (event.to_wire(),))

        yield Receiver(events, receive, lambda: connection.execute("DELETE FROM queue"))
        connection.close()

    return sqlite


@contextmanager
def persist_queue_sqlite(events: list[AuditEvent], directory: Path) -> Iterator[Receiver]:
    taken = persistqueue.SQLiteQueue(str(directory), multithreading=True, auto_commit=True)
    yield Receiver(events, lambda event: taken.put(event.to_wire()), lambda: _empty(taken))
    taken.close()


@contextmanager
def persist_queue_file(events: list[AuditEvent], directory: Path) -> Iterator[Receiver]:
    taken = persistqueue.Queue(str(directory / "queue"), tempdir=str(directory))
    yield Receiver(events, lambda event: taken.put(event.to_wire()), lambda: _empty(taken))


def _empty(taken: Any) -> None:
    while taken.qsize():
        taken.get()
        taken.task_done()


WAYS: dict[str, tuple[Opener, int]] = {
    "spool": (spool, 10_000),
    "spool_delivering": (spool_delivering, 10_000),
    "memory": (memory, 10_000),
    "queue": (plain_queue, 10_000),
    "queue_handler": (queue_handler, 10_000),
    "otel_on_emit": (otel_on_emit, 10_000),
    "otel_emit": (otel_emit, 10_000),
    "sqlite_normal": (_sqlite("NORMAL"), 4_000),
    "sqlite_full": (_sqlite("FULL"), 200),
    "persist_queue_sqlite": (persist_queue_sqlite, 200),
    "persist_queue_file": (persist_queue_file, 200),
}
"""How each way is opened, and how many events make a burst, a multiple of four: the slow ones get fewer."""
