"""Cluster: the protocol of a Kubernetes cluster for tests, and its embedded implementation."""

import secrets
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

import yaml
from lightkube import AsyncClient, Client

from signal_gateway.apiserver import ApiServer, Faults, RequestLog, Rule, User, create_apiserver
from signal_gateway.errors import ApiServerError, HarnessError
from signal_gateway.gateway.config import GatewayConfig
from signal_gateway.kubernetes import KubernetesClient, crd_manifest
from signal_gateway.testing.cluster.clients import ClusterClients
from signal_gateway.testing.cluster.kubeconfig import plain_http_kubeconfig
from signal_gateway.testing.cluster.manifests import Manifest, read_manifests
from signal_gateway.testing.cluster.workload import MANAGED_LABEL, Workload, parse_workload_reference, workload_objects
from signal_gateway.testing.runtime.cleanup import run_all
from signal_gateway.testing.runtime.loops import DEPENDENCIES
from signal_gateway.testing.runtime.server import STARTUP_TIMEOUT, LiveServer

__all__ = ["Cluster", "EmbeddedCluster"]

_CALL_TIMEOUT: Final = 10.0


class Cluster(Protocol):
    """A Kubernetes cluster for tests and gateways, embedded or existing."""

    @property
    def url(self) -> str:
        """The URL of its API."""
        ...

    @property
    def kubeconfig(self) -> Path:
        """The path of a kubeconfig file for this cluster."""
        ...

    @property
    def namespace(self) -> str:
        """The controller namespace, which holds the RemediationRequests."""
        ...

    @property
    def faults(self) -> Faults:
        """The faults to inject; only in an embedded cluster."""
        ...

    @property
    def log(self) -> RequestLog:
        """The log of the requests; only in an embedded cluster."""
        ...

    def install(self, *sources: Manifest | Path | str) -> None:
        """Create objects from manifests; only in an embedded cluster."""
        ...

    def workload(self, reference: str, *, managed: bool | None = None, pods: int = 1) -> Workload:
        """Create a workload with the objects of its controllers; only in an embedded cluster."""
        ...

    def client(self) -> KubernetesClient:
        """Return a new client for a gateway; the cluster closes it."""
        ...

    def release(self, client: KubernetesClient) -> None:
        """Close a client before the cluster closes. A second call does nothing."""
        ...

    def lightkube(self) -> Client:
        """Return a new lightkube client; the cluster closes it."""
        ...

    def async_lightkube(self) -> AsyncClient:
        """Return a new asynchronous lightkube client; the cluster closes it."""
        ...


class EmbeddedCluster:
    """A fresh, empty Kubernetes API on loopback, with the RemediationRequest CRD installed.

    Use it as a context manager, or call `start` and `close`. It serves plain HTTP. Without `tokens` and `rules` it
    needs no credentials. Its own kubeconfig and clients always have all permissions.

    Args:
        crds: More CustomResourceDefinitions, as JSON-like dicts.
        tokens: Users by bearer token. If given, every request needs a token, and TokenReviews use this table.
        rules: The permissions of users. If given, a user has no others, and SubjectAccessReviews use these rules.
        startup_timeout: Seconds for the start-up of the API server.
    """

    namespace: str = GatewayConfig().controller_namespace

    def __init__(
        self,
        *,
        crds: Iterable[Mapping[str, Any]] = (),
        tokens: Mapping[str, User] | None = None,
        rules: Iterable[Rule] | None = None,
        startup_timeout: float = STARTUP_TIMEOUT,
    ) -> None:
        self._token = secrets.token_hex(16) if tokens is not None or rules is not None else ""
        if self._token:
            tokens = {**(tokens or {}), self._token: User("kubernetes-admin", groups=("system:masters",))}
        self._api: ApiServer = create_apiserver(crds=[crd_manifest(), *crds], tokens=tokens, rules=rules)
        self._server = LiveServer(
            self._api.app, name="Kubernetes API", loop=DEPENDENCIES, streams=self._api, startup_timeout=startup_timeout
        )
        self._clients = ClusterClients(plain_http_kubeconfig(self.url, token=self._token))
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def start(self) -> None:
        """Start the server and wait until it accepts requests."""
        self._server.start()
        self._clients.open()

    def close(self) -> None:
        """Close the clients, then the API server."""
        run_all(
            f"the cluster at {self.url}",
            self._clients.close,
            self._server.stop,
            self._directory.cleanup if self._directory is not None else lambda: None,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The URL of its API, with scheme and port."""
        return self._server.url

    @property
    def kubeconfig(self) -> Path:
        """The path of a kubeconfig file for any client; `close` removes it."""
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="signal-gateway-cluster-")
            path = Path(self._directory.name) / "kubeconfig"
            manifest = plain_http_kubeconfig(self.url, token=self._token)
            path.write_text(yaml.safe_dump(manifest), encoding="utf-8")
        return Path(self._directory.name) / "kubeconfig"

    @property
    def faults(self) -> Faults:
        """The faults to inject: `faults.fail(verb="create", resource="remediationrequests", status=503, times=1)`."""
        return self._api.faults

    @property
    def log(self) -> RequestLog:
        """The requests, oldest first: verb, resource, namespace, name, code, time."""
        return self._api.log

    def install(self, *sources: Manifest | Path | str) -> None:
        """Create objects with strict field validation: definitions first, then namespaces, then the others.

        Args:
            *sources: Objects, and YAML files with one or more. The default namespace is `default`.

        Raises:
            HarnessError: A file cannot be read, or the API server rejects an object. The message has the cause.
        """
        for manifest in read_manifests(sources):
            self._create(manifest)

    def workload(self, reference: str, *, managed: bool | None = None, pods: int = 1) -> Workload:
        """Create a workload and the objects of its controllers, such as the ReplicaSet and the pods of a Deployment.

        Args:
            reference: Such as `prod/Deployment/api` or `Node/worker-1`. The kinds are Deployment, ReplicaSet,
                StatefulSet, DaemonSet, Job, CronJob, Pod and Node. A missing namespace is created.
            managed: The label `kubernaut.ai/managed` of the top object; None: no label.
            pods: The number of pods.

        Raises:
            HarnessError: The reference has a wrong form, or an object of that name exists.
        """
        namespace, kind, name = parse_workload_reference(reference)
        labels = {} if managed is None else {MANAGED_LABEL: str(managed).lower()}
        if namespace and not self._has_namespace(namespace):
            self._create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        owner: dict[str, Any] | None = None
        pod_names = [name] if kind == "Pod" else []
        for document, is_owner in workload_objects(namespace, kind, name, labels=labels, pods=pods):
            if owner is not None:
                document["metadata"]["ownerReferences"] = [owner]
            created = self._create(document)
            if is_owner:
                owner = {
                    "apiVersion": document["apiVersion"],
                    "kind": document["kind"],
                    "name": document["metadata"]["name"],
                    "uid": created["metadata"]["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            elif document["kind"] == "Pod" and kind != "Pod":
                pod_names.append(document["metadata"]["name"])
        return Workload(namespace, kind, name, tuple(pod_names))

    def client(self) -> KubernetesClient:
        """Return a new client for a gateway; the cluster closes it."""
        return self._clients.client()

    def release(self, client: KubernetesClient) -> None:
        """Close a client before the cluster closes. A second call does nothing."""
        self._clients.release(client)

    def lightkube(self) -> Client:
        """Return a new lightkube client; the cluster closes it."""
        return self._clients.lightkube()

    def async_lightkube(self) -> AsyncClient:
        """Return a new asynchronous lightkube client, for tests on any loop; the cluster closes it."""
        return self._clients.async_lightkube()

    def _create(self, manifest: Manifest) -> dict[str, Any]:
        async def create() -> dict[str, Any]:
            return self._api.install(manifest)

        try:
            created: dict[str, Any] = self._server.call(create(), timeout=_CALL_TIMEOUT, doing="creating an object")
        except ApiServerError as exc:
            raise HarnessError(str(exc)) from exc
        return created

    def _has_namespace(self, name: str) -> bool:
        async def find() -> bool:
            return self._api.has_namespace(name)

        return bool(self._server.call(find(), timeout=_CALL_TIMEOUT, doing="looking for a namespace"))
