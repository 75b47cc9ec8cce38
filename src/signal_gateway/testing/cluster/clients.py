"""ClusterClients: creates and closes the Kubernetes clients of a cluster."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final

import httpx2
from lightkube import AsyncClient, Client
from lightkube.config.client_adapter import verify_cluster
from lightkube.config.kubeconfig import KubeConfig

from signal_gateway.kubernetes import KubernetesClient
from signal_gateway.testing.runtime.cleanup import run_all
from signal_gateway.testing.runtime.loops import SERVERS
from signal_gateway.testing.runtime.running_loop import RunningLoop

__all__ = ["ClusterClients"]

CALL_TIMEOUT: Final = 10.0


class ClusterClients:
    """Creates the Kubernetes clients of a cluster and closes them with it.

    While it is open, the loop of the servers runs, because gateways use the clients there.

    Args:
        config: The kubeconfig of the cluster.
    """

    def __init__(self, config: Mapping[str, Any] | KubeConfig) -> None:
        self._config = config if isinstance(config, KubeConfig) else KubeConfig.from_dict(dict(config))
        self._clients: list[KubernetesClient] = []
        self._lightkubes: list[Client] = []
        self._async_lightkubes: list[AsyncClient] = []
        self._loop: RunningLoop | None = None

    def open(self) -> None:
        """Keep the loop of the servers running."""
        self._loop = SERVERS.acquire()

    def client(self) -> KubernetesClient:
        """Return a new client for a gateway."""
        client = KubernetesClient(self._config)
        self._clients.append(client)
        return client

    def release(self, client: KubernetesClient) -> None:
        """Close a client before the cluster closes. A second call does nothing."""
        if client in self._clients:  # otherwise the cluster is closed, and with it the client
            self._clients.remove(client)
            _close_on_its_loop(client, default=self._loop)

    def lightkube(self) -> Client:
        """Return a new lightkube client."""
        client = Client(self._config, trust_env=False)
        self._lightkubes.append(client)
        return client

    def async_lightkube(self) -> AsyncClient:
        """Return a new asynchronous lightkube client, for any loop."""
        client = AsyncClient(self._config, trust_env=False, transport=_transport_without_idle(self._config))
        self._async_lightkubes.append(client)
        return client

    def close(self) -> None:
        """Close all clients."""
        clients, self._clients = self._clients, []
        loop, self._loop = self._loop, None
        run_all(
            "the cluster's clients",
            *(client.close for client in self._lightkubes),
            *(partial(_close_on, loop, client.close) for client in self._async_lightkubes),
            *(partial(_close_on_its_loop, client, default=loop) for client in clients),
            *([loop.release] if loop is not None else []),
        )


def _close_on_its_loop(client: KubernetesClient, *, default: RunningLoop | None) -> None:
    """Close a client on its own loop: a loop of the harness, or the loop of a test that ran its own gateway."""
    loop = client.loop
    if loop is None:
        _close_on(default, client.aclose)
    elif (own := SERVERS.find(loop)) is not None:
        _close_on(own, client.aclose)
    elif loop.is_running():
        closing = asyncio.run_coroutine_threadsafe(client.aclose(), loop)
        if loop is not _running_loop():  # otherwise the client closes when the test yields to its loop
            closing.result(CALL_TIMEOUT)


def _close_on(loop: RunningLoop | None, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    if loop is None or loop.has_ended:  # with the loop its connections ended
        return
    if not loop.is_usable:
        loop.run_when_free(close)
        return
    loop.call(close(), timeout=CALL_TIMEOUT, doing="closing a client")


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _transport_without_idle(config: KubeConfig) -> httpx2.AsyncHTTPTransport:
    """Return a transport without idle connections: a connection of a closed loop would fail the next test."""
    single = config.get()
    assert single is not None  # the cluster has checked it, or written it
    assert single.user is not None
    return httpx2.AsyncHTTPTransport(
        verify=verify_cluster(single.cluster, single.user, single.abs_file, trust_env=False),
        trust_env=False,
        limits=httpx2.Limits(max_keepalive_connections=0),
    )
