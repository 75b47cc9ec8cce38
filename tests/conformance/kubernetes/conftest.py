"""Each case runs against the embedded server, and against a real one where there is one; see `real`."""

import itertools
import json
import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from lightkube import Client
from lightkube.config.kubeconfig import KubeConfig
from tests.conformance.kubernetes.real import (
    KUBECONFIG,
    existing_server,
    real_server,
    version_of_assets,
    version_of_cluster,
)

from signal_gateway.apiserver import create_apiserver
from signal_gateway.testing.runtime.server import LiveServer

START_DEADLINE = 60.0
READ_DEADLINE = 60.0

GROUP = "conformance.example.com"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}
FEATURES_SINCE = {
    "aggregated discovery": (1, 30),
    "autoscaling v2": (1, 23),
    "batch v1 cronjob": (1, 21),
    "cel": (1, 29),
    "controllers": (99, 0),  # kube-apiserver alone has none: what they do is seen on the embedded server only
    "field validation": (1, 27),
    "namespace label": (1, 21),
    "openapi v3": (1, 27),
    "policy v1": (1, 21),
    "selectable fields": (1, 31),
    "singular names": (1, 27),
    "watch list": (1, 34),
}

WIDGET_SPEC = {
    "type": "object",
    "required": ["size", "color"],
    "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 10},
        "color": {"type": "string", "enum": ["red", "green"]},
        "code": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 5},
        "since": {"type": "string", "format": "date-time"},
        "mode": {"type": "string", "default": "auto"},
        "tags": {"type": "array", "maxItems": 2, "items": {"type": "string"}},
        "enabled": {"type": "boolean"},
        "ratio": {"type": "number"},
        "port": {"x-kubernetes-int-or-string": True},
        "note": {"type": "string", "nullable": True},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "names": {"type": "object", "additionalProperties": {"type": "string"}},
        "inner": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string"}, "count": {"type": "integer", "default": 7}},
        },
    },
}
GADGET_SPEC = {
    "type": "object",
    "required": ["serial"],
    "properties": {"serial": {"type": "string"}, "color": {"type": "string"}},
    "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "spec is immutable"}],
}


def definition(plural, kind, spec, *, group=GROUP, **version):
    """Return a CustomResourceDefinition with one version, v1, and a status subresource."""
    status = {"type": "object", "properties": {"phase": {"type": "string"}, "count": {"type": "integer"}}}
    schema = {"type": "object", "required": ["spec"], "properties": {"spec": spec, "status": status}}
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "shortNames": [plural[:2]]}
    v1 = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": names,
            "versions": [{**v1, "subresources": {"status": {}}, **version}],
        },
    }


WIDGETS = definition("widgets", "Widget", WIDGET_SPEC)
GADGETS = definition("gadgets", "Gadget", GADGET_SPEC, selectableFields=[{"jsonPath": ".spec.color"}])


class Api:
    """A namespace of its own on a server, and short words for what cases do there."""

    def __init__(self, http, cluster, user, namespace):
        self.http = http
        self.namespace = namespace
        self.namespaces = "/api/v1/namespaces"
        self.definitions = DEFINITIONS
        self.collection = f"/apis/{GROUP}/v1/namespaces/{namespace}/widgets"
        self.everywhere = f"/apis/{GROUP}/v1/widgets"
        self._cluster = cluster
        self._user = user

    def path(self, name, subresource=""):
        return f"{self.collection}/{name}/{subresource}".rstrip("/")

    def widget(self, name="a", *, spec=None, metadata=None, **fields):
        spec = {"size": 1, "color": "red"} if spec is None else spec
        metadata = {"name": name} | (metadata or {})
        return {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": metadata, "spec": spec, **fields}

    def post(self, body, path=None, **query):
        return self.http.post(path or self.collection, json=body, params=query)

    def create(self, name="a", **fields):
        response = self.post(self.widget(name, **fields))
        assert response.status_code == 201, response.text
        return response.json()

    def get(self, path, **query):
        return self.http.get(path, params=query)

    def read(self, name="a"):
        response = self.get(self.path(name))
        assert response.status_code == 200, response.text
        return response.json()

    def put(self, name, body, subresource=""):
        return self.http.put(self.path(name, subresource), json=body)

    def patch(self, name, body, *, type="merge", subresource="", path=None):
        headers = {"content-type": PATCH_TYPES.get(type, type)}
        return self.http.patch(path or self.path(name, subresource), content=json.dumps(body), headers=headers)

    def delete(self, name, body=None, *, path=None):
        return self.http.request("DELETE", path or self.path(name), json=body)

    def names(self, path=None, **query):
        """List, and return the names."""
        response = self.get(path or self.collection, **query)
        assert response.status_code == 200, response.text
        return [item["metadata"]["name"] for item in response.json()["items"]]

    def revision(self):
        """Return the resourceVersion of now."""
        return self.get(self.collection).json()["metadata"]["resourceVersion"]

    @contextmanager
    def watching(self, path=None, **query):
        """Open a watch, and give an iterator over its events; each is waited for as long as the read deadline."""
        with self.http.stream("GET", path or self.collection, params={"watch": "true", **query}) as response:
            assert response.status_code == 200, response.read()
            yield (json.loads(line) for line in response.iter_lines())

    def lightkube(self):
        """Return a lightkube client for this namespace."""
        config = {
            "clusters": [{"name": "cluster", "cluster": self._cluster}],
            "users": [{"name": "user", "user": self._user}],
            "contexts": [{"name": "context", "context": {"cluster": "cluster", "user": "user"}}],
            "current-context": "context",
        }
        return Client(KubeConfig.from_dict(config).get(), namespace=self.namespace, trust_env=False)

    def define(self, crd):
        """Install a definition, and return when it is established."""
        response = self.post(crd, self.definitions)
        assert response.status_code == 201, response.text
        since = response.json()["metadata"]["resourceVersion"]
        name = f"metadata.name={crd['metadata']['name']}"
        with self.watching(self.definitions, resourceVersion=since, fieldSelector=name) as events:
            for event in events:
                conditions = event["object"]["status"].get("conditions") or []
                if any(item["type"] == "Established" and item["status"] == "True" for item in conditions):
                    return event["object"]
        raise AssertionError(f"the watch ended before {name} was established")


def pytest_configure(config):
    config.addinivalue_line("markers", "feature(name): a case for API servers that have this feature")


def pytest_generate_tests(metafunc):
    if "server" not in metafunc.fixturenames:
        return
    servers = ["embedded"]
    wanted = [FEATURES_SINCE[mark.args[0]] for mark in metafunc.definition.iter_markers("feature")]
    if "KUBEBUILDER_ASSETS" in os.environ and all(since <= version_of_assets() for since in wanted):
        servers.append("kube-apiserver")
    if KUBECONFIG in os.environ and all(since <= version_of_cluster(os.environ[KUBECONFIG]) for since in wanted):
        servers.append("kubeconfig")
    metafunc.parametrize("server", servers, indirect=True, scope="session")


@pytest.fixture(scope="session")
def server(request):
    """A server with the definitions of the suite: client, cluster and user of a kubeconfig."""
    if request.param == "embedded":
        embedded = create_apiserver(crds=[WIDGETS, GADGETS])
        with LiveServer(embedded.app, name="Kubernetes API", streams=embedded) as live:
            yield live.client, {"server": live.url}, {}
    elif request.param == "kube-apiserver":
        with real_server(Path(os.environ["KUBEBUILDER_ASSETS"])) as real:
            for crd in (WIDGETS, GADGETS):
                Api(*real, "default").define(crd)
            yield real
    else:
        with existing_server(os.environ[KUBECONFIG]) as existing:
            for crd in (WIDGETS, GADGETS):
                http = existing[0]
                if http.get(f"{DEFINITIONS}/{crd['metadata']['name']}").status_code == 404:
                    Api(*existing, "default").define(crd)
            yield existing


@pytest.fixture(scope="session")
def numbers():
    """Numbers for the namespaces of the cases, unique in a session."""
    return itertools.count(1)


@pytest.fixture
def api(server, numbers):
    """A namespace of the case's own."""
    api = Api(*server, f"case-{next(numbers)}")
    assert api.post({"metadata": {"name": api.namespace}}, api.namespaces).status_code == 201
    return api


@pytest.fixture
def lightkube(api):
    """A lightkube client for the namespace of the case."""
    with api.lightkube() as client:
        yield client


@pytest.fixture
def make_definition():
    """The `definition` builder."""
    return definition


@pytest.fixture
def failure():
    """Return code, reason and message of an answer that must be a `Status`."""

    def read(response):
        assert response.headers["content-type"] == "application/json"
        status = response.json()
        assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")
        assert status["code"] == response.status_code
        return status["code"], status.get("reason"), status["message"]

    return read
