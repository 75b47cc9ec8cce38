"""Suite: the DataStorage, the audit store and the server host that all tests of one process share."""

import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import httpx

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.errors import DataStorageUnavailable
from signal_gateway.audit.lifetime import OpenStore, open_stores
from signal_gateway.audit.store import BufferedAuditStore
from signal_gateway.errors import HarnessError
from signal_gateway.testing.datastorage.embedded import EmbeddedDataStorage
from signal_gateway.testing.plugin.delivery import client_from_settings, close_store, open_store
from signal_gateway.testing.plugin.settings import Setting, Settings
from signal_gateway.testing.plugin.spool_directory import new_spool_directory
from signal_gateway.testing.plugin.verdict import Verdict
from signal_gateway.testing.runtime.cleanup import run_all
from signal_gateway.testing.runtime.host import ServerHost

__all__ = ["SharedDataStorage", "Suite"]

_SHORT_WAIT: Final = 10.0


@dataclass(frozen=True, slots=True)
class SharedDataStorage:
    """The DataStorage of the whole run. It has no `stop`, because all tests use it.

    Attributes:
        url: The URL of the DataStorage.
        source: The source of the URL: a setting, or `embedded`.
    """

    url: str
    source: str


class Suite:
    """One DataStorage and one audit store for a process, each created on first use.

    Attributes:
        settings: The settings of the session.
        worker: The id of the xdist worker, or `main`.
        host: The host of the servers of the process.
        known_stores: Audit stores that may be open: the stores from before this suite (such as the store of an outer
            session), its own store, and the stores of outages.

    Args:
        settings: The settings of the session.
        worker: The id of the xdist worker, or `main`.
        shared_datastorage: The DataStorage of another process, with its source: of the xdist controller for its
            workers, or of the parent for a forked child.
        spool_directory: The spool directory, in which an xdist controller finds the events of a crashed worker. By
            default a temporary directory. It is removed with the store if it is empty.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        worker: str = "main",
        shared_datastorage: Setting[str] | None = None,
        spool_directory: Path | None = None,
    ) -> None:
        self.settings = settings
        self.worker = worker
        self.host = ServerHost(startup_timeout=settings.startup_timeout.value, stop_grace=settings.stop_grace.value)
        self.known_stores: weakref.WeakSet[OpenStore] = weakref.WeakSet(open_stores())
        self._shared_datastorage = shared_datastorage
        self._spool_directory = spool_directory
        self._embedded: EmbeddedDataStorage | None = None
        self._client: DataStorageClient | None = None
        self._audit_store: BufferedAuditStore | None = None
        self._has_timed_out = False
        self._settled_before_timeout: int | None = None

    def check_datastorage(self) -> None:
        """Check that the configured DataStorage, if any, is reachable and accepts events.

        Raises:
            DataStorageUnavailable: There is no server at the URL, or an unexpected one. The message names the URL, its
                source and the cause.
            ConfigurationError: The URL is invalid, or the token file has no token.
        """
        setting = self.settings.datastorage_url
        if setting.value is not None:
            client = self._client_for(Setting(setting.value, setting.source))
            try:
                self._await_response(client)
                client.check_delivery()
            finally:
                client.close()

    @property
    def datastorage(self) -> SharedDataStorage:
        """The DataStorage of the run: configured, of the xdist controller, or embedded."""
        setting = self._datastorage_setting()
        return SharedDataStorage(setting.value, setting.source)

    @property
    def audit_store(self) -> BufferedAuditStore:
        """The one audit store of this process. After an exception the next use tries again.

        Raises:
            DataStorageUnavailable: No DataStorage responds, or an unexpected server.
            ConfigurationError: The URL, the token file or the spool directory is not usable.
        """
        if self._audit_store is None:
            client = self._client_for(self._datastorage_setting())
            try:
                self._await_response(client)
                self._spool_directory = self._spool_directory or new_spool_directory()
                store = open_store(client, service="gateway", spool_directory=self._spool_directory)
            except BaseException:  # a test may interrupt its set-up, and the next one begins anew
                client.close()
                raise
            self._client, self._audit_store = client, store
            self.known_stores.add(store)
        return self._audit_store

    @property
    def embedded_datastorage(self) -> SharedDataStorage | None:
        """The DataStorage that runs in this process; None if no part has used it."""
        return None if self._embedded is None else SharedDataStorage(self._embedded.url, "embedded")

    @property
    def has_audit_store(self) -> bool:
        """Whether the audit store was created."""
        return self._audit_store is not None

    def interim_verdict(self) -> Verdict:
        """Return the numbers of now, for a process that may end without `close`.

        The events that are pending or rejected are in the spool directory, and missing here.
        """
        if self._audit_store is None:
            return Verdict(self.worker, servers=self.host.servers)
        stats = self._audit_store.stats
        return Verdict(
            self.worker,
            servers=self.host.servers,
            flushers=1,
            recorded=stats.delivered,
            delivered=stats.delivered,
            refused=stats.refused,
            datastorage=f"{self.datastorage.url} (from {self.datastorage.source})",
        )

    def deliver(self) -> None:
        """Deliver the pending events within the flush timeout. Never raises: `close` reports the rest.

        After a timeout, later calls do not wait until DataStorage has acknowledged or rejected an event again. So a
        DataStorage that is down delays a run once, not once per test.
        """
        store = self._audit_store
        if store is None:
            return
        stats = store.stats
        if not stats.pending or stats.delivered + stats.rejected == self._settled_before_timeout:
            return
        if store.flush(timeout=self.settings.flush_timeout.value).pending:
            stats = store.stats
            self._settled_before_timeout = stats.delivered + stats.rejected

    def close(self) -> Verdict:
        """Deliver the pending events within the flush timeout, close all parts, and return the verdict.

        Never raises: the error of a part that does not stop is the `stop_error` of the verdict.
        """
        verdict = self._close_store()
        try:
            run_all(
                "the harness of the test suite",
                *([self._client.close] if self._client is not None else []),
                *([self._embedded.close] if self._embedded is not None else []),
                self.host.close,
            )
        except HarnessError as exc:
            return replace(verdict, stop_error=str(exc))
        return verdict

    def _close_store(self) -> Verdict:
        if self._audit_store is None or self._spool_directory is None:
            return Verdict(self.worker, servers=self.host.servers)
        verdict = close_store(
            self._audit_store,
            spool_directory=self._spool_directory,
            worker=self.worker,
            datastorage=self._datastorage_setting(),
            timeout=self.settings.flush_timeout.value,
        )
        return replace(verdict, servers=self.host.servers)

    def _await_response(self, client: DataStorageClient) -> None:
        """Wait for the first response of the DataStorage, which may still be starting.

        A refused connection ends the wait at once. After one wait in vain the next ones are short, because each test
        of the session may begin one.
        """
        timeout = _SHORT_WAIT if self._has_timed_out else self.host.settle_timeout
        try:
            client.check(timeout=2 * timeout)  # half of it for each phase
        except DataStorageUnavailable as exc:
            self._has_timed_out = isinstance(exc.__cause__, httpx.TimeoutException)
            raise

    def _client_for(self, datastorage: Setting[str]) -> DataStorageClient:
        return client_from_settings(datastorage, self.settings.datastorage_token_file)

    def _datastorage_setting(self) -> Setting[str]:
        setting = self.settings.datastorage_url
        if setting.value is not None:
            return Setting(setting.value, setting.source)
        if self._shared_datastorage is not None:
            return self._shared_datastorage
        if self._embedded is None:
            datastorage = EmbeddedDataStorage(
                self.settings.audit_db.value, startup_timeout=self.settings.startup_timeout.value
            )
            try:
                datastorage.start()
            except BaseException:
                datastorage.close()
                raise
            self._embedded = datastorage
        return Setting(self._embedded.url, "embedded")
