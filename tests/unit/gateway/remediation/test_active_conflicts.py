import pytest

pytestmark = pytest.mark.asyncio

FINGERPRINT = "91fce8d5c4949766458bd4bd58859a4fb2e8470ef64ef438c22903744799a9b1"


def manifest(name):
    return {
        "apiVersion": "kubernaut.ai/v1alpha1",
        "kind": "RemediationRequest",
        "metadata": {"name": name, "namespace": "kubernaut-system"},
        "spec": {
            "signalFingerprint": FINGERPRINT,
            "signalName": "X",
            "severity": "warning",
            "signalType": "alert",
            "targetType": "kubernetes",
            "targetResource": {"kind": "Deployment", "name": "payment-api", "namespace": "prod"},
            "firingTime": "2026-01-01T00:00:00Z",
            "receivedTime": "2026-01-01T00:00:00Z",
        },
    }


@pytest.fixture
def requests_of_hand(wired_cluster):
    async def create(*names):
        return [await wired_cluster.create(manifest(name)) for name in names]

    return create


async def test_several_active_ones_are_said_once_by_a_metric_and_an_event(run_gateway, requests_of_hand, alert):
    await requests_of_hand("rr-a", "rr-b")
    gateway = await run_gateway()

    answers = [await gateway.post(alert()) for _ in range(3)]

    assert [answer.json()["remediationRequestName"] for answer in answers] == ["rr-a"] * 3
    assert gateway.metric("gateway_active_conflicts_total") == 1
    [event] = gateway.events("gateway.crd.conflict")
    assert (event.event_outcome, event.correlation_id, event.error_code) == ("failure", "rr-a", "several_active")
    assert "rr-b" in event.event_data["error_details"]["message"]


async def test_others_than_before_are_said_again(run_gateway, wired_cluster, requests_of_hand, alert):
    await requests_of_hand("rr-a", "rr-b")
    gateway = await run_gateway()
    await gateway.post(alert())
    await wired_cluster.delete("rr-b")
    await requests_of_hand("rr-c")

    async with gateway.gateway.kubernetes.index("kubernaut-system") as index:
        while {record.name for record in index.by_fingerprint(FINGERPRINT)} != {"rr-a", "rr-c"}:
            await wired_cluster.get("rr-a")  # the watch speaks between two answers
    await gateway.post(alert())

    assert gateway.metric("gateway_active_conflicts_total") == 2


async def test_one_active_one_is_no_conflict(running_gateway, alert):
    await running_gateway.post(alert())
    await running_gateway.post(alert())

    assert running_gateway.metric("gateway_active_conflicts_total") == 0
    assert running_gateway.events("gateway.crd.conflict") == []
