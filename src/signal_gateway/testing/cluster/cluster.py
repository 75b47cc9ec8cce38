"""The Kubernetes of a test: what is asked of any, and the embedded one."""

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
from signal_gateway.testing.cluster.kubeconfig import kubeconfig_of
from signal_gateway.testing.cluster.manifests import Manifest, read_manifests
from signal_gateway.testing.cluster.workload import MANAGED_LABEL, Workload, objects_of, read_reference
from signal_gateway.testing.runtime.cleanup import run_all
from signal_gateway.testing.runtime.loops import NEIGHBOURS
from signal_gateway.testing.runtime.server import LiveServer

__all__ = ["Cluster", "EmbeddedCluster"]

_CALL_TIMEOUT: Final = 10.0


class Cluster(Protocol):
    """What tests and gateways need of a cluster, embedded or real."""

    @property
    def url(self) -> str:
        """Where its API answers."""
        ...

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig file for it."""
        ...

    @property
    def namespace(self) -> str:
        """The controller namespace: where RemediationRequests live."""
        ...

    @property
    def faults(self) -> Faults:
        """Failures to inject; only an embedded cluster has them."""
        ...

    @property
    def log(self) -> RequestLog:
        """The requests that it answered; only an embedded cluster keeps them."""
        ...

    def install(self, *sources: Manifest | Path | str) -> None:
        """Create objects from manifests; only in an embedded cluster."""
        ...

    def workload(self, reference: str, *, managed: bool | None = None, pods: int = 1) -> Workload:
        """Create a workload with all that its controllers would make; only in an embedded cluster."""
        ...

    def client(self) -> KubernetesClient:
        """Return a client as a gateway takes it; the cluster closes it."""
        ...

    def release(self, client: KubernetesClient) -> None:
        """Close a client that it handed out, before its own end; does no harm twice."""
        ...

    def lightkube(self) -> Client:
        """Return a plain lightkube client; the cluster closes it."""
        ...

    def async_lightkube(self) -> AsyncClient:
        """Return a plain asynchronous lightkube client; the cluster closes it."""
        ...


class EmbeddedCluster:
    """A fresh, empty Kubernetes API on loopback, with the RemediationRequest CRD installed.

    Use it as a context manager, or call `start` and `close`. It answers plain HTTP and asks for no credentials, unless
    it is given a table of tokens. Its kubeconfig and the clients it hands out may do everything in any case.

    Args:
        crds: Further CustomResourceDefinitions to install, as JSON-like dicts.
        tokens: Users by bearer token; if given, every request needs one, and TokenReviews know them.
        rules: What users may do; if given, they may do nothing else, and SubjectAccessReviews answer by it.
    """

    namespace: str = GatewayConfig().controller_namespace

    def __init__(
        self,
        *,
        crds: Iterable[Mapping[str, Any]] = (),
        tokens: Mapping[str, User] | None = None,
        rules: Iterable[Rule] | None = None,
    ) -> None:
        self._token = secrets.token_hex(16) if tokens is not None or rules is not None else ""
        if self._token:
            tokens = {**(tokens or {}), self._token: User("kubernetes-admin", groups=("system:masters",))}
        self._api: ApiServer = create_apiserver(crds=[crd_manifest(), *crds], tokens=tokens, rules=rules)
        self._server = LiveServer(self._api.app, name="Kubernetes API", loop=NEIGHBOURS, streams=self._api)
        self._clients = ClusterClients(kubeconfig_of(self.url, token=self._token))
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def start(self) -> None:
        """Start serving; returns when requests are answered."""
        self._server.start()
        self._clients.open()

    def close(self) -> None:
        """Close the clients that were handed out, then the API itself."""
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
        """Where its API answers, a URL with scheme and port."""
        return self._server.url

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig file for any client; removed with the cluster."""
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="signal-gateway-cluster-")
            path = Path(self._directory.name) / "kubeconfig"
            path.write_text(yaml.safe_dump(kubeconfig_of(self.url, token=self._token)))
        return Path(self._directory.name) / "kubeconfig"

    @property
    def faults(self) -> Faults:
        """Failures to inject: `faults.fail(verb="create", resource="remediationrequests", status=503, times=1)`."""
        return self._api.faults

    @property
    def log(self) -> RequestLog:
        """The requests that were answered, oldest first: verb, resource, namespace, name, code, time."""
        return self._api.log

    def install(self, *sources: Manifest | Path | str) -> None:
        """Create objects, definitions and namespaces first, with strict field validation.

        Args:
            *sources: Objects, and YAML files with one or many. An object without a namespace goes to `default`.

        Raises:
            HarnessError: A file can't be read, or the API server refuses an object; the message says why.
        """
        for manifest in read_manifests(sources):
            self._create(manifest)

    def workload(self, reference: str, *, managed: bool | None = None, pods: int = 1) -> Workload:
        """Create a workload, and what its controllers would make of it: a Deployment's ReplicaSet and its pods.

        Args:
            reference: Such as `prod/Deployment/api` or `Node/worker-1`; the kinds are Deployment, ReplicaSet,
                StatefulSet, DaemonSet, Job, CronJob, Pod and Node. A namespace that is not there is made.
            managed: The label `kubernaut.ai/managed` of the object at the top; None for none.
            pods: How many pods it has.

        Raises:
            HarnessError: The reference is none, or something of that name is there already.
        """
        namespace, kind, name = read_reference(reference)
        labels = {} if managed is None else {MANAGED_LABEL: str(managed).lower()}
        if namespace and not self._has_namespace(namespace):
            self._create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        owner: dict[str, Any] | None = None
        made = [name] if kind == "Pod" else []
        for document, is_owner in objects_of(namespace, kind, name, labels=labels, pods=pods):
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
                made.append(document["metadata"]["name"])
        return Workload(namespace, kind, name, tuple(made))

    def client(self) -> KubernetesClient:
        """Return a client as a gateway takes it; closed with the cluster."""
        return self._clients.client()

    def release(self, client: KubernetesClient) -> None:
        """Close a client that it handed out, before its own end; does no harm twice."""
        self._clients.release(client)

    def lightkube(self) -> Client:
        """Return a plain lightkube client; closed with the cluster."""
        return self._clients.lightkube()

    def async_lightkube(self) -> AsyncClient:
        """Return a plain asynchronous lightkube client, for tests on any loop; closed with the cluster."""
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
        async def look() -> bool:
            return self._api.has_namespace(name)

        return bool(self._server.call(look(), timeout=_CALL_TIMEOUT, doing="looking for a namespace"))
