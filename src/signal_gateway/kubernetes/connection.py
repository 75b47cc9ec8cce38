"""Connection: the connections of a client to the Kubernetes API, with TLS and credentials; the kubeconfig."""

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

import yaml
from lightkube import ConfigError, KubeConfig, SingleConfig
from lightkube.config import client_adapter
from lightkube.config.models import User

from signal_gateway.kubernetes.api_transport import ApiTransport
from signal_gateway.kubernetes.credentials import UserCredentials
from signal_gateway.kubernetes.errors import CredentialsFailure, KubernetesSetupError
from signal_gateway.kubernetes.http_transport import HttpTransport

if TYPE_CHECKING:
    import httpx2

__all__ = ["Connection", "read_config", "read_kubeconfig", "read_pod"]


class Connection:
    """The open connections of one client to a cluster, for the running loop.

    Args:
        config: The server and the credentials.
        transport: Carries the requests; by default a new pool of connections.

    Attributes:
        loop: The event loop that it belongs to.
        transport: Carries requests, with the credentials.

    Raises:
        KubernetesSetupError: A certificate is missing or not valid, or the credentials are of an unsupported kind.
    """

    def __init__(self, config: SingleConfig, transport: "httpx2.AsyncBaseTransport | None" = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.transport = _with_credentials(config, _make_transport(config, transport))

    async def aclose(self) -> None:
        """Close every connection; on its own loop."""
        await self.transport.aclose()


def read_kubeconfig(path: str | os.PathLike[str], context: str | None) -> SingleConfig:
    """Read one context of a kubeconfig file.

    Args:
        path: The file; `~` is expanded.
        context: The name of the context; None for the current one.

    Raises:
        KubernetesSetupError: The file or the context is missing or not valid.
    """
    return _read(f"the kubeconfig {os.fspath(path)}", lambda: KubeConfig.from_file(path), context)


def read_pod() -> SingleConfig:
    """Read the service account of the pod in which this process runs.

    Raises:
        KubernetesSetupError: The process does not run in a pod, or the pod has no service account.
    """
    return _read("the pod's service account", KubeConfig.from_service_account, None)


def read_config(config: KubeConfig | SingleConfig) -> SingleConfig:
    """Return the current context of a configuration in memory.

    Raises:
        KubernetesSetupError: The configuration has no current context, or its server is not an HTTP URL.
    """
    if isinstance(config, SingleConfig):
        return _checked(f"the context {config.context_name}", config)
    return _read("the kubeconfig in memory", lambda: config, None)


def _make_transport(config: SingleConfig, given: "httpx2.AsyncBaseTransport | None") -> ApiTransport:
    server = config.cluster.server
    if given is not None:
        from signal_gateway.kubernetes.given_transport import GivenTransport

        return GivenTransport(server, given)
    try:
        return HttpTransport(server, tls=_tls_context(config) if server.startswith("https://") else None)
    except ValueError as exc:
        raise KubernetesSetupError(f"the server {server!r} is not a valid URL: {exc}. Correct the kubeconfig") from exc


def _tls_context(config: SingleConfig) -> ssl.SSLContext:
    """Return the context with the certificates of a configuration. It costs 20 ms with the system's certificates."""
    try:
        context = client_adapter.verify_cluster(config.cluster, config.user or User(), config.abs_file, trust_env=False)
    except (OSError, ValueError, ConfigError) as exc:  # an SSLError is an OSError
        raise KubernetesSetupError(
            f"can't load the certificates for {config.cluster.server}: {exc}. Correct the kubeconfig"
        ) from exc
    context.set_alpn_protocols(["http/1.1"])
    return context


def _with_credentials(config: SingleConfig, transport: ApiTransport) -> ApiTransport:
    user = config.user or User()
    if not any((user.token_file, user.token, user.exec, user.username, user.auth_provider)):
        return transport  # no credentials, or a client certificate
    try:
        return UserCredentials(transport, user)
    except CredentialsFailure as exc:
        raise KubernetesSetupError(
            f"the credentials of the Kubernetes API are unusable: {exc}. Correct the kubeconfig"
        ) from exc


def _read(origin: str, read: Callable[[], KubeConfig], context: str | None) -> SingleConfig:
    try:
        config = read().get(context)
    except KeyError as exc:
        raise KubernetesSetupError(f"{origin} can't be used: {exc} is missing in it or in the environment") from exc
    except (AttributeError, TypeError) as exc:
        raise KubernetesSetupError(f"{origin} can't be used: it does not have the form of a kubeconfig") from exc
    except (OSError, ValueError, ConfigError, yaml.YAMLError) as exc:
        raise KubernetesSetupError(f"{origin} can't be used: {exc}") from exc
    if config is None:
        raise KubernetesSetupError(f"{origin} has no current context. Set one with kubectl config use-context")
    return _checked(origin, config)


def _checked(origin: str, config: SingleConfig) -> SingleConfig:
    if not config.cluster.server.startswith(("http://", "https://")):
        raise KubernetesSetupError(
            f"{origin} has the server {config.cluster.server!r}: it must be a URL that begins with http:// or https://"
        )
    return config
