"""SessionHarness: the hooks of the pytest plugin, for a single process, an xdist controller or an xdist worker.

The module imports little, because an xdist controller needs it in every run, also if no test uses a gateway.
"""

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signal_gateway.errors import HarnessError
from signal_gateway.testing.datastorage.on_demand import OnDemandDataStorage, wake
from signal_gateway.testing.plugin.settings import SessionOptions, Setting, resolve_settings
from signal_gateway.testing.plugin.spool_directory import planned_spool_directory
from signal_gateway.testing.plugin.verdict import Verdict, totals

if TYPE_CHECKING:
    from signal_gateway.testing.cluster.cluster import EmbeddedCluster
    from signal_gateway.testing.cluster.existing import ExistingCluster
    from signal_gateway.testing.plugin.forked_children import ForkedChildren
    from signal_gateway.testing.plugin.suite import Suite

__all__ = ["Markup", "SessionHarness"]

Markup = dict[str, bool]

_URL_KEY = "gateway_datastorage_url"
_SPOOL_KEY = "gateway_spool_directory"
_VERDICTS_KEY = "gateway_verdicts"


class SessionHarness:
    """The state of the plugin for one session.

    Args:
        options: The command line options and the ini options.
        workerinput: The values from the xdist controller; None outside a worker.

    Raises:
        ConfigurationError: A setting is wrong. The message names the setting, its source and the allowed values.
    """

    def __init__(
        self,
        options: SessionOptions,
        *,
        workerinput: MutableMapping[str, Any] | None,
    ) -> None:
        self.settings = resolve_settings(options, os.environ)
        self._workerinput = workerinput
        self._pid = os.getpid()
        self._suite: Suite | None = None
        self._suite_pid = self._pid
        self._servers_before = 0  # the servers of the parent, in a forked child
        self._closed_suites: list[Verdict] = []  # of this process, if it is a forked child
        self._on_demand: OnDemandDataStorage | None = None
        self._run = os.urandom(8).hex()
        self._nodes: list[Any] = []
        self._workers_datastorage: Setting[str]  # set with the first node
        self._verdicts: dict[str, Verdict] = {}
        self._crashes: dict[str, str] = {}
        self._own_errors: list[str] = []
        self._has_reported = False

    @property
    def suite(self) -> "Suite":
        """The suite of this process, created on first use.

        Raises:
            HarnessError: The multiprocess mode of prometheus_client is on, and no setting allows it.
        """
        if self._suite is None or not (self._is_own(self._suite) or self._suite.has_audit_store):
            from signal_gateway.testing.plugin.guards import refuse_multiprocess_metrics

            if not self.settings.multiprocess_metrics.value:
                refuse_multiprocess_metrics(os.environ)
            self._suite = self._child_suite(self._suite) if self._is_forked else self._first_suite()
            self._suite_pid = os.getpid()
            self._servers_before = 0
        return self._suite

    def check(self) -> None:
        """Check the configured services.

        Raises:
            SignalGatewayError: A service is not usable. The message names the service, its source and the cause.
        """
        if self.settings.datastorage_url.value is not None:
            self.suite.check_datastorage()
        if self.settings.kubeconfig.value is not None:
            with self.cluster():
                pass

    def cluster(self) -> "EmbeddedCluster | ExistingCluster":
        """Return a cluster for one test. It is not started."""
        from signal_gateway.testing.cluster.cluster import EmbeddedCluster
        from signal_gateway.testing.cluster.existing import ExistingCluster

        setting = self.settings.kubeconfig
        if setting.value is None:
            return EmbeddedCluster(startup_timeout=self.settings.startup_timeout.value)
        return ExistingCluster(setting.value, source=setting.source)

    def equip_worker(self, node: Any) -> None:
        """Give an xdist worker its spool directory and, if none is configured, the URL of the DataStorage of the run.

        Args:
            node: The `WorkerController` of xdist.
        """
        self._nodes.append(node)
        node.workerinput[_SPOOL_KEY] = str(planned_spool_directory(self._run, node.gateway.id))
        given = self.settings.datastorage_url
        if given.value is not None:
            self._workers_datastorage = Setting(given.value, given.source)
            return
        if self._on_demand is None:
            self._on_demand = OnDemandDataStorage(
                self.settings.audit_db.value, startup_timeout=self.settings.startup_timeout.value
            )
            self._workers_datastorage = Setting(self._on_demand.url, "embedded")
        node.workerinput[_URL_KEY] = self._on_demand.url

    def collect_worker(self, node: Any, error: object) -> None:
        """Store the verdict or the crash of an xdist worker that ended.

        Args:
            node: The `WorkerController` of xdist. It has no `workeroutput` after a crash.
            error: The cause of the crash; None without a crash.
        """
        worker: str = node.gateway.id
        output: Mapping[str, Any] | None = getattr(node, "workeroutput", None)
        if output is None:
            self._crashes[worker] = str(error)
        for fields in (output or {}).get(_VERDICTS_KEY, []):
            verdict = Verdict(**fields)
            self._verdicts[verdict.worker] = verdict

    def end_test(self, *, is_last: bool) -> None:
        """Deliver the events of a test. Called after its last fixture.

        A forked child also writes its numbers to a file for its parent, because it ends without `finish`.

        Args:
            is_last: Whether the process runs no test after this one.
        """
        suite = self._suite
        if suite is None:
            return
        suite.deliver()
        if not self._is_forked:
            self._servers_before = suite.host.servers
        elif self._is_own(suite) and is_last:
            self._closed_suites.append(suite.close())
            self._suite = None
            self._children.write(self._closed_suites)
        else:
            verdict = suite.interim_verdict()
            verdict = replace(verdict, servers=verdict.servers - self._servers_before)
            self._children.write([*self._closed_suites, verdict])

    def finish(self, workeroutput: MutableMapping[str, Any] | None) -> bool:
        """Close the suite and return whether the session must fail: events were lost, or a part did not stop.

        An xdist controller also delivers the events of crashed workers and of their forked children. All workers have
        ended before this call.

        Args:
            workeroutput: The mapping for the verdict of an xdist worker, whose controller fails in its place; None
                outside a worker.
        """
        for node in self._nodes:  # after Ctrl-C the controller reads no more output of workers
            if node.gateway.id not in self._verdicts | self._crashes:
                self.collect_worker(node, "it was ended")
        self._collect_children(self._own_spool, None)
        if self._suite is not None:
            verdict = self._suite.close()
            self._verdicts[verdict.worker] = verdict
        if workeroutput is not None:
            workeroutput[_VERDICTS_KEY] = [verdict.as_dict() for verdict in self._verdicts.values()]
            return False
        self._recover_crashed_workers()
        if self._on_demand is not None:
            self._close_on_demand(self._on_demand)
        losses_count = self.settings.lost_events.value == "error"
        return bool(self._stop_errors) or (losses_count and bool(self._losses))

    def report(self) -> list[tuple[str, Markup]]:
        """Return the lines for the end of the output of the session. A second call returns none."""
        if self._has_reported:
            return []
        self._has_reported = True
        lines: list[tuple[str, Markup]] = [(f"gateway: {error}", {"red": True}) for error in self._stop_errors]
        if self.settings.lost_events.value != "ignore":
            markup: Markup = {"red" if self.settings.lost_events.value == "error" else "yellow": True}
            lines += [(f"gateway: {loss}", markup) for loss in self._losses]
        lines += [
            (f"gateway: {verdict.recovery_message}", {})
            for verdict in self._verdicts.values()
            if verdict.recovery_message
        ]
        if self._is_used:
            lines.append((f"gateway: {totals(self._verdicts.values())}", {}))
        return lines

    def properties(self) -> list[tuple[str, str]]:
        """Return the report as names and values, for JUnit."""
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
        return [verdict.loss_message for verdict in self._verdicts.values() if verdict.lost_events]

    @property
    def _stop_errors(self) -> list[str]:
        verdicts = self._verdicts.values()
        return [
            f"{verdict.worker}: {verdict.stop_error}" for verdict in verdicts if verdict.stop_error
        ] + self._own_errors

    @property
    def _is_forked(self) -> bool:
        return os.getpid() != self._pid

    @property
    def _own_spool(self) -> Path:
        given = self._workerinput or {}
        return Path(given[_SPOOL_KEY]) if _SPOOL_KEY in given else planned_spool_directory(self._run, "main")

    @property
    def _children(self) -> "ForkedChildren":
        from signal_gateway.testing.plugin.forked_children import ForkedChildren

        return ForkedChildren(self._own_spool)

    @property
    def _shared_datastorage(self) -> Setting[str] | None:
        url = (self._workerinput or {}).get(_URL_KEY)
        return None if url is None else Setting(url, "the xdist controller")

    def _is_own(self, suite: "Suite | None") -> bool:
        """Return whether the suite is of this process, and not of the parent of a forked child."""
        return suite is not None and self._suite_pid == os.getpid()

    def _first_suite(self) -> "Suite":
        given = self._workerinput or {}
        if _URL_KEY in given:
            wake(given[_URL_KEY])  # the controller imports its DataStorage while this worker imports the suite
        from signal_gateway.testing.plugin.suite import Suite

        return Suite(
            self.settings,
            worker=given.get("workerid", "main"),
            shared_datastorage=self._shared_datastorage,
            spool_directory=self._own_spool,
        )

    def _child_suite(self, suite_of_parent: "Suite | None") -> "Suite":
        from signal_gateway.testing.plugin.suite import Suite

        shared = suite_of_parent.embedded_datastorage if suite_of_parent is not None else None
        return Suite(
            self.settings,
            worker=f"forked process {os.getpid()}",
            shared_datastorage=self._shared_datastorage
            if shared is None
            else Setting(shared.url, "the parent process"),
            spool_directory=self._children.spool_directory(),
        )

    def _collect_children(self, parents_spool: Path, datastorage: Setting[str] | None) -> None:
        """Store the verdicts of the forked children of a process, and deliver the events in their spools.

        Args:
            parents_spool: The spool directory of the process, which need not exist.
            datastorage: The DataStorage of the children; None for the one of this process.
        """
        if not any(parents_spool.parent.glob(f"{parents_spool.name}-*")):  # the usual case imports nothing
            return
        from signal_gateway.testing.plugin.delivery import recover_crashed_workers
        from signal_gateway.testing.plugin.forked_children import ForkedChildren

        children = ForkedChildren(parents_spool)
        verdicts = children.take_verdicts()
        for number, verdict in enumerate(verdicts):
            self._verdicts[f"{verdict.worker} ({number})"] = replace(
                verdict, recorded=verdict.delivered, rejected=0, pending=0, spool=None
            )
        spools = children.spools()
        if spools:
            if datastorage is None:
                shared = self.suite.datastorage
                datastorage = Setting(shared.url, shared.source)
            recovered = recover_crashed_workers(
                spools,
                datastorage=datastorage,
                token_file=self.settings.datastorage_token_file,
                timeout=self.settings.flush_timeout.value,
            )
            counted = {verdict.worker for verdict in verdicts}
            for verdict in recovered:
                self._verdicts[verdict.worker] = replace(verdict, flushers=int(verdict.worker not in counted))

    def _recover_crashed_workers(self) -> None:
        crashed = [node for node in self._nodes if node.gateway.id in self._crashes]
        for node in crashed:
            self._collect_children(Path(node.workerinput[_SPOOL_KEY]), self._workers_datastorage)
        with_spool = [
            node for node in crashed if os.path.isdir(node.workerinput[_SPOOL_KEY])
        ]  # the others had no store
        if with_spool:
            from signal_gateway.testing.plugin.delivery import CrashedWorker, recover_crashed_workers

            workers = [
                CrashedWorker(node.gateway.id, self._crashes[node.gateway.id], Path(node.workerinput[_SPOOL_KEY]))
                for node in with_spool
            ]
            verdicts = recover_crashed_workers(
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
                    self._verdicts[node.gateway.id] = self._verdict_of_remote_worker(node)

    def _verdict_of_remote_worker(self, node: Any) -> Verdict:
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
            self._own_errors.append(str(exc))
