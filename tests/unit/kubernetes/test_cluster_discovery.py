import pytest
from tests.unit.kubernetes.recording_observer import RecordingObserver

from signal_gateway.kubernetes import ApiUnavailable, Kind
from signal_gateway.kubernetes.discovery import discover_kinds

pytestmark = pytest.mark.asyncio

PLAIN = {
    "api": {"kind": "APIVersions", "versions": ["v1"]},
    "api/v1": {
        "resources": [
            {"name": "pods", "singularName": "", "kind": "Pod", "namespaced": True, "verbs": ["get", "list"]},
            {"name": "pods/log", "singularName": "", "kind": "Pod", "namespaced": True, "verbs": ["get"]},
            {"name": "nodes", "singularName": "node", "kind": "Node", "namespaced": False, "verbs": ["get"]},
            {"name": "bindings", "singularName": "", "kind": "Binding", "namespaced": True, "verbs": ["create"]},
        ]
    },
    "apis": {
        "kind": "APIGroupList",
        "groups": [
            {
                "name": "batch",
                "versions": [{"version": "v1beta1"}, {"version": "v1"}],
                "preferredVersion": {"version": "v1"},
            },
            {"name": "metrics.k8s.io", "versions": [{"version": "v1"}], "preferredVersion": {"version": "v1"}},
        ],
    },
    "apis/batch/v1": {
        "resources": [{"name": "jobs", "singularName": "job", "kind": "Job", "namespaced": True, "verbs": ["get"]}]
    },
    "apis/batch/v1beta1": {
        "resources": [
            {"name": "jobs", "singularName": "job", "kind": "Job", "namespaced": True, "verbs": ["get"]},
            {"name": "cronjobs", "singularName": "cronjob", "kind": "CronJob", "namespaced": True, "verbs": ["get"]},
        ]
    },
}


class Documents:
    """A discovery client that reads from a dict."""

    def __init__(self, documents):
        self._documents = documents

    async def get(self, path):
        if path not in self._documents:
            raise ApiUnavailable(f"the server behind /{path} is down")
        return self._documents[path]


async def test_server_that_does_not_aggregate_is_asked_version_by_version(caplog):
    kinds = await discover_kinds(Documents(PLAIN))

    assert kinds.called("pod") == Kind("Pod", "", "v1", "pods", "pod", is_namespaced=True)
    assert kinds.called("node").is_namespaced is False
    assert kinds.called("binding") is None
    assert kinds.called("job").api_version == "batch/v1"
    assert kinds.called("cronjob").api_version == "batch/v1beta1"
    assert kinds.referred("batch/v1beta1", "Job").api_version == "batch/v1beta1"
    assert len(kinds) == 5
    assert "apis/metrics.k8s.io/v1" in caplog.text


async def test_core_kinds_that_cannot_be_told_are_an_error():
    without_core = {path: document for path, document in PLAIN.items() if path != "api/v1"}

    with pytest.raises(ApiUnavailable):
        await discover_kinds(Documents(without_core))


async def test_client_discovers_the_same_kinds_aggregated_and_plain(api_server, client_of, monkeypatch):
    client = client_of(api_server.url)
    observer = RecordingObserver()
    seen = observer.calls

    aggregated = await client.discover(observer=observer)
    calls_aggregated = len(seen)
    monkeypatch.setattr("signal_gateway.kubernetes.discovery.ACCEPT", "application/json")
    plain = await client.discover(observer=observer)
    await client.aclose()

    assert calls_aggregated == 2 < len(seen)
    for name in ("pod", "deployment", "cronjob", "node", "namespace", "horizontalpodautoscaler", "remediationrequest"):
        assert aggregated.called(name) is not None
        assert aggregated.called(name) == plain.called(name)
    assert len(aggregated) == len(plain)


async def test_metadata_alone_is_read_of_an_object_of_any_kind(api_server, client_of):
    client = client_of(api_server.url)
    kinds = await client.discover()

    metadata = await client.get_metadata(kinds.called("namespace"), "kubernaut-system", namespace=None)
    with pytest.raises(ValueError, match="namespaced"):
        await client.get_metadata(kinds.called("pod"), "p", namespace=None)
    await client.aclose()

    assert metadata["name"] == "kubernaut-system"
    assert metadata["uid"]
