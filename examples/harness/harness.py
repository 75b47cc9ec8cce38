"""The harness without pytest: this script creates and closes each part itself."""

from pathlib import Path
from tempfile import TemporaryDirectory

from signal_gateway import GatewayConfig, create_gateway
from signal_gateway.audit import AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.testing import EmbeddedCluster, EmbeddedDataStorage, alert, alertmanager_webhook, serve


def main() -> None:
    with EmbeddedCluster() as cluster, EmbeddedDataStorage() as datastorage, TemporaryDirectory() as tmp:
        client = DataStorageClient(datastorage.url)
        config = AuditStoreConfig(spool_directory=Path(tmp))  # in production, use a directory that outlives the process
        with BufferedAuditStore(client, service="gateway", config=config) as store:
            # the store is shared; each gateway has its own registry, settings and socket
            for attempts in (1, 3):
                gateway = create_gateway(
                    GatewayConfig(processing={"retry": {"max_attempts": attempts}, "scope": {"enabled": False}}),
                    kubernetes=cluster.client(),
                    audit_store=store,
                )
                with serve(gateway, cluster=cluster) as live:
                    webhook = alertmanager_webhook(alert("DiskFull", namespace="prod", statefulset=f"db-{attempts}"))
                    response = live.client.post("/api/v1/signals/prometheus", json=webhook)
                    name = response.json()["remediationRequestName"]
                    print(f"{live.url} with {attempts} attempts: {response.status_code} {name}")

                    for event in live.audit_trail.events(correlation_id=name):
                        print(f"  {event.event_type}")

            store.flush(timeout=5)
            print(f"delivered {store.stats.delivered} of {store.stats.recorded} events")
        client.close()


if __name__ == "__main__":
    main()
