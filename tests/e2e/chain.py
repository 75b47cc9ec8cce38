"""Chain: all that an alert passes on its way from a rule of Prometheus into the audit trail, each part a real one."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml
from lightkube.types import PatchType
from tests.e2e.alertmanager import alertmanager_part, alerts_of
from tests.e2e.part import Part, ReservedPort
from tests.e2e.prometheus import WorkloadMetrics, firing_alerts, prometheus_part
from tests.e2e.services import datastorage_part, gateway_part
from tests.support.postgres_server import PostgresServer
from tests.support.remediation_history import RemediationHistory

from signal_gateway.audit import DataStorageClient
from signal_gateway.kubernetes.resources import RemediationRequestStatus
from signal_gateway.testing import EmbeddedCluster
from signal_gateway.testing.cluster.kubeconfig import plain_http_kubeconfig
from signal_gateway.testing.cluster.workload import Workload
from signal_gateway.testing.gateway.live import PROMETHEUS_PATH

__all__ = ["Chain", "wait_until"]

# whose alerts come to which gateway
BOTH, FIRST, SECOND = "shop", "billing", "search"
_ROUTES = {1: (BOTH, FIRST), 2: (BOTH, SECOND)}
_REMEDIATED = {"status": {"overallPhase": "Completed", "completionStatus": {"outcome": "Remediated"}}}


class Chain:
    """Prometheus, an Alertmanager, two gateways, a way to the Kubernetes API, a DataStorage and its PostgreSQL.

    The Kubernetes API itself lives in this process, and keeps everything in memory; what can die is what the gateways
    reach it by.

    Args:
        prometheus: Its program.
        alertmanager: Its program.
        directory: For everybody's files.
    """

    def __init__(self, *, prometheus: str, alertmanager: str, directory: Path) -> None:
        self.firing: list[Workload] = []
        self.spools = [directory / f"spool-{number}" for number in _ROUTES]
        self.cluster = EmbeddedCluster()
        self._http = httpx.Client(base_url=self.cluster.url, trust_env=False)
        self.history = RemediationHistory(self._http, self.cluster.namespace)
        self._metrics = WorkloadMetrics()
        self._prometheus_program = prometheus
        self._alertmanager_program = alertmanager
        self._directory = directory
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self, stack: contextlib.ExitStack) -> None:
        names = ("prometheus", "alertmanager", "1", "2", "kubernetes", "datastorage")
        ports = {name: stack.enter_context(ReservedPort()) for name in names}
        stack.enter_context(self.cluster)
        stack.enter_context(self._http)
        stack.enter_context(self.history)
        stack.enter_context(self._metrics)
        self.kubernetes_front = stack.enter_context(_front_part(ports["kubernetes"], self.cluster))
        # it takes five seconds before it sends anything
        self.prometheus = stack.enter_context(
            prometheus_part(
                self._prometheus_program,
                self._directory,
                port=ports["prometheus"],
                metrics=self._metrics,
                alertmanager=ports["alertmanager"],
            )
        )
        self.postgres = stack.enter_context(PostgresServer())
        self.datastorage = stack.enter_context(
            datastorage_part(port=ports["datastorage"], database=self.postgres.url())
        )
        self.trail = stack.enter_context(contextlib.closing(DataStorageClient(ports["datastorage"].url)))
        kubeconfig = self._directory / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(plain_http_kubeconfig(ports["kubernetes"].url)))
        self.gateways = [
            stack.enter_context(
                gateway_part(
                    self._directory / f"gateway-{number}.yaml",
                    port=ports[str(number)],
                    kubeconfig=kubeconfig,
                    datastorage=ports["datastorage"],
                    spool=spool,
                )
            )
            for number, spool in zip(_ROUTES, self.spools, strict=True)
        ]
        self.alertmanager = stack.enter_context(
            alertmanager_part(
                self._alertmanager_program,
                self._directory,
                port=ports["alertmanager"],
                configuration=_routing({number: ports[str(number)].url for number in _ROUTES}),
            )
        )

    def break_workloads(self, name: str) -> None:
        """Break a workload of this name in each namespace."""
        for namespace in (BOTH, FIRST, SECOND):
            workload = self.cluster.workload(f"{namespace}/Deployment/{name}", managed=True)
            self._metrics.break_down(workload)
            self.firing.append(workload)

    def remediate(self) -> None:
        """End all that is being done, and return when the first of what fires on is handled anew: more are to come."""
        client = self.cluster.lightkube()
        before = set(self.history.requests)
        for request in self.history.active():
            client.patch(
                RemediationRequestStatus,
                request.name,
                _REMEDIATED,
                namespace=self.cluster.namespace,
                patch_type=PatchType.MERGE,
            )
        self.history.wait_for(lambda: self.history.requests.keys() > before, "the first is handled anew")

    def wait_until_handled(self) -> None:
        """Wait until everything that fires has a RemediationRequest that is active."""
        wanted = {_fingerprint(workload) for workload in self.firing}
        self.history.wait_for(
            lambda: {request.fingerprint for request in self.history.active()} >= wanted, "all that fires is handled"
        )

    def wait_until_recorded(self) -> None:
        """Wait until the creation of each RemediationRequest is in the audit trail."""

        def recorded() -> bool:
            created = {event["correlation_id"] for event in self.trail.events(event_type="gateway.crd.created")}
            return created >= self.history.requests.keys()

        wait_until(recorded, "each creation is recorded")

    def wait_until_counted(self) -> None:
        """Wait until everything that fires has occurred once more."""
        before = self.history.active()

        def counted() -> bool:
            now = self.history.requests
            return all(now[request.name].occurrence_count > request.occurrence_count for request in before)

        self.history.wait_for(
            counted,
            "everything that fires is counted once more",
        )

    def wait_until_all_fires(self) -> None:
        """Wait until both alerts about each broken workload fire in Prometheus."""
        wait_until(lambda: firing_alerts(self.prometheus) == 2 * len(self.firing), "everything fires")

    def wait_until_refused(self) -> None:
        """Wait until Alertmanager has everything that fires, and then fails to send a notification."""
        wanted = 2 * len(self.firing)
        wait_until(lambda: len(alerts_of(self.alertmanager)) == wanted, "everything is in Alertmanager")
        name = "alertmanager_notification_requests_failed_total"
        before = self.alertmanager.sample(name, integration="webhook")
        wait_until(lambda: self.alertmanager.sample(name, integration="webhook") > before, "a notification fails")

    def events(self) -> list[dict[str, Any]]:
        """Return the whole audit trail."""
        return list(self.trail.export())


def wait_until(condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
    """Ask a neighbour until something holds."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        pause.wait(0.05)


def _front_part(port: ReservedPort, cluster: EmbeddedCluster) -> Part:
    target = cluster.url.rpartition(":")[2]
    return Part([sys.executable, "-m", "tests.support.relay", str(port.number), target], port=port, until="relay on")


def _fingerprint(workload: Workload) -> str:
    return sha256(f"{workload.namespace}:{workload.kind}:{workload.name}".encode()).hexdigest()


def _routing(urls: dict[int, str]) -> dict[str, Any]:
    return {
        "route": {
            "receiver": "nobody",
            "group_by": ["alertname", "namespace"],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1s",
            "routes": [
                {
                    "receiver": f"gateway-{number}",
                    "matchers": [f'namespace =~ "{"|".join(namespaces)}"'],
                    "continue": True,
                }
                for number, namespaces in _ROUTES.items()
            ],
        },
        "receivers": [
            {"name": "nobody"},
            *(
                {"name": f"gateway-{number}", "webhook_configs": [{"url": url + PROMETHEUS_PATH}]}
                for number, url in urls.items()
            ),
        ],
    }
