"""One side of `versus`: a workload on the build of the interpreter that runs this file, as samples in JSON.

    PYTHON tests/benchmarks/versus_side.py gateway_per_test 40

Only the public names of the package are used, so that every build can run the file. Nothing else of the repository is
imported.
"""

import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack

from signal_gateway import GatewayConfig, create_gateway
from signal_gateway.audit import AuditEvent, AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.testing import EmbeddedCluster, EmbeddedDataStorage, alert, alertmanager_webhook, serve

BURST = 20_000
WARM = 5


def gateway_per_test(count: int) -> list[float]:
    """Return milliseconds of CPU per test, all threads: cluster, gateway, one alert, one query of the trail, stop."""
    samples = []
    config = GatewayConfig(processing={"scope": {"enabled": False}})
    with ExitStack() as stack:
        spool = stack.enter_context(tempfile.TemporaryDirectory())
        datastorage = stack.enter_context(EmbeddedDataStorage())
        client = DataStorageClient(datastorage.url)
        settings = AuditStoreConfig(spool_directory=spool)
        store = stack.enter_context(BufferedAuditStore(client, service="gateway", config=settings))
        for number in range(WARM + count):
            begun_at = time.process_time()
            with EmbeddedCluster() as cluster:
                gateway = create_gateway(config, kubernetes=cluster.client(), audit_store=store)
                with serve(gateway, cluster=cluster) as live:
                    payload = alertmanager_webhook(alert("Slow", namespace="prod", deployment=f"api-{number}"))
                    response = live.client.post("/api/v1/signals/prometheus", json=payload)
                    assert response.status_code == 201, response.text
                    name = response.json()["remediationRequestName"]
                    live.audit_trail.sequence("gateway.signal.received", "gateway.crd.created", correlation_id=name)
            samples.append((time.process_time() - begun_at) * 1000)
    return samples[WARM:]


def record(count: int) -> list[float]:
    """Return nanoseconds of CPU of `record()` per event that was made before, one sample for each burst."""
    return _bursts(count, is_made_before=True)


def build_and_record(count: int) -> list[float]:
    """Return nanoseconds of CPU per event from the caller's values to the spool, one sample for each burst."""
    return _bursts(count, is_made_before=False)


def _bursts(count: int, *, is_made_before: bool) -> list[float]:
    samples = []
    made = [_event(number) for number in range(400)]
    gc.collect()
    gc.freeze()
    for _ in range(1 + count):
        with tempfile.TemporaryDirectory() as spool:
            # nothing listens on the discard port: the events stay in the spool
            client = DataStorageClient("http://127.0.0.1:9")
            store = BufferedAuditStore(client, service="gateway", config=AuditStoreConfig(spool_directory=spool))
            begun_at = time.thread_time_ns()
            if is_made_before:
                for _ in range(BURST // len(made)):
                    for event in made:
                        store.record(event)
            else:
                for number in range(BURST):
                    store.record(_event(number))
            samples.append((time.thread_time_ns() - begun_at) / BURST)
            store.close(timeout=0)
    return samples[1:]


def _event(number: int) -> AuditEvent:
    event_type = "gateway.signal.deduplicated"
    return AuditEvent(
        event_type=event_type,
        event_category="gateway",
        event_action="deduplicated",
        event_outcome="success",
        correlation_id=f"rr-{number:012x}",
        event_data={
            "event_type": event_type,
            "signal_name": "HighLatency",
            "fingerprint": f"{number:016x}",
            "deduplication_status": "duplicate",
            "occurrence_count": number,
        },
        actor_type="external",
        actor_id="prometheus",
        resource_type="Signal",
        resource_id=f"{number:016x}",
        namespace="prod",
        severity="critical",
    )


WORKLOADS: dict[str, Callable[[int], list[float]]] = {
    workload.__name__: workload for workload in (gateway_per_test, record, build_and_record)
}

if __name__ == "__main__":
    print(json.dumps(WORKLOADS[sys.argv[1]](int(sys.argv[2]))))
