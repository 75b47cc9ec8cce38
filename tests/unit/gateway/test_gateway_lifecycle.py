import asyncio

import httpx
import pytest
from lightkube import KubeConfig
from prometheus_client import CollectorRegistry

from signal_gateway import GatewayConfig, create_gateway
from signal_gateway.errors import GatewayError
from signal_gateway.kubernetes import KubernetesClient, KubernetesError
from signal_gateway.testing.datastorage.recording import RecordingAuditStore

pytestmark = pytest.mark.asyncio

HEALTH = ("/healthz", "/readyz", "/metrics")


@pytest.fixture
def build(wired_cluster):
    clients = []

    def build(**arguments):
        client = KubernetesClient(KubeConfig.from_server(wired_cluster.url))
        clients.append(client)
        return create_gateway(
            arguments.pop("config", GatewayConfig(processing={"scope": {"enabled": False}})),
            kubernetes=client,
            audit_store=RecordingAuditStore(),
            **arguments,
        )

    return build


def own_tasks():
    """Return the tasks of gateways and clients; the API server's own share the loop."""
    rooms = ("signal_gateway/gateway/", "signal_gateway/kubernetes/", "signal_gateway/cached_read.py")
    return [
        task
        for task in asyncio.all_tasks()
        if any(room in task.get_stack(limit=1)[0].f_code.co_filename for room in rooms)
    ]


def caller(gateway):
    return asked(gateway.app)


def asked(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")


@pytest.mark.parametrize("store", [None, object(), "http://127.0.0.1:8080"])
async def test_gateway_without_a_store_is_refused_with_what_to_pass(build, store):
    with pytest.raises(TypeError, match="BufferedAuditStore"):
        create_gateway(GatewayConfig(), kubernetes=build().kubernetes, audit_store=store)


async def test_each_gateway_has_a_registry_of_its_own(build):
    first, second = build(), build()

    first.metrics.count_resolved(source="prometheus")

    labels = {"source_type": "prometheus"}
    assert first.registry.get_sample_value("gateway_signals_resolved_total", labels) == 1
    assert second.registry.get_sample_value("gateway_signals_resolved_total", labels) is None


async def test_registry_that_is_passed_in_is_used_and_cannot_be_shared(build):
    registry = CollectorRegistry()

    assert build(registry=registry).registry is registry
    with pytest.raises(ValueError, match="Duplicated"):
        build(registry=registry)


async def test_gateway_whose_lifespan_did_not_run_says_so(build):
    gateway = build()

    async with caller(gateway) as http:
        response = await http.post("/api/v1/signals/prometheus", json={})

    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert "lifespan did not run" in response.json()["detail"]


async def test_gateway_can_be_used_as_a_context_manager(build, alert):
    gateway = build()

    async with gateway, caller(gateway) as http:
        response = await http.post("/api/v1/signals/prometheus", json={"version": "4", "alerts": [alert()]})

    assert response.status_code == 201
    await gateway.kubernetes.aclose()


async def test_stopped_gateway_answers_503_and_cannot_be_started_again(build):
    gateway = build()
    async with gateway:
        pass

    async with caller(gateway) as http:
        response = await http.get("/readyz")

    assert response.status_code == 503
    assert "has been stopped" in response.json()["detail"]
    with pytest.raises(GatewayError, match="create another"):
        await gateway.start()
    await gateway.kubernetes.aclose()


async def test_gateway_cannot_be_started_twice(build):
    gateway = build()

    async with gateway:
        with pytest.raises(GatewayError, match="started once"):
            await gateway.start()
    await gateway.kubernetes.aclose()


async def test_missing_namespace_is_an_error_at_start_and_leaves_nothing_behind(build):
    gateway = build(config=GatewayConfig(controller_namespace="nowhere"))

    with pytest.raises(KubernetesError, match="kubectl create namespace nowhere"):
        await gateway.start()

    assert not own_tasks()
    await gateway.kubernetes.aclose()


async def test_stopping_leaves_no_task_and_neither_closes_client_nor_store(build):
    gateway = build()
    async with gateway:
        assert own_tasks()

    assert not own_tasks()
    assert gateway.audit_store.accepting
    await gateway.kubernetes.ping()
    await gateway.kubernetes.aclose()


async def test_settle_waits_for_what_outlived_its_request(run_gateway, wired_cluster, alert):
    gateway = await run_gateway(processing={"request_deadline": 0.05})
    _, release = wired_cluster.wire.hold("POST")
    assert (await gateway.post(alert())).status_code == 504

    settled = asyncio.create_task(gateway.gateway.settle())
    await asyncio.sleep(0)
    assert not settled.done()
    release.set()
    await settled

    assert len(await wired_cluster.requests()) == 1


async def test_two_gateways_count_only_their_own(run_gateway, alert):
    first, second = await run_gateway(), await run_gateway()

    await first.post(alert())
    await second.post(alert())

    created = {"source_type": "prometheus", "status": "created"}
    assert (first.metric("gateway_crds_created_total", **created), len(first.events())) == (1, 2)
    assert (second.metric("gateway_crds_created_total", **created), len(second.events())) == (0, 1)
    assert second.metric("gateway_signals_deduplicated_total", source_type="prometheus") == 1


async def test_gateway_that_shuts_down_is_not_ready_and_takes_signals_still(build, alert):
    gateway = build()

    async with gateway, caller(gateway) as http:
        gateway.announce_shutdown()
        ready = await http.get("/readyz")
        taken = await http.post("/api/v1/signals/prometheus", json={"version": "4", "alerts": [alert()]})

    assert ready.status_code == 503
    assert ready.json()["checks"] == {"gateway": "The gateway is shutting down."}
    assert taken.status_code == 201
    await gateway.kubernetes.aclose()


async def test_separate_management_serves_health_and_metrics_and_nothing_else(build, alert):
    gateway = build(separate_management=True)

    async with gateway, caller(gateway) as http, asked(gateway.management_app) as management:
        on_app = [(await http.get(path)).status_code for path in HEALTH]
        on_management = [(await management.get(path)).status_code for path in HEALTH]
        taken = await http.post("/api/v1/signals/prometheus", json={"version": "4", "alerts": [alert()]})
        elsewhere = await management.post("/api/v1/signals/prometheus", json={})

    assert on_app == [404, 404, 404]
    assert on_management == [200, 200, 200]
    assert taken.status_code == 201
    assert elsewhere.status_code == 404
    assert elsewhere.headers["content-type"] == "application/problem+json"
    await gateway.kubernetes.aclose()


async def test_management_answers_before_the_start_and_after_the_stop(build):
    gateway = build(separate_management=True)

    async with asked(gateway.management_app) as management:
        before = [await management.get(path) for path in HEALTH]
        async with gateway:
            pass
        after = [await management.get(path) for path in HEALTH]

    assert [response.status_code for response in before] == [200, 503, 200]
    assert [response.status_code for response in after] == [200, 503, 200]
    assert "has been stopped" in after[1].json()["detail"]
    await gateway.kubernetes.aclose()


async def test_requests_of_management_are_counted_by_their_path(build):
    gateway = build(separate_management=True)

    async with asked(gateway.management_app) as management:
        await management.get("/healthz")

    labels = {"endpoint": "/healthz", "method": "GET", "status": "200"}
    assert gateway.registry.get_sample_value("gateway_http_request_duration_seconds_count", labels) == 1
