"""Outage: a DataStorage for one test that can be stopped and started, with an audit store and a gateway factory."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.trail import AuditTrail
from signal_gateway.errors import HarnessError
from signal_gateway.gateway.config import GatewayConfig, merged
from signal_gateway.testing.cluster.cluster import Cluster
from signal_gateway.testing.datastorage.embedded import EmbeddedDataStorage
from signal_gateway.testing.gateway.factory import GatewayFactory
from signal_gateway.testing.plugin.delivery import close_store, open_store
from signal_gateway.testing.plugin.settings import Setting, Settings
from signal_gateway.testing.plugin.spool_directory import new_spool_directory
from signal_gateway.testing.plugin.suite import Suite
from signal_gateway.testing.runtime.cleanup import run_all

__all__ = ["Outage"]

_SOURCE = "gateway_outage"


class Outage:
    """A private DataStorage with an audit store and a gateway factory; its outages affect no other test.

    Use it as a context manager. At its end it starts a stopped DataStorage again and delivers the pending events, so
    that no event is lost.

    Attributes:
        datastorage: The DataStorage; call `stop` and `start`.
        audit_store: The store that delivers to this DataStorage.
        audit_trail: Exact queries over the events of the store. A query needs a running DataStorage.
        gateway_factory: Creates live gateways that record to the store: `gateway_factory(processing={...})`.

    Args:
        cluster: The cluster of the gateways.
        config: The default settings of the gateways.
        overrides: Settings that override `config`, in rising precedence.
        flush_timeout: Seconds to deliver the pending events at the end.
        suite: The suite that counts the gateways; by default a new one.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        config: GatewayConfig | None = None,
        overrides: Sequence[Mapping[str, Any]] = (),
        flush_timeout: float = 30.0,
        suite: Suite | None = None,
    ) -> None:
        self._flush_timeout = flush_timeout
        self._own_suite: Suite | None = None
        if suite is None:
            suite = self._own_suite = Suite(Settings())
        self.datastorage = EmbeddedDataStorage(startup_timeout=suite.host.startup_timeout)
        self._spool_directory = new_spool_directory("outage")
        self.audit_store = open_store(
            DataStorageClient(self.datastorage.url, source=_SOURCE),
            service="gateway-outage",
            spool_directory=self._spool_directory,
        )
        suite.known_stores.add(self.audit_store)
        self.audit_trail = AuditTrail(self.audit_store.client, barrier=self.audit_store.flush, timeout=10.0)
        self.gateway_factory = GatewayFactory(
            suite.host,
            config=config or merged(GatewayConfig(), {"processing": {"scope": {"enabled": False}}}),
            cluster=cluster,
            audit_store=self.audit_store,
            overrides=overrides,
        )

    def close(self) -> None:
        """Stop the gateways, end the outage, deliver the pending events, and close all parts.

        Raises:
            HarnessError: Events were not delivered, and the message has their number and location; or a part does
                not stop.
        """
        run_all(
            "the outage of the test",
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
            raise HarnessError(verdict.loss_message)

    def _close_own_suite(self) -> None:
        stop_error = self._own_suite.close().stop_error if self._own_suite is not None else None
        if stop_error is not None:
            raise HarnessError(stop_error)
