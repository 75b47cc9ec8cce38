"""run_demo: all parts on loopback process a few alerts into RemediationRequests and an audit trail."""

import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
from lightkube.types import PatchType
from rich.console import Console
from rich.table import Table

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.config import AuditStoreConfig
from signal_gateway.audit.store import BufferedAuditStore
from signal_gateway.audit.wal.inspect import inspect_spool
from signal_gateway.clock import SystemClock
from signal_gateway.gateway.config import GatewayConfig, ProcessingConfig, ScopeConfig
from signal_gateway.gateway.factory import create_gateway
from signal_gateway.kubernetes.resources import RemediationRequest, RemediationRequestStatus
from signal_gateway.testing.cluster.cluster import EmbeddedCluster
from signal_gateway.testing.datastorage.embedded import EmbeddedDataStorage
from signal_gateway.testing.gateway.live import PROMETHEUS_PATH, LiveGateway
from signal_gateway.testing.gateway.payloads import alert, alertmanager_webhook
from signal_gateway.testing.gateway.serving import serve

__all__ = ["run_demo"]

SHOWN_COUNTERS = (
    "gateway_signals_received",
    "gateway_crds_created",
    "gateway_signals_deduplicated",
    "gateway_signals_resolved",
)


def run_demo(console: Console, *, keep: bool) -> None:
    """Start all parts on free loopback ports, send alerts, and show the outcome.

    Args:
        console: The console for the output.
        keep: Keep all parts running until Ctrl-C, and print their addresses.
    """
    with _spool_directory(console) as spool, _everything(console, spool) as (cluster, datastorage, store, live):
        _send_alerts(console, live, cluster)
        _show_remediation_requests(console, cluster)
        _show_audit_trail(console, live)
        _show_counters(console, live)
        stats = store.stats
        console.print(
            f"\naudit store: {stats.recorded} events recorded, {stats.delivered} delivered, "
            f"{stats.rejected} rejected, {stats.pending} pending; "
            "until it is delivered, an event survives kill -9 of its process",
            soft_wrap=True,
        )
        if keep:
            _wait_for_ctrl_c(console, cluster, datastorage, live, spool)
        else:
            console.print("\nTo explore it yourself: [bold]signal-gateway demo --keep[/bold]")


@contextmanager
def _spool_directory(console: Console) -> Iterator[Path]:
    """Create a temporary directory, and remove it at the end unless it has events."""
    directory = Path(tempfile.mkdtemp(prefix="signal-gateway-demo-spool-"))
    try:
        yield directory
    finally:
        if inspect_spool(directory).is_empty:
            shutil.rmtree(directory)
        else:
            console.print(f"\nundelivered audit events: signal-gateway audit spool list {directory}", soft_wrap=True)


@contextmanager
def _everything(
    console: Console, spool: Path
) -> Iterator[tuple[EmbeddedCluster, EmbeddedDataStorage, BufferedAuditStore, LiveGateway]]:
    with ExitStack() as stack:
        cluster = stack.enter_context(EmbeddedCluster())
        cluster.workload("Node/worker-node-1")
        datastorage = stack.enter_context(EmbeddedDataStorage())
        client = DataStorageClient(datastorage.url, source="demo")
        stack.callback(client.close)
        store = stack.enter_context(
            BufferedAuditStore(client, service="gateway", config=AuditStoreConfig(spool_directory=spool))
        )
        gateway = create_gateway(
            GatewayConfig(processing=ProcessingConfig(scope=ScopeConfig(enabled=False))),
            kubernetes=cluster.client(),
            audit_store=store,
        )
        live = stack.enter_context(serve(gateway, cluster=cluster))

        console.print(f"Kubernetes API (embedded)   {cluster.url}")
        console.print(f"DataStorage (embedded)      {datastorage.url}")
        console.print(f"gateway                     {live.url}")
        yield cluster, datastorage, store, live


def _send_alerts(console: Console, live: LiveGateway, cluster: EmbeddedCluster) -> None:
    now = SystemClock().now()
    crash_looping = alert(
        "KubePodCrashLooping",
        severity="critical",
        namespace="prod",
        deployment="payment-api",
        pod="payment-api-7c9f4d5b8-x2x4q",
        annotations={"summary": "Pod prod/payment-api-7c9f4d5b8-x2x4q restarts all the time."},
        starts_at=now - timedelta(minutes=15),
    )
    disk_pressure = alert(
        "KubeNodePressure",
        severity="warning",
        node="worker-node-1",
        annotations={"summary": "Node worker-node-1 is under disk pressure."},
        starts_at=now - timedelta(minutes=5),
    )
    slow = alert(
        "HighLatency",
        severity="warning",
        namespace="prod",
        deployment="payment-api",
        annotations={"summary": "99 % of requests to payment-api take up to 4 s."},
        starts_at=now - timedelta(minutes=2),
    )
    resolved = alert(
        "KubeNodePressure",
        status="resolved",
        severity="warning",
        node="worker-node-1",
        starts_at=now - timedelta(minutes=5),
        ends_at=now,
    )

    def post(title: str, *alerts: Any) -> None:
        response = live.client.post(PROMETHEUS_PATH, json=alertmanager_webhook(*alerts))
        _show_response(console, title, response)

    post("Alertmanager sends two alerts that fire", crash_looping, disk_pressure)
    post("another alert about the same Deployment, while it is being handled", slow)
    post("the node's alert is resolved", resolved)

    completed = _complete(cluster, "KubePodCrashLooping")
    console.print(f"\na controller completes {completed}")
    post("the Deployment's alert fires again: a second episode", crash_looping)


def _complete(cluster: EmbeddedCluster, signal_name: str) -> str:
    """Complete the RemediationRequest of a signal, as a controller does, and return its name."""
    client = cluster.lightkube()
    requests = client.list(RemediationRequest, namespace=cluster.namespace)
    name: str = next(one["metadata"]["name"] for one in requests if one["spec"]["signalName"] == signal_name)
    client.patch(
        RemediationRequestStatus,
        name,
        {"status": {"overallPhase": "Completed", "completionStatus": {"outcome": "Remediated"}}},
        namespace=cluster.namespace,
        patch_type=PatchType.MERGE,
    )
    return name


def _show_response(console: Console, title: str, response: httpx.Response) -> None:
    body = response.json()
    console.print(f"\n[bold]{title}[/bold]")
    console.print(f"POST {PROMETHEUS_PATH} -> {response.status_code}")
    for result in body.get("results") or [body]:
        console.print(f"  {result['status']:<10}{result['message']}", soft_wrap=True)


def _show_remediation_requests(console: Console, cluster: EmbeddedCluster) -> None:
    table = Table(title="RemediationRequests", title_justify="left", box=None, pad_edge=False)
    for column in ("name", "signal", "severity", "target", "phase", "occurrences"):
        table.add_column(column)
    for request in cluster.lightkube().list(RemediationRequest, namespace=cluster.namespace):
        spec, status = request["spec"], request.get("status") or {}
        target = spec["targetResource"]
        where = "/".join(part for part in (target.get("namespace"), target["kind"], target["name"]) if part)
        table.add_row(
            request["metadata"]["name"],
            spec["signalName"],
            spec["severity"],
            where,
            status.get("overallPhase", "-"),
            str(status.get("deduplication", {}).get("occurrenceCount", 1)),
        )
    console.print()
    console.print(table)


def _show_audit_trail(console: Console, live: LiveGateway) -> None:
    table = Table(title="audit trail, oldest first", title_justify="left", box=None, pad_edge=False)
    for column in ("time", "event", "outcome", "correlation id"):
        table.add_column(column, no_wrap=column != "correlation id")
    for event in live.audit_trail.events():
        table.add_row(
            f"{event.event_timestamp:%H:%M:%S.%f}"[:-3], event.event_type, event.event_outcome, event.correlation_id
        )
    console.print()
    console.print(table)


def _show_counters(console: Console, live: LiveGateway) -> None:
    table = Table(title="counters of this gateway's own registry", title_justify="left", box=None, pad_edge=False)
    for column in ("metric", "labels", "value"):
        table.add_column(column)
    for family in live.registry.collect():
        if family.name in SHOWN_COUNTERS:
            for sample in family.samples:
                if sample.name.endswith("_total"):
                    labels = ", ".join(f"{key}={value}" for key, value in sample.labels.items())
                    table.add_row(sample.name, labels, f"{sample.value:g}")
    console.print()
    console.print(table)


def _wait_for_ctrl_c(
    console: Console, cluster: EmbeddedCluster, datastorage: EmbeddedDataStorage, live: LiveGateway, spool: Path
) -> None:
    webhook = cluster.kubeconfig.parent / "webhook.json"
    webhook.write_bytes(
        orjson.dumps(alertmanager_webhook(alert("DiskFull", namespace="prod", statefulset="orders-db")))
    )

    console.print("\n[bold]All parts keep running.[/bold] Next steps:")
    for line in (
        f"export KUBECONFIG={cluster.kubeconfig}",
        f"kubectl get remediationrequests -n {cluster.namespace}",
        f"signal-gateway audit list --datastorage {datastorage.url}",
        f"signal-gateway audit spool list {spool}",
        f"curl {live.url}/metrics",
        f"curl -H 'Content-Type: application/json' -d @{webhook} {live.url}{PROMETHEUS_PATH}",
    ):
        console.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)
    console.print("Ctrl-C ends it.")

    has_to_end = threading.Event()
    previous = {
        number: signal.signal(number, lambda *_: has_to_end.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        has_to_end.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
