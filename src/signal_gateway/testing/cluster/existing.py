"""ExistingCluster: a separate namespace for a test on a running cluster."""

import secrets
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn, Self

import httpx2
import yaml
from lightkube import AsyncClient, Client
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ConfigError
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace

from signal_gateway.apiserver import Faults, RequestLog
from signal_gateway.errors import HarnessError
from signal_gateway.kubernetes import KubernetesClient, crd_path
from signal_gateway.kubernetes.resources import RemediationRequest
from signal_gateway.testing.cluster.clients import ClusterClients
from signal_gateway.testing.cluster.manifests import Manifest
from signal_gateway.testing.cluster.workload import Workload
from signal_gateway.testing.runtime.cleanup import run_all

__all__ = ["ExistingCluster"]

_NAMESPACE_LABELS: Final = {"app.kubernetes.io/managed-by": "signal-gateway-tests"}


class ExistingCluster:
    """A new namespace on a running cluster, deleted at the end.

    The cluster must have the RemediationRequest CRD: this class installs nothing.

    Args:
        kubeconfig: The kubeconfig of the cluster, used with its current context.
        source: The setting that named the kubeconfig, for errors.

    Raises:
        HarnessError: The kubeconfig is not readable, or has no current context.
    """

    def __init__(self, kubeconfig: Path | str, *, source: str = "argument") -> None:
        self.kubeconfig = Path(kubeconfig)
        self._source = source
        try:
            config = KubeConfig.from_file(self.kubeconfig)
            single = config.get()
        except (OSError, ValueError, yaml.YAMLError, ConfigError) as exc:
            raise HarnessError(f"cannot use the kubeconfig {self.kubeconfig} (from {source}): {exc}") from exc
        if single is None:
            raise HarnessError(f"the kubeconfig {self.kubeconfig} (from {source}) has no current context")
        self.url: str = single.cluster.server
        self.namespace = f"gateway-test-{secrets.token_hex(4)}"
        self._clients = ClusterClients(config)

    def start(self) -> None:
        """Create the namespace.

        Raises:
            HarnessError: The cluster is not reachable, refuses the request, or lacks the CRD. The message has the cause
                and, for the CRD, the `kubectl` command that installs it.
        """
        self._clients.open()
        client = self._clients.lightkube()
        namespace = Namespace(metadata=ObjectMeta(name=self.namespace, labels=_NAMESPACE_LABELS))
        try:
            next(iter(client.list(RemediationRequest, namespace=self.namespace, chunk_size=1)), None)
            client.create(namespace)
        except httpx2.HTTPError as exc:
            self._clients.close()
            cause = str(exc)
            if isinstance(exc, httpx2.HTTPStatusError) and exc.response.status_code == httpx2.codes.NOT_FOUND:
                cause = f"the kind RemediationRequest is not installed: run kubectl apply -f {crd_path()}"
            raise HarnessError(
                f"cannot use the cluster {self.url} of {self.kubeconfig} (from {self._source}): {cause}"
            ) from exc

    def close(self) -> None:
        """Delete the namespace and close the clients."""
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
        """Raise: an existing cluster has no fault injection."""
        self._raise_unsupported("injects no faults")

    @property
    def log(self) -> RequestLog:
        """Raise: an existing cluster has no request log."""
        self._raise_unsupported("has no request log")

    def install(self, *sources: Manifest | Path | str) -> None:  # noqa: ARG002 - the protocol's
        """Raise: the harness installs no objects in an existing cluster."""
        self._raise_unsupported("accepts no objects from install(): use .lightkube(), or kubectl apply")

    def workload(self, reference: str, *, managed: bool | None = None, pods: int = 1) -> Workload:  # noqa: ARG002
        """Raise: the controllers of an existing cluster create the pods of a workload."""
        self._raise_unsupported("has its own controllers for workloads: create the top object with .lightkube()")

    def _raise_unsupported(self, reason: str) -> NoReturn:
        raise HarnessError(f"{self.url} is an existing cluster, which {reason}; or use EmbeddedCluster for this test")

    def client(self) -> KubernetesClient:
        """Return a new client for a gateway; the cluster closes it."""
        return self._clients.client()

    def release(self, client: KubernetesClient) -> None:
        """Close a client before the cluster closes. A second call does nothing."""
        self._clients.release(client)

    def lightkube(self) -> Client:
        """Return a new lightkube client with this namespace as its default; the cluster closes it."""
        return self._clients.lightkube()

    def async_lightkube(self) -> AsyncClient:
        """Return a new asynchronous lightkube client, for tests on any loop; the cluster closes it."""
        return self._clients.async_lightkube()
