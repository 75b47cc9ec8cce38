"""The wiring of the incident, small and honest: a constructor that makes an audit store of its own on the side.

Nothing here is to be copied. It exists so that the tests beside it, and the benchmark, can show what went wrong.
"""

import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Mount

from signal_gateway import GatewayConfig, create_gateway
from signal_gateway.audit import AuditEvent, DataStorageClient
from signal_gateway.audit.client.results import BatchAccepted
from signal_gateway.audit.recorded_ids import RecordedIds
from signal_gateway.kubernetes import KubernetesClient

__all__ = ["DEFAULT_PORT", "FLUSHER", "FLUSH_INTERVAL", "URL_VARIABLE", "OldAuditStore", "OldGateway"]

URL_VARIABLE = "DATA_STORAGE_URL"
DEFAULT_PORT = 18090
FLUSH_INTERVAL = 1.0
FLUSHER = "audit-flusher-of-one-server"


class OldAuditStore:
    """A buffer, and a thread that empties it once an interval until it is cancelled.

    There is no barrier: nobody can ask when an event is delivered. What the buffer holds when the flusher is
    cancelled is lost, and nobody is told.

    Args:
        client: Where events are delivered.
        flush_interval: Seconds between deliveries.

    Attributes:
        accepting: Always; a gateway asks for it.
        flushed: Set by the first delivery that got through.
    """

    accepting = True

    def __init__(self, client: DataStorageClient, *, flush_interval: float) -> None:
        self.client = client
        self.flushed = threading.Event()
        self._flush_interval = flush_interval
        self._buffer: list[AuditEvent] = []
        self._lock = threading.Lock()  # over the buffer
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name=FLUSHER, daemon=True)

    def record(self, event: AuditEvent) -> None:
        """Put an event into the buffer."""
        with self._lock:
            self._buffer.append(event)

    def start(self) -> None:
        """Start the flusher."""
        self._thread.start()

    def cancel(self) -> None:
        """Cut the flusher off."""
        self._cancelled.set()
        self._thread.join()
        self.client.close()

    def _run(self) -> None:
        while not self._cancelled.wait(self._flush_interval):
            with self._lock:
                batch, self._buffer = self._buffer, []
            if batch:
                self._deliver(batch)

    def _deliver(self, batch: list[AuditEvent]) -> None:
        body = b"[" + b",".join(event.to_wire() for event in batch) + b"]"
        if isinstance(self.client.deliver(body, len(batch)), BatchAccepted):
            self.flushed.set()
            return
        with self._lock:
            self._buffer[:0] = batch  # and not a word about it


class OldGateway:
    """Today's gateway behind the old constructor, for `LiveGateway` to serve.

    Args:
        config: Its settings.
        kubernetes: The client it works through.
        registry: The registry of the process; the old default was prometheus_client's global one.
        default_port: Where DataStorage is taken to be when the environment does not say.
        flush_interval: Seconds between deliveries.
    """

    def __init__(
        self,
        config: GatewayConfig,
        *,
        kubernetes: KubernetesClient,
        registry: CollectorRegistry,
        default_port: int = DEFAULT_PORT,
        flush_interval: float = FLUSH_INTERVAL,
    ) -> None:
        url = os.environ.get(URL_VARIABLE, f"http://127.0.0.1:{default_port}")
        client = DataStorageClient(url, source=URL_VARIABLE if URL_VARIABLE in os.environ else "the default port")
        self.audit_store = OldAuditStore(client, flush_interval=flush_interval)
        self._gateway = create_gateway(config, kubernetes=kubernetes, audit_store=self.audit_store, registry=registry)
        self.config = config
        self.registry = registry
        self.clock = self._gateway.clock
        self.app = Starlette(routes=[Mount("/", app=self._gateway.app)], lifespan=self._lifespan)

    def keep_recorded_ids(self) -> RecordedIds:
        """Return the ids of the events that the gateway records."""
        return self._gateway.keep_recorded_ids()

    async def settle(self) -> None:
        """Return as soon as no request is in flight and no background write is left."""
        await self._gateway.settle()

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self.audit_store.start()
        try:
            async with self._gateway:
                yield
        finally:
            self.audit_store.cancel()
