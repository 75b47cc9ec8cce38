"""ServiceAuditStore: the audit store of the process as one live service receives it."""

from types import TracebackType
from typing import Self

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.config import Durability
from signal_gateway.audit.errors import AuditStoreClosed
from signal_gateway.audit.event import AuditEvent
from signal_gateway.audit.recorded_ids import RecordedIds
from signal_gateway.audit.stats import AuditStats, FlushResult
from signal_gateway.audit.store import BufferedAuditStore
from signal_gateway.audit.wal.rejected import RejectedEvent

__all__ = ["ServiceAuditStore"]

_TIMEOUT = 5.0


class ServiceAuditStore(BufferedAuditStore):
    """Passes each call to the store of the process, and notes the ids of the recorded events.

    A service can use it as any `BufferedAuditStore`. The counters of `stats` are those of the store of the process.
    `close` flushes, and refuses further events of this service; the store of the process stays open.

    It inherits for the type only: it has no spool, no thread and no state of a store, and replaces every public name.

    Attributes:
        recorded: The ids of the events that passed.

    Args:
        store: The store of the process, not owned.
    """

    def __init__(self, store: BufferedAuditStore) -> None:  # without super().__init__: this is not a second store
        self._store = store
        self._is_closed = False
        self.recorded = RecordedIds()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._store!r}>"

    @property
    def client(self) -> DataStorageClient:
        """The client of the store."""
        return self._store.client

    @property
    def service(self) -> str:
        """Name of the service of the store."""
        return self._store.service

    @property
    def made_at(self) -> str:
        """File and line of the code that created the store."""
        return self._store.made_at

    @property
    def durability(self) -> Durability:
        """Failures that a recorded event survives."""
        return self._store.durability

    @property
    def accepting(self) -> bool:
        """Whether `record` accepts events of this service."""
        return not self._is_closed and self._store.accepting

    @property
    def free_bytes(self) -> float:
        """Free space for events in bytes, as far as known; 0 after `close`."""
        return 0 if self._is_closed else self._store.free_bytes

    @property
    def closed(self) -> bool:
        """Whether this object, or the store, was closed."""
        return self._is_closed or self._store.closed

    @property
    def stats(self) -> AuditStats:
        """A snapshot of the counters of the store."""
        return self._store.stats

    def rejected_events(self) -> tuple[RejectedEvent, ...]:
        """Return the events of the process that DataStorage rejected, oldest first."""
        return self._store.rejected_events()

    def record(self, event: AuditEvent) -> None:
        """Record an event in the store and note its id.

        Raises:
            AuditError: As for `BufferedAuditStore.record`.
        """
        if self._is_closed:
            raise AuditStoreClosed("this service closed its audit store before: record events before the close")
        self._store.record(event)
        self.recorded.add(event.event_id)

    def flush(self, timeout: float = _TIMEOUT) -> FlushResult:
        """Flush the store.

        Args:
            timeout: Maximum seconds to wait.
        """
        return self._store.flush(timeout)

    def close(self, timeout: float = _TIMEOUT) -> FlushResult:
        """Refuse further events of this service and flush the store, which stays open.

        Args:
            timeout: Maximum seconds to wait.
        """
        self._is_closed = True
        return self._store.flush(timeout)

    async def aflush(self, timeout: float = _TIMEOUT) -> FlushResult:  # noqa: ASYNC109 - a timeout is a result
        """Call `flush` without blocking the event loop."""
        return await self._store.aflush(timeout)

    async def aclose(self, timeout: float = _TIMEOUT) -> FlushResult:  # noqa: ASYNC109 - a timeout is a result
        """Call `close` without blocking the event loop."""
        self._is_closed = True
        return await self._store.aflush(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        """Do nothing: there is nothing to close."""
