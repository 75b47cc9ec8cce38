"""Outage: a DataStorage of a test's own to stop and start, and what depends on it."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.trail import AuditTrail
from signal_gateway.errors import HarnessError
from signal_gateway.gateway.config import GatewayConfig
from signal_gateway.testing.cluster.cluster import Cluster
from signal_gateway.testing.datastorage.delivery import close_store, open_store
from signal_gateway.testing.datastorage.embedded import EmbeddedDataStorage
from signal_gateway.testing.datastorage.spool_directory import new_spool_directory
from signal_gateway.testing.gateway.factory import GatewayFactory
from signal_gateway.testing.plugin.settings import Setting, Settings
from signal_gateway.testing.plugin.suite import Suite
from signal_gateway.testing.runtime.cleanup import run_all

__all__ = ["Outage"]

_SOURCE = "gateway_outage"


class Outage:
    """A private DataStorage with an audit store and a gateway factory; no other test sees its outages.

    Use it as a context manager. Its end starts a stopped DataStorage again and delivers what is left, so that an
    outage of a test loses nothing either.

    Attributes:
        datastorage: The DataStorage, running; `stop` and `start` it.
        audit_store: The store that delivers there.
        audit_trail: Exact queries over what the store recorded; a query needs the DataStorage running.
        gateway_factory: Makes live gateways that record to the store: `gateway_factory(processing={...})`.

    Args:
        cluster: The cluster that its gateways work on.
        config: Settings that its gateways start from.
        overrides: Settings over `config`, in rising precedence.
        flush_timeout: Seconds that the end may take to deliver what is left.
        suite: Whose servers its gateways are; by default the outage's own.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        config: GatewayConfig | None = None,
        overrides: Sequence[Mapping[str, Any]] = (),
        flush_timeout: float = 5.0,
        suite: Suite | None = None,
    ) -> None:
        self._flush_timeout = flush_timeout
        self._own_suite: Suite | None = None
        if suite is None:
            suite = self._own_suite = Suite(Settings())
        self.datastorage = EmbeddedDataStorage()
        self._spool_directory = new_spool_directory("outage")
        self.audit_store = open_store(
            DataStorageClient(self.datastorage.url, source=_SOURCE),
            service="gateway-outage",
            spool_directory=self._spool_directory,
        )
        suite.known_stores.add(self.audit_store)
        self.audit_trail = AuditTrail(self.audit_store.client, barrier=self.audit_store.flush)
        self.gateway_factory = GatewayFactory(
            suite,
            config=config or GatewayConfig(processing={"scope": {"enabled": False}}),
            cluster=cluster,
            audit_store=self.audit_store,
            overrides=overrides,
        )

    def close(self) -> None:
        """Stop the gateways, end the outage, deliver what is left, and close everything.

        Raises:
            HarnessError: Events could not be delivered, the message says how many and where they are kept; or
                something does not stop.
        """
        run_all(
            "the test's outage",
            self.gateway_factory.close,
            self.datastorage.start,
            self._deliver,
            self.audit_store.client.close,
            self.datastorage.close,
            self._close_own_suite,
        )

    def __enter__(self) -> Self:
        self.datastorage.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _deliver(self) -> None:
        verdict = close_store(
            self.audit_store,
            spool_directory=self._spool_directory,
            worker=self.audit_store.service,
            datastorage=Setting(self.datastorage.url, _SOURCE),
            timeout=self._flush_timeout,
        )
        if verdict.spool is not None:
            raise HarnessError(verdict.complaint)

    def _close_own_suite(self) -> None:
        trouble = self._own_suite.close().trouble if self._own_suite is not None else None
        if trouble is not None:
            raise HarnessError(trouble)
