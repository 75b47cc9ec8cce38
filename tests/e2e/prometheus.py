"""A real Prometheus, and the metrics of workloads that it watches."""

from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import yaml
from prometheus_client import CollectorRegistry, Gauge, start_http_server
from tests.e2e.part import Part, ReservedPort

from signal_gateway.testing.cluster.workload import Workload

__all__ = ["WorkloadMetrics", "firing_alerts", "prometheus_part"]

# two alerts about the same workload, which name it in different ways
_RULES = {
    "DeploymentUnavailable": ("deployment_unavailable > 0", "critical"),
    "PodCrashLooping": ("pod_crash_looping > 0", "warning"),
}


class WorkloadMetrics:
    """What an exporter beside the workloads would show, on a port of its own within `with`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._deployments = Gauge(
            "deployment_unavailable", "Pods that are missing.", ("namespace", "deployment"), registry=self._registry
        )
        self._pods = Gauge(
            "pod_crash_looping", "Whether it ends again and again.", ("namespace", "pod"), registry=self._registry
        )

    def __enter__(self) -> Self:
        self._server, self._thread = start_http_server(0, "127.0.0.1", registry=self._registry)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def break_down(self, workload: Workload) -> None:
        """Show a deployment that has a pod as broken."""
        [pod] = workload.pods
        self._deployments.labels(workload.namespace, workload.name).set(1)
        self._pods.labels(workload.namespace, pod).set(1)


def prometheus_part(
    program: str, directory: Path, *, port: ReservedPort, metrics: WorkloadMetrics, alertmanager: ReservedPort
) -> Part:
    """Return a Prometheus that looks, evaluates its rules and sends what fires each second."""
    rules = directory / "rules.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "workloads", "rules": [_rule(name) for name in _RULES]}]}))
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "workloads", "static_configs": [{"targets": [metrics.address]}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.address]}]}]},
    }
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(configuration))
    command = [
        program,
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'prometheus'}",
        f"--web.listen-address={port.address}",
        "--rules.alert.resend-delay=1s",
    ]
    return Part(command, port=port, until="Server is ready to receive web requests")


def firing_alerts(prometheus: Part) -> int:
    """Count the alerts that fire."""
    alerts = httpx.get(f"{prometheus.url}/api/v1/alerts", trust_env=False).json()["data"]["alerts"]
    return sum(alert["state"] == "firing" for alert in alerts)


def _rule(name: str) -> dict[str, object]:
    expression, severity = _RULES[name]
    return {
        "alert": name,
        "expr": expression,
        "labels": {"severity": severity},
        "annotations": {"summary": name + " in {{ $labels.namespace }}"},
    }
