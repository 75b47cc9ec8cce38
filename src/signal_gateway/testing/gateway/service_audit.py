"""The audit store and the DataStorage of a live service: shared with other servers, or embedded for this one."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.config import AuditStoreConfig
from signal_gateway.audit.stats import AuditStore, FlushResult
from signal_gateway.audit.store import BufferedAuditStore
from signal_gateway.audit.trail import AuditTrail
from signal_gateway.errors import HarnessError
from signal_gateway.testing.datastorage.embedded import EmbeddedDataStorage
from signal_gateway.testing.gateway.service_store import ServiceAuditStore

__all__ = ["DataStorageAddress", "EmbeddedAudit", "ServiceAudit", "SharedAudit"]


class DataStorageAddress(Protocol):
    """The address of a DataStorage, such as the value of the fixture `gateway_datastorage`."""

    @property
    def url(self) -> str:
        """The URL."""
        ...


class ServiceAudit(Protocol):
    """The audit store and the DataStorage of one service."""

    @property
    def store(self) -> AuditStore:
        """The audit store for the service."""
        ...

    @property
    def datastorage(self) -> DataStorageAddress:
        """The DataStorage of the store."""
        ...

    def flush(self, timeout: float) -> FlushResult | None:
        """Flush the store; None if the store has nothing to flush."""
        ...

    def trail(self, barrier: Callable[[float], FlushResult], *, timeout: float) -> AuditTrail:
        """Return queries over the events of the store, each after a barrier."""
        ...

    def close(self) -> None:
        """Close what belongs to this service alone."""
        ...


class SharedAudit:
    """An audit store that the service does not own. Its close does nothing.

    Attributes:
        store: The store for the service: a facade that notes the ids of its events, or the store itself if it is no
            `BufferedAuditStore`.

    Args:
        store: The store.
        datastorage: The DataStorage of the store. Default: the one of its client.
    """

    def __init__(self, store: AuditStore, *, datastorage: DataStorageAddress | None = None) -> None:
        self.store = ServiceAuditStore(store) if isinstance(store, BufferedAuditStore) else store
        self._datastorage = datastorage

    @property
    def datastorage(self) -> DataStorageAddress:
        """The DataStorage of the store.

        Raises:
            HarnessError: The store delivers to none.
        """
        return self._datastorage or self._buffered.client

    def flush(self, timeout: float) -> FlushResult | None:
        """Flush the store; None if the store is no `BufferedAuditStore`."""
        return self.store.flush(timeout=timeout) if isinstance(self.store, BufferedAuditStore) else None

    def trail(self, barrier: Callable[[float], FlushResult], *, timeout: float) -> AuditTrail:
        """Return queries over the events that the service recorded, each after a barrier.

        Raises:
            HarnessError: The store delivers to no DataStorage.
        """
        store = self._buffered
        return AuditTrail(store.client, barrier=barrier, timeout=timeout, recorded=store.recorded)

    def close(self) -> None:
        """Do nothing: the store is not owned."""

    @property
    def _buffered(self) -> ServiceAuditStore:
        if not isinstance(self.store, ServiceAuditStore):
            raise HarnessError(f"a {type(self.store).__name__} has no DataStorage to query: pass a BufferedAuditStore")
        return self.store


class EmbeddedAudit:
    """An embedded DataStorage and an audit store in memory for one service, created on first use.

    Args:
        flush_timeout: Seconds to deliver the pending events at the end.
    """

    def __init__(self, *, flush_timeout: float) -> None:
        self._flush_timeout = flush_timeout
        self._stack = ExitStack()
        self._datastorage: EmbeddedDataStorage | None = None
        self._store: BufferedAuditStore | None = None

    @property
    def datastorage(self) -> DataStorageAddress:
        """The embedded DataStorage; the first use starts it."""
        if self._datastorage is None:
            self._datastorage = self._stack.enter_context(EmbeddedDataStorage())
        return self._datastorage

    @property
    def store(self) -> AuditStore:
        """The audit store; the first use creates it."""
        return self._buffered

    def flush(self, timeout: float) -> FlushResult | None:
        """Flush the store; None if it was not used."""
        return None if self._store is None else self._store.flush(timeout=timeout)

    def trail(self, barrier: Callable[[float], FlushResult], *, timeout: float) -> AuditTrail:
        """Return queries over the events of the store, each after a barrier."""
        return AuditTrail(self._buffered.client, barrier=barrier, timeout=timeout)

    def close(self) -> None:
        """Deliver the pending events, then close the store and the DataStorage.

        Raises:
            HarnessError: Events were not delivered. The message has their number and the reason.
        """
        with self._stack:
            result = self.flush(self._flush_timeout)
            if result is not None and not result.ok:
                raise HarnessError(
                    f"{result.pending} audit events of the service pending and {result.rejected} rejected at its end:"
                    f" {result.error}"
                )

    @property
    def _buffered(self) -> BufferedAuditStore:
        if self._store is None:
            client = DataStorageClient(self.datastorage.url, source="embedded")
            self._stack.callback(client.close)
            config = AuditStoreConfig(durability="memory")
            self._store = self._stack.enter_context(BufferedAuditStore(client, service="service", config=config))
        return self._store
