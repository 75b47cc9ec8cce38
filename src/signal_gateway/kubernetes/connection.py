"""How a client reaches the API: which TLS, which pool, which timeouts."""

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

__all__ = [
    "TIMEOUT",
    "lightkube_client",
    "make_pool",
    "plain_client",
    "read_config",
    "read_kubeconfig",
    "read_pod",
]

TIMEOUT: Final = httpx2.Timeout(10.0, connect=5.0)
_LIMITS: Final = httpx2.Limits(max_connections=200, max_keepalive_connections=100, keepalive_expiry=IDLE_SECONDS)


def read_kubeconfig(path: str | os.PathLike[str], context: str | None) -> SingleConfig:
    """Read one context of a kubeconfig file.

    Args:
        path: The file; `~` is expanded.
        context: Its name; None for the current one.

    Raises:
        KubernetesSetupError: The file or the context is missing or can't be used.
    """
    return _read(f"the kubeconfig {os.fspath(path)}", lambda: KubeConfig.from_file(path), context)


def read_pod() -> SingleConfig:
    """Read the service account of the pod that this process runs in.

    Raises:
        KubernetesSetupError: This is not a pod, or it has no service account.
    """
    return _read("the pod's service account", KubeConfig.from_service_account, None)


def read_config(config: KubeConfig | SingleConfig) -> SingleConfig:
    """Return the current context of a configuration that was read already.

    Raises:
        KubernetesSetupError: It has no current context, or its server is no HTTP URL.
    """
    if isinstance(config, SingleConfig):
        return _checked(f"the context {config.context_name}", config)
    return _read("the kubeconfig that was passed", lambda: config, None)


def make_pool(config: SingleConfig) -> httpx2.AsyncHTTPTransport:
    """Make the pool of connections to a cluster, for the running loop.

    Attention: an SSL context costs 20 ms where it reads the system's certificates, so plain HTTP goes without.

    Args:
        config: Whose certificates to use.

    Raises:
        KubernetesSetupError: A certificate is missing or can't be read.
    """
    if config.cluster.server.startswith("http://"):
        return httpx2.AsyncHTTPTransport(verify=tls_for_plain_http(), trust_env=False, limits=_LIMITS)
    try:
        context = client_adapter.verify_cluster(config.cluster, config.user or User(), config.abs_file, trust_env=False)
    except (OSError, ValueError, ConfigError) as exc:  # an SSLError is an OSError
        raise KubernetesSetupError(
            f"can't load the certificates for {config.cluster.server}: {exc}; mend the kubeconfig"
        ) from exc
    return httpx2.AsyncHTTPTransport(verify=context, trust_env=False, limits=_LIMITS)


def lightkube_client(config: SingleConfig, transport: httpx2.AsyncBaseTransport) -> AsyncClient:
    """Make a lightkube client over a transport, for the running loop.

    Args:
        config: The server and the credentials.
        transport: Carries the requests; whoever made it closes it.
    """
    return AsyncClient(_without_tls(config), timeout=TIMEOUT, trust_env=False, transport=transport)


def plain_client(config: SingleConfig, transport: httpx2.AsyncBaseTransport) -> httpx2.AsyncClient:
    """Make a client for paths that lightkube has no resource for, such as `/version`.

    Args:
        config: The server and the credentials.
        transport: Carries the requests; whoever made it closes it.
    """
    bare = _without_tls(config)
    auth = client_adapter.user_auth(bare.user)
    return httpx2.AsyncClient(
        base_url=bare.cluster.server, auth=auth, timeout=TIMEOUT, trust_env=False, transport=transport, verify=False
    )


def _without_tls(config: SingleConfig) -> SingleConfig:
    """Return the configuration without certificates: the transport has them, and lightkube would read them again."""
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


def _read(what: str, read: Callable[[], KubeConfig], context: str | None) -> SingleConfig:
    try:
        config = read().get(context)
    except KeyError as exc:
        raise KubernetesSetupError(f"{what} can't be used: {exc} is missing in it or in the environment") from exc
    except (AttributeError, TypeError) as exc:
        raise KubernetesSetupError(f"{what} can't be used: it has another form than a kubeconfig") from exc
    except (OSError, ValueError, ConfigError, yaml.YAMLError) as exc:
        raise KubernetesSetupError(f"{what} can't be used: {exc}") from exc
    if config is None:
        raise KubernetesSetupError(f"{what} has no current context: set one with kubectl config use-context")
    return _checked(what, config)


def _checked(what: str, config: SingleConfig) -> SingleConfig:
    if not config.cluster.server.startswith(("http://", "https://")):
        raise KubernetesSetupError(
            f"{what} names the server {config.cluster.server!r}: it must be a URL that begins with http:// or https://"
        )
    return config
