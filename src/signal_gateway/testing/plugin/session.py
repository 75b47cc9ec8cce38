"""SessionHarness: the bodies of the pytest plugin's hooks, for a single process, an xdist controller or a worker.

Light to import: an xdist controller makes one for every run, also where no test uses a gateway.
"""

import os
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signal_gateway.errors import HarnessError
from signal_gateway.testing.datastorage.on_demand import OnDemandDataStorage
from signal_gateway.testing.datastorage.spool_directory import promised_spool_directory
from signal_gateway.testing.datastorage.verdict import Verdict, totals
from signal_gateway.testing.plugin.settings import Setting, resolve

if TYPE_CHECKING:
    from signal_gateway.testing.cluster.cluster import EmbeddedCluster
    from signal_gateway.testing.cluster.existing import ExistingCluster
    from signal_gateway.testing.plugin.suite import Suite

__all__ = ["Markup", "SessionHarness"]

Markup = dict[str, bool]

_URL_KEY = "gateway_datastorage_url"
_SPOOL_KEY = "gateway_spool_directory"
_VERDICT_KEY = "gateway_verdict"


class SessionHarness:
    """What the plugin keeps for a session.

    Args:
        option: Looks up a command line option.
        ini: Looks up an ini option.
        workerinput: What an xdist controller gave this process; None outside a worker.

    Raises:
        ConfigurationError: A setting is wrong; the message names it, its source and what is allowed.
    """

    def __init__(
        self,
        *,
        option: Callable[[str], Any],
        ini: Callable[[str], Any],
        workerinput: MutableMapping[str, Any] | None,
    ) -> None:
        self.settings = resolve(option=option, environ=os.environ, ini=ini)
        self._workerinput = workerinput
        self._suite: Suite | None = None
        self._on_demand: OnDemandDataStorage | None = None
        self._run = os.urandom(8).hex()
        self._nodes: list[Any] = []
        self._workers_datastorage: Setting[str]  # set with the first node
        self._verdicts: dict[str, Verdict] = {}
        self._crashes: dict[str, str] = {}
        self._own_troubles: list[str] = []
        self._has_reported = False

    @property
    def suite(self) -> "Suite":
        """What the tests of this process share; made when first asked for.

        Raises:
            HarnessError: prometheus_client's multiprocess mode is on, and nobody allowed it.
        """
        if self._suite is None:
            from signal_gateway.testing.plugin.guards import refuse_multiprocess_metrics
            from signal_gateway.testing.plugin.suite import Suite

            if not self.settings.multiprocess_metrics.value:
                refuse_multiprocess_metrics(os.environ)
            given = self._workerinput or {}
            self._suite = Suite(
                self.settings,
                worker=given.get("workerid", "main"),
                shared_datastorage_url=given.get(_URL_KEY),
                spool_directory=Path(given[_SPOOL_KEY]) if _SPOOL_KEY in given else None,
            )
        return self._suite

    def check(self) -> None:
        """Ask the services that were set, if any, whether they are what they should be.

        Raises:
            SignalGatewayError: One isn't; the message names it, where it came from and the cause.
        """
        if self.settings.datastorage_url.value is not None:
            self.suite.check_datastorage()
        if self.settings.kubeconfig.value is not None:
            with self.cluster():
                pass

    def cluster(self) -> "EmbeddedCluster | ExistingCluster":
        """Return a cluster for one test, not started."""
        from signal_gateway.testing.cluster.cluster import EmbeddedCluster
        from signal_gateway.testing.cluster.existing import ExistingCluster

        setting = self.settings.kubeconfig
        return EmbeddedCluster() if setting.value is None else ExistingCluster(setting.value, source=setting.source)

    def equip_worker(self, node: Any) -> None:
        """Give an xdist worker its spool directory, and the URL of the run's DataStorage unless one was set for all.

        Args:
            node: xdist's `WorkerController`.
        """
        self._nodes.append(node)
        node.workerinput[_SPOOL_KEY] = str(promised_spool_directory(self._run, node.gateway.id))
        given = self.settings.datastorage_url
        if given.value is not None:
            self._workers_datastorage = Setting(given.value, given.source)
            return
        if self._on_demand is None:
            self._on_demand = OnDemandDataStorage(self.settings.audit_db.value)
            self._workers_datastorage = Setting(self._on_demand.url, "embedded")
        node.workerinput[_URL_KEY] = self._on_demand.url

    def collect_worker(self, node: Any, error: object) -> None:
        """Take over what an xdist worker said when it ended.

        Args:
            node: xdist's `WorkerController`; it has no `workeroutput` if the worker died.
            error: How it died; None if it didn't.
        """
        worker: str = node.gateway.id
        output: Mapping[str, Any] | None = getattr(node, "workeroutput", None)
        if output is None:
            self._crashes[worker] = str(error)
        elif _VERDICT_KEY in output:
            self._verdicts[worker] = Verdict(**output[_VERDICT_KEY])

    def finish(self, workeroutput: MutableMapping[str, Any] | None) -> bool:
        """Close what the session shared, and say whether it must fail: events were lost, or something did not stop.

        An xdist controller also delivers what workers left that died; when this is called, all of them have ended.

        Args:
            workeroutput: Where an xdist worker leaves its verdict for the controller, which is the one to fail; None
                outside a worker.
        """
        for node in self._nodes:  # after Ctrl-C the controller reads no more of what they say
            if node.gateway.id not in self._verdicts | self._crashes:
                self.collect_worker(node, "it was ended")
        if self._suite is not None:
            verdict = self._suite.close()
            if workeroutput is not None:
                workeroutput[_VERDICT_KEY] = verdict.as_dict()
                return False
            self._verdicts[verdict.worker] = verdict
        self._deliver_for_dead_workers()
        if self._on_demand is not None:
            self._close_on_demand(self._on_demand)
        losses_count = self.settings.lost_events.value == "error"
        return bool(self._troubles) or (losses_count and bool(self._losses))

    def report(self) -> list[tuple[str, Markup]]:
        """Return lines for the end of the session's output, if there is anything to say; empty when called again."""
        if self._has_reported:
            return []
        self._has_reported = True
        lines: list[tuple[str, Markup]] = [(f"gateway: {trouble}", {"red": True}) for trouble in self._troubles]
        if self.settings.lost_events.value != "ignore":
            markup: Markup = {"red" if self.settings.lost_events.value == "error" else "yellow": True}
            lines += [(f"gateway: {loss}", markup) for loss in self._losses]
        lines += [(f"gateway: {verdict.notice}", {}) for verdict in self._verdicts.values() if verdict.notice]
        if self._is_used:
            lines.append((f"gateway: {totals(self._verdicts.values())}", {}))
        return lines

    def properties(self) -> list[tuple[str, str]]:
        """Return what the report says as names and values, for JUnit."""
        if not self._is_used:
            return []
        return [
            ("gateway_audit_events", totals(self._verdicts.values())),
            *(("gateway_lost_events", loss) for loss in self._losses),
        ]

    @property
    def _is_used(self) -> bool:
        return any(verdict.servers or verdict.flushers for verdict in self._verdicts.values())

    @property
    def _losses(self) -> list[str]:
        return [verdict.complaint for verdict in self._verdicts.values() if verdict.lost_events]

    @property
    def _troubles(self) -> list[str]:
        own = [f"{verdict.worker}: {verdict.trouble}" for verdict in self._verdicts.values() if verdict.trouble]
        return own + self._own_troubles

    def _deliver_for_dead_workers(self) -> None:
        crashed = [node for node in self._nodes if node.gateway.id in self._crashes]
        here = [node for node in crashed if os.path.isdir(node.workerinput[_SPOOL_KEY])]  # else it had no store
        if here:
            from signal_gateway.testing.datastorage.delivery import DeadWorker, deliver_for_dead_workers

            workers = [
                DeadWorker(node.gateway.id, self._crashes[node.gateway.id], Path(node.workerinput[_SPOOL_KEY]))
                for node in here
            ]
            verdicts = deliver_for_dead_workers(
                workers,
                datastorage=self._workers_datastorage,
                token_file=self.settings.datastorage_token_file,
                timeout=self.settings.flush_timeout.value,
            )
            for verdict in verdicts:
                self._verdicts[verdict.worker] = verdict
        if self._is_used:
            for node in crashed:
                if not node.gateway.spec.popen or node.gateway.spec.via:
                    self._verdicts[node.gateway.id] = self._verdict_of_worker_elsewhere(node)

    def _verdict_of_worker_elsewhere(self, node: Any) -> Verdict:
        datastorage = self._workers_datastorage
        return Verdict(
            node.gateway.id,
            crash=self._crashes[node.gateway.id],
            error="the worker ran on another machine, look there",
            datastorage=f"{datastorage.value} (from {datastorage.source})",
            spool=node.workerinput[_SPOOL_KEY],
        )

    def _close_on_demand(self, on_demand: OnDemandDataStorage) -> None:
        try:
            on_demand.close()
        except HarnessError as exc:
            self._own_troubles.append(str(exc))
