"""Connection: the HTTP connections of a client to the Kubernetes API, with TLS, pool limits and timeouts."""

import asyncio
import os
from collections.abc import Callable
from typing import Final

import httpx2
import yaml
from lightkube import AsyncClient, ConfigError, KubeConfig, SingleConfig
from lightkube.config import client_adapter
from lightkube.config.models import User

from signal_gateway._idle import IDLE_SECONDS
from signal_gateway._tls import tls_for_plain_http
from signal_gateway.kubernetes.errors import KubernetesSetupError

__all__ = ["Connection", "lightkube_client", "read_config", "read_kubeconfig", "read_pod"]

_TIMEOUT: Final = httpx2.Timeout(10.0)
_LIMITS: Final = httpx2.Limits(max_connections=200, max_keepalive_connections=100, keepalive_expiry=IDLE_SECONDS)


class Connection:
    """The open connections of one client to a cluster, for the running loop.

    Args:
        config: The server and the credentials.
        transport: Carries the requests; by default a new pool of connections.

    Attributes:
        loop: The event loop that it belongs to.
        pool: The transport, to share.
        http: An HTTP client over the pool, with the credentials and the server as base URL.

    Raises:
        KubernetesSetupError: A certificate is missing or not valid.
    """

    def __init__(self, config: SingleConfig, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.pool = transport if transport is not None else _make_pool(config)
        bare = _without_tls(config)
        self.http = httpx2.AsyncClient(
            base_url=bare.cluster.server,
            auth=client_adapter.user_auth(bare.user),
            timeout=_TIMEOUT,
            trust_env=False,
            transport=self.pool,
            verify=False,
        )

    async def aclose(self) -> None:
        """Close every connection of the pool; on its own loop."""
        await self.http.aclose()  # closes its transport, too


def lightkube_client(config: SingleConfig, transport: httpx2.AsyncBaseTransport) -> AsyncClient:
    """Return a lightkube client over a transport, for the running loop.

    Args:
        config: The server and the credentials.
        transport: Carries the requests; its creator closes it.
    """
    return AsyncClient(_without_tls(config), timeout=_TIMEOUT, trust_env=False, transport=transport)


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


def _make_pool(config: SingleConfig) -> httpx2.AsyncHTTPTransport:
    """Return a pool of connections to a cluster, for the running loop.

    Attention: an SSL context costs 20 ms where it reads the system's certificates. Plain HTTP does not create one.
    """
    if config.cluster.server.startswith("http://"):
        return httpx2.AsyncHTTPTransport(verify=tls_for_plain_http(), trust_env=False, limits=_LIMITS)
    try:
        context = client_adapter.verify_cluster(config.cluster, config.user or User(), config.abs_file, trust_env=False)
    except (OSError, ValueError, ConfigError) as exc:  # an SSLError is an OSError
        raise KubernetesSetupError(
            f"can't load the certificates for {config.cluster.server}: {exc}. Correct the kubeconfig"
        ) from exc
    return httpx2.AsyncHTTPTransport(verify=context, trust_env=False, limits=_LIMITS)


def _without_tls(config: SingleConfig) -> SingleConfig:
    """Return the configuration without certificates: the pool has them, and lightkube would read them again."""
    cluster = type(config.cluster)(server=config.cluster.server, insecure=True)
    user = config.user or User()
    return config._replace(
        cluster=cluster,
        user=User(
            exec=user.exec,
            username=user.username,
            password=user.password,
            token=user.token,
            token_file=user.token_file,
            auth_provider=user.auth_provider,
        ),
    )


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
