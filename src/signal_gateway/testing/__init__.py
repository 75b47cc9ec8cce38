"""The harness for direct import: real servers on loopback for tests, without pytest.

Each public name is imported on first use (PEP 562).

- `runtime`: event loops, live servers and metrics
- `cluster`: an embedded cluster, or a namespace on an existing one
- `datastorage`: an embedded DataStorage and an audit store in memory
- `gateway`: live gateways and the payloads that tests send to them
- `plugin`: the bodies of the hooks and fixtures of the pytest plugin
"""

from typing import TYPE_CHECKING

from signal_gateway._lazy import lazy_names

if TYPE_CHECKING:
    from signal_gateway.testing.cluster.cluster import Cluster, EmbeddedCluster
    from signal_gateway.testing.cluster.existing import ExistingCluster
    from signal_gateway.testing.cluster.workload import Workload
    from signal_gateway.testing.datastorage.embedded import EmbeddedDataStorage
    from signal_gateway.testing.datastorage.recording import RecordingAuditStore
    from signal_gateway.testing.gateway.factory import GatewayFactory, ServiceFactory
    from signal_gateway.testing.gateway.live import LiveGateway
    from signal_gateway.testing.gateway.payloads import alert, alertmanager_webhook, kubernetes_event
    from signal_gateway.testing.gateway.service import LiveService
    from signal_gateway.testing.gateway.serving import serve
    from signal_gateway.testing.plugin.outage import Outage
    from signal_gateway.testing.runtime.metrics import MetricsView
    from signal_gateway.testing.runtime.server import LiveServer

__all__ = [
    "Cluster",
    "EmbeddedCluster",
    "EmbeddedDataStorage",
    "ExistingCluster",
    "GatewayFactory",
    "LiveGateway",
    "LiveServer",
    "LiveService",
    "MetricsView",
    "Outage",
    "RecordingAuditStore",
    "ServiceFactory",
    "Workload",
    "alert",
    "alertmanager_webhook",
    "kubernetes_event",
    "serve",
]

__getattr__, __dir__ = lazy_names(
    globals(),
    {
        "Cluster": "cluster.cluster",
        "EmbeddedCluster": "cluster.cluster",
        "EmbeddedDataStorage": "datastorage.embedded",
        "ExistingCluster": "cluster.existing",
        "GatewayFactory": "gateway.factory",
        "LiveGateway": "gateway.live",
        "LiveServer": "runtime.server",
        "LiveService": "gateway.service",
        "MetricsView": "runtime.metrics",
        "Outage": "plugin.outage",
        "RecordingAuditStore": "datastorage.recording",
        "ServiceFactory": "gateway.factory",
        "Workload": "cluster.workload",
        "alert": "gateway.payloads",
        "alertmanager_webhook": "gateway.payloads",
        "kubernetes_event": "gateway.payloads",
        "serve": "gateway.serving",
    },
)
