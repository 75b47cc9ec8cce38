"""The harness for direct import: real servers on loopback, without pytest.

Importing this package imports nothing else: each public name is loaded when it is first used (PEP 562).
"""

from typing import TYPE_CHECKING

from signal_gateway._lazy import lazy_names

if TYPE_CHECKING:
    from signal_gateway.testing.cluster import Cluster, EmbeddedCluster
    from signal_gateway.testing.datastorage import EmbeddedDataStorage
    from signal_gateway.testing.existing_cluster import ExistingCluster
    from signal_gateway.testing.factory import GatewayFactory, LiveService, ServiceFactory
    from signal_gateway.testing.live_gateway import LiveGateway, serve
    from signal_gateway.testing.live_server import LiveServer
    from signal_gateway.testing.metrics import MetricsView
    from signal_gateway.testing.outage import Outage
    from signal_gateway.testing.payloads import alert, alertmanager_webhook, kubernetes_event
    from signal_gateway.testing.recording import RecordingAuditStore
    from signal_gateway.testing.workload import Workload

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
        "Cluster": "cluster",
        "EmbeddedCluster": "cluster",
        "EmbeddedDataStorage": "datastorage",
        "ExistingCluster": "existing_cluster",
        "GatewayFactory": "factory",
        "LiveGateway": "live_gateway",
        "LiveServer": "live_server",
        "LiveService": "factory",
        "MetricsView": "metrics",
        "Outage": "outage",
        "RecordingAuditStore": "recording",
        "ServiceFactory": "factory",
        "Workload": "workload",
        "alert": "payloads",
        "alertmanager_webhook": "payloads",
        "kubernetes_event": "payloads",
        "serve": "live_gateway",
    },
)
