"""Suite: what all tests of one pytest process share. Made by the plugin, usable without pytest."""

import weakref
from dataclasses import dataclass, replace
from pathlib import Path

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.lifetime import OpenStore, open_stores
from signal_gateway.audit.store import BufferedAuditStore
from signal_gateway.errors import HarnessError, SignalGatewayError
from signal_gateway.testing.datastorage.delivery import client_of, close_store, open_store
from signal_gateway.testing.datastorage.embedded import EmbeddedDataStorage
from signal_gateway.testing.datastorage.spool_directory import new_spool_directory
from signal_gateway.testing.datastorage.verdict import Verdict
from signal_gateway.testing.plugin.settings import Setting, Settings
from signal_gateway.testing.runtime.cleanup import run_all
from signal_gateway.testing.runtime.loops import NEIGHBOURS, SERVERS

__all__ = ["SharedDataStorage", "Suite"]


@dataclass(frozen=True, slots=True)
class SharedDataStorage:
    """The DataStorage of the whole run. It has no `stop`: others use it too.

    Attributes:
        url: Where it answers.
        source: Who chose it: a setting, or `embedded`.
    """

    url: str
    source: str


class Suite:
    """One DataStorage and one audit store for a process, each made when it is first asked for.

    Attributes:
        settings: What the session is run with.
        worker: The xdist worker's id, or `main`.
        servers: How many servers were made.
        known_stores: Audit stores that may be open: those that were before it was made, such as the one of a session
            around this one, its own, and those of outages.

    Args:
        settings: What the session is run with.
        worker: The xdist worker's id, or `main`.
        shared_datastorage_url: The DataStorage that an xdist controller hands its workers.
        spool_directory: Where an xdist controller looks for the store's events if the worker dies; without one, the
            store gets a temporary directory. It goes with the store, unless something is left in it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        worker: str = "main",
        shared_datastorage_url: str | None = None,
        spool_directory: Path | None = None,
    ) -> None:
        self.settings = settings
        self.worker = worker
        self.servers = 0
        self.known_stores: weakref.WeakSet[OpenStore] = weakref.WeakSet(open_stores())
        self._shared_datastorage_url = shared_datastorage_url
        self._spool_directory = spool_directory
        self._embedded: EmbeddedDataStorage | None = None
        self._client: DataStorageClient | None = None
        self._audit_store: BufferedAuditStore | None = None
        self._has_loops = False

    def check_datastorage(self) -> None:
        """Ask the DataStorage that was set, if one was, whether it is one that answers and takes events.

        Raises:
            DataStorageUnavailable: Nothing answers there, or a stranger; names the URL, its source and the cause.
            ConfigurationError: The URL is no URL, or the token file has no token.
        """
        setting = self.settings.datastorage_url
        if setting.value is not None:
            client = self._client_of(Setting(setting.value, setting.source))
            try:
                client.check()
                client.check_delivery()
            finally:
                client.close()

    @property
    def datastorage(self) -> SharedDataStorage:
        """The DataStorage of the run: the one that was set, the xdist controller's, or an embedded one."""
        setting = self._datastorage_setting()
        return SharedDataStorage(setting.value, setting.source)

    @property
    def audit_store(self) -> BufferedAuditStore:
        """The one audit store of this process."""
        if self._audit_store is None:
            client = self._client_of(self._datastorage_setting())
            try:
                client.check()
                self._spool_directory = self._spool_directory or new_spool_directory()
                store = open_store(client, service="gateway", spool_directory=self._spool_directory)
            except (SignalGatewayError, OSError):
                client.close()
                raise
            self._client, self._audit_store = client, store
            self.known_stores.add(store)
        return self._audit_store

    def keep_loops(self) -> None:
        """Keep the two loop threads until the suite closes, so that they aren't started for each test anew."""
        if not self._has_loops:
            SERVERS.acquire()
            NEIGHBOURS.acquire()
            self._has_loops = True

    def close(self) -> Verdict:
        """Deliver what is left within the flush timeout, close everything, and tell what became of the events.

        Never raises: what of the harness's own does not stop is the verdict's `trouble`.
        """
        verdict = self._close_store()
        try:
            run_all(
                "the test suite's harness",
                *([self._client.close] if self._client is not None else []),
                *([self._embedded.close] if self._embedded is not None else []),
                *([SERVERS.release, NEIGHBOURS.release] if self._has_loops else []),
            )
        except HarnessError as exc:
            return replace(verdict, trouble=str(exc))
        return verdict

    def _close_store(self) -> Verdict:
        if self._audit_store is None or self._spool_directory is None:
            return Verdict(self.worker, servers=self.servers)
        verdict = close_store(
            self._audit_store,
            spool_directory=self._spool_directory,
            worker=self.worker,
            datastorage=self._datastorage_setting(),
            timeout=self.settings.flush_timeout.value,
        )
        return replace(verdict, servers=self.servers)

    def _client_of(self, datastorage: Setting[str]) -> DataStorageClient:
        return client_of(datastorage, self.settings.datastorage_token_file)

    def _datastorage_setting(self) -> Setting[str]:
        setting = self.settings.datastorage_url
        if setting.value is not None:
            return Setting(setting.value, setting.source)
        if self._shared_datastorage_url is not None:
            return Setting(self._shared_datastorage_url, "the xdist controller")
        if self._embedded is None:
            datastorage = EmbeddedDataStorage(self.settings.audit_db.value)
            try:
                datastorage.start()
            except Exception:
                datastorage.close()
                raise
            self._embedded = datastorage
        return Setting(self._embedded.url, "embedded")
