"""ExistingCluster: a namespace of a test's own on a cluster that runs already."""

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

_LABELS_OF_OURS: Final = {"app.kubernetes.io/managed-by": "signal-gateway-tests"}


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
        self._clients = ClusterClients(config)

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
        self._refuse("can't be told to fail")

    @property
    def log(self) -> RequestLog:
        """Raise: a real cluster's requests are not seen here."""
        self._refuse("does not tell what it was asked")

    def install(self, *sources: Manifest | Path | str) -> None:  # noqa: ARG002 - the protocol's
        """Raise: nothing is installed in a real cluster unasked."""
        self._refuse("gets nothing installed by a test: use .lightkube(), or kubectl apply")

    def workload(self, reference: str, *, managed: bool | None = None, pods: int = 1) -> Workload:  # noqa: ARG002
        """Raise: in a real cluster controllers make what belongs to a workload."""
        self._refuse("has controllers of its own that make what belongs to a workload: create it with .lightkube()")

    def _refuse(self, why: str) -> NoReturn:
        raise HarnessError(f"{self.url} is a real cluster and {why}; or use the embedded one for this test")

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
