"""One process of the wiring benchmark: so many live servers at once, by the old wiring or the new, as JSON.

    python -m tests.benchmarks.wiring_process new 100 DATASTORAGE_URL KUBECONFIG

Each server takes an alert, lives until that one's events are delivered, takes a second one and is stopped at once, as
a test does it.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from tests.regression.old_wiring import URL_VARIABLE, OldGateway

from signal_gateway import GatewayConfig, create_gateway
from signal_gateway.audit import AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.testing import Cluster, ExistingCluster, LiveGateway

DELIVERY_TIMEOUT = 60.0

Server = LiveGateway
Wiring = tuple[Callable[[], Server], Callable[[list[Server]], None]]
"""How a server is made, and how to wait until the events of all of them are delivered."""


@contextmanager
def new_wiring(config: GatewayConfig, cluster: Cluster, datastorage: str) -> Iterator[Wiring]:
    kubernetes = cluster.client()

    def delivered(_: list[Server]) -> None:
        result = store.flush(DELIVERY_TIMEOUT)
        if not result.ok:
            raise SystemExit(f"the store did not deliver: {result.error}")

    client = DataStorageClient(datastorage)
    with BufferedAuditStore(client, service="gateway", config=AuditStoreConfig(durability="memory")) as store:
        yield (
            lambda: LiveGateway(create_gateway(config, kubernetes=kubernetes, audit_store=store), cluster=cluster),
            delivered,
        )


@contextmanager
def old_wiring(config: GatewayConfig, cluster: Cluster, datastorage: str) -> Iterator[Wiring]:
    """A store per server; the registry is each server's own, or there could only be one server."""
    kubernetes = cluster.client()
    os.environ[URL_VARIABLE] = datastorage

    def make() -> Server:
        gateway = OldGateway(config, kubernetes=kubernetes, registry=CollectorRegistry())
        return LiveGateway(gateway, cluster=cluster)  # type: ignore[arg-type] # it has what LiveGateway uses

    def delivered(servers: list[Server]) -> None:
        for server in servers:
            if not server.gateway.audit_store.flushed.wait(DELIVERY_TIMEOUT):  # type: ignore[attr-defined]
                raise SystemExit("a server's own store did not deliver")

    yield make, delivered


WIRINGS = {"new": new_wiring, "old": old_wiring}


def measured(wiring: str, count: int, datastorage: str, kubeconfig: Path) -> dict[str, float]:
    """Return the figures of one configuration."""
    start = time.perf_counter()
    with ExistingCluster(kubeconfig) as cluster:
        config = GatewayConfig(processing={"scope": {"enabled": False}}, controller_namespace=cluster.namespace)
        with WIRINGS[wiring](config, cluster, datastorage) as (make, delivered):
            servers = [make() for _ in range(count)]
            for number, server in enumerate(servers):
                server.start()
                alert_through(server, number)
            delivered(servers)
            figures: dict[str, float] = {
                "flusher_threads": sum(thread.name.startswith("audit-flusher") for thread in threading.enumerate()),
                "connections": connections_to(urlsplit(datastorage).port),
            }
            for number, server in enumerate(servers):
                alert_through(server, number)
                server.stop()
    return figures | {
        "connections_after": open_sockets(),
        "peak_memory_mib": peak_memory_mib(),
        "seconds": time.perf_counter() - start,
        "recorded": sum(server.metrics.value("gateway_audit_events_total", outcome="recorded") for server in servers),
    }


def alert_through(server: Server, number: int) -> None:
    server.send_alert("HighLatency", namespace="prod", deployment=f"api-{number}").raise_for_status()


def connections_to(port: int | None) -> int:
    """Count the established connections of this machine to a port on it."""
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def open_sockets() -> int:
    """Count the sockets that this process holds."""
    return sum(os.readlink(link).startswith("socket:") for link in descriptors())


def descriptors() -> list[Path]:
    """List what is open; the one that listed them is gone by then."""
    return [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]


def peak_memory_mib() -> float:
    """Read the largest resident set of this process; getrusage would begin with its parent's."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    name, number_of_servers, url, path = sys.argv[1:]
    print(json.dumps(measured(name, int(number_of_servers), url, Path(path))))
