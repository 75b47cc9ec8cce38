"""What `/readyz` says about the audit trail, over a real store."""

import httpx
import pytest
import pytest_asyncio
from lightkube import KubeConfig
from tests.support.waiting import wait_until

from signal_gateway import GatewayConfig, create_gateway
from signal_gateway.audit import AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.kubernetes import KubernetesClient
from signal_gateway.testing.datastorage.embedded import EmbeddedDataStorage

pytestmark = pytest.mark.asyncio

MIB = 1024 * 1024


@pytest.fixture
def datastorage():
    with EmbeddedDataStorage() as datastorage:
        yield datastorage


@pytest_asyncio.fixture
async def ask(wired_cluster, datastorage, tmp_path, alert):
    """Give a function that sends alerts to a gateway and then asks whether it is ready."""

    async def ask(*, workloads=(), before=lambda _store: None, **limits):
        config = AuditStoreConfig(spool_directory=tmp_path, **limits)
        everything = GatewayConfig(processing={"scope": {"enabled": False}})
        client = DataStorageClient(datastorage.url)
        store = BufferedAuditStore(client, service="gateway", config=config)
        try:
            async with KubernetesClient(KubeConfig.from_server(wired_cluster.url)) as kubernetes:
                gateway = create_gateway(everything, kubernetes=kubernetes, audit_store=store)
                transport = httpx.ASGITransport(gateway.app)
                async with gateway, httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
                    for workload in workloads:
                        alerts = [alert(namespace="prod", deployment=workload)]
                        taken = await http.post("/api/v1/signals/prometheus", json={"version": "4", "alerts": alerts})
                        assert taken.status_code == 201
                    before(store)
                    return await http.get("/readyz")
        finally:
            await store.aclose(timeout=0)

    return ask


async def test_ready_gateway_says_that_no_event_waits(ask):
    response = await ask(workloads=["api"], before=lambda store: store.flush())

    assert response.status_code == 200
    assert response.json()["checks"]["datastorage"] == "ok"


async def test_datastorage_that_is_down_is_shown_and_does_not_make_it_unready(ask, datastorage):
    datastorage.stop()

    response = await ask(workloads=["api", "web"])

    assert response.status_code == 200
    assert response.json()["status"] == "ready"
    assert response.json()["checks"]["datastorage"].startswith("4 events wait for delivery, the oldest")


async def test_reason_why_events_wait_is_shown(ask, datastorage):
    datastorage.stop()

    response = await ask(workloads=["api"], before=lambda store: store.flush(timeout=0.5))

    assert "ConnectError" in response.json()["checks"]["datastorage"]


async def test_events_of_an_earlier_process_that_wait_are_shown_too(ask, datastorage):
    datastorage.stop()
    await ask(workloads=["api"])

    # the store's thread recovers them, maybe after the signal was handled
    response = await ask(workloads=["web"], before=lambda store: wait_until(lambda: store.stats.recovered.pending == 2))

    assert response.json()["checks"]["datastorage"].startswith("4 events wait")


async def test_store_without_room_makes_it_unready(ask):
    response = await ask(max_spool_bytes=MIB)

    assert response.status_code == 503
    assert response.json()["checks"]["audit_store"] == "the audit store has less than 1 MiB left"


async def test_store_that_is_closed_makes_it_unready(ask):
    response = await ask(before=lambda store: store.close())

    assert response.status_code == 503
    assert response.json()["checks"]["audit_store"] == "the audit store does not accept events"
