"""The Kubernetes of a test: an embedded one of its own, or a namespace on a real one."""

import asyncio
import secrets
import tempfile
from collections.abc import Coroutine, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import httpx2
import yaml
from lightkube import AsyncClient, Client
from lightkube.config.client_adapter import verify_cluster
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ConfigError
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace

from signal_gateway.apiserver import ApiServer, Faults, Rule, User, create_apiserver
from signal_gateway.errors import HarnessError
from signal_gateway.gateway.config import GatewayConfig
from signal_gateway.kubernetes import KubernetesClient, crd_manifest, crd_path
from signal_gateway.kubernetes.resources import RemediationRequest
from signal_gateway.testing._cleanup import run_all
from signal_gateway.testing._loops import NEIGHBOURS, SERVERS
from signal_gateway.testing.live_server import LiveServer

__all__ = ["Cluster", "EmbeddedCluster", "ExistingCluster"]

CALL_TIMEOUT = 10.0
_LABELS_OF_OURS = {"app.kubernetes.io/managed-by": "signal-gateway-tests"}


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
        self._server = LiveServer(self._api.app, name="Kubernetes API", loop=NEIGHBOURS, before_drain=self._api.stop)
        self._clients = _Clients(_kubeconfig(self.url, self._token))
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
            path.write_text(yaml.safe_dump(_kubeconfig(self.url, self._token)))
        return Path(self._directory.name) / "kubeconfig"

    @property
    def faults(self) -> Faults:
        """Failures to inject: `faults.fail(verb="create", resource="remediationrequests", status=503, times=1)`."""
        return self._api.faults

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


class ExistingCluster:
    """A namespace of its own on a cluster that runs already; the namespace is deleted at the end.

    Nothing else is installed: the RemediationRequest CRD must be there.

    Args:
        kubeconfig: How to reach the cluster; its current context is used.
        source: Who chose it, for errors.
    """

    def __init__(self, kubeconfig: Path | str, *, source: str = "argument") -> None:
        self.kubeconfig = Path(kubeconfig)
        self._source = source
        try:
            config = KubeConfig.from_file(self.kubeconfig)
            single = config.get()
        except (OSError, ValueError, yaml.YAMLError, ConfigError) as exc:
            raise HarnessError(f"the kubeconfig {self.kubeconfig} (from {source}) can't be used: {exc}") from exc
        if single is None:
            raise HarnessError(f"the kubeconfig {self.kubeconfig} (from {source}) has no current context")
        self.url: str = single.cluster.server
        self.namespace = f"gateway-test-{secrets.token_hex(4)}"
        self._clients = _Clients(config)

    def start(self) -> None:
        """Create the namespace.

        Raises:
            HarnessError: The cluster can't be reached, refuses, or lacks the CRD; the message names it, the cause and,
                for the CRD, the `kubectl` line that installs it.
        """
        self._clients.open()
        client = self._clients.lightkube()
        namespace = Namespace(metadata=ObjectMeta(name=self.namespace, labels=_LABELS_OF_OURS))
        try:
            next(iter(client.list(RemediationRequest, namespace=self.namespace, chunk_size=1)), None)
            client.create(namespace)
        except httpx2.HTTPError as exc:
            self._clients.close()
            cause = str(exc)
            if isinstance(exc, httpx2.HTTPStatusError) and exc.response.status_code == httpx2.codes.NOT_FOUND:
                cause = f"it does not know the kind RemediationRequest: run kubectl apply -f {crd_path()}"
            raise HarnessError(
                f"can't use {self.url}, the cluster of {self.kubeconfig} (from {self._source}): {cause}"
            ) from exc

    def close(self) -> None:
        """Delete the namespace and close the clients that were handed out."""
        run_all(
            f"the namespace {self.namespace} on {self.url}",
            lambda: self._clients.lightkube().delete(Namespace, self.namespace),
            self._clients.close,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def faults(self) -> Faults:
        """Raise: a real cluster takes no orders to fail."""
        raise HarnessError(
            f"{self.url} is a real cluster and can't be told to fail: use the embedded one for this test"
        )

    def client(self) -> KubernetesClient:
        """Return a client as a gateway takes it; closed with the cluster."""
        return self._clients.client()

    def release(self, client: KubernetesClient) -> None:
        """Close a client that it handed out, before its own end; does no harm twice."""
        self._clients.release(client)

    def lightkube(self) -> Client:
        """Return a plain lightkube client whose default namespace is this one; closed with the cluster."""
        return self._clients.lightkube()

    def async_lightkube(self) -> AsyncClient:
        """Return a plain asynchronous lightkube client, for tests on any loop; closed with the cluster."""
        return self._clients.async_lightkube()


class _Clients:
    """The clients that a cluster handed out, and their end. Keeps the servers' loop alive, where gateways use them."""

    def __init__(self, config: Mapping[str, Any] | KubeConfig) -> None:
        self._config = config if isinstance(config, KubeConfig) else KubeConfig.from_dict(dict(config))
        self._clients: list[KubernetesClient] = []
        self._lightkubes: list[Client] = []
        self._async_lightkubes: list[AsyncClient] = []

    def open(self) -> None:
        SERVERS.acquire()

    def client(self) -> KubernetesClient:
        client = KubernetesClient(self._config)
        self._clients.append(client)
        return client

    def release(self, client: KubernetesClient) -> None:
        if client in self._clients:  # else the cluster has ended, and has closed it
            self._clients.remove(client)
            _close_where_it_lives(client)

    def lightkube(self) -> Client:
        client = Client(self._config, trust_env=False)
        self._lightkubes.append(client)
        return client

    def async_lightkube(self) -> AsyncClient:
        client = AsyncClient(self._config, trust_env=False, transport=_transport_without_idle(self._config))
        self._async_lightkubes.append(client)
        return client

    def close(self) -> None:
        clients, self._clients = self._clients, []
        run_all(
            "the cluster's clients",
            *(client.close for client in self._lightkubes),
            *(partial(_close_on_servers_loop, client.close()) for client in self._async_lightkubes),
            *(partial(_close_where_it_lives, client) for client in clients),
            SERVERS.release,
        )


def _close_on_servers_loop(closing: Coroutine[Any, Any, None]) -> None:
    SERVERS.call(closing, timeout=CALL_TIMEOUT, doing="closing a client")


def _close_where_it_lives(client: KubernetesClient) -> None:
    """Close a client on its own loop: the servers', or that of a test that ran its gateway by itself."""
    loop = client.loop
    if loop is None or SERVERS.runs(loop):
        _close_on_servers_loop(client.aclose())
    elif loop.is_running():
        closing = asyncio.run_coroutine_threadsafe(client.aclose(), loop)
        if loop is not _running_loop():  # else it is closed as soon as the test lets its loop run
            closing.result(CALL_TIMEOUT)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _kubeconfig(url: str, token: str) -> dict[str, Any]:
    # "insecure" spares each client the 20 ms of an SSL context that plain HTTP has no use for
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "embedded",
        "clusters": [{"name": "embedded", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "embedded", "user": {"token": token} if token else {}}],
        "contexts": [{"name": "embedded", "context": {"cluster": "embedded", "user": "embedded"}}],
    }


def _transport_without_idle(config: KubeConfig) -> httpx2.AsyncHTTPTransport:
    """Keep no idle connections: one kept from a test's loop that has ended would fail the next test."""
    single = config.get()
    assert single is not None  # checked, or written, by the cluster
    assert single.user is not None
    return httpx2.AsyncHTTPTransport(
        verify=verify_cluster(single.cluster, single.user, single.abs_file, trust_env=False),
        trust_env=False,
        limits=httpx2.Limits(max_keepalive_connections=0),
    )
