"""The embedded Kubernetes API beside kmock and, where there is one, a real server."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from lightkube import Client
from lightkube.config.kubeconfig import KubeConfig
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap
from tests.benchmarks.measure import Benchmark, Ratio, Series, Table

from signal_gateway.testing import EmbeddedCluster

STARTS = 100
CALLS = 300
MANY = 10_000
PAGE = 500
WATCHERS = 100
LAGS = 100
NOTE = """\
Calls by lightkube on loopback, one after the other. The bounds are the budget's: a cluster in 5 ms, a get in 2, a
create in 3. kmock is a server that answers what a test tells it to, so that its get says what HTTP costs alone; the
real server is kube-apiserver 1.20 with etcd, where `KUBEBUILDER_ASSETS` names them. A watch's lag is the time from the
answer of a create, on another connection, to the event; 0 where the event came first."""

Milliseconds = list[float]


def run() -> Benchmark:
    starts = [_milliseconds(_start_and_end) for _ in range(STARTS)]
    with EmbeddedCluster() as cluster:
        client = cluster.lightkube()
        creates, gets, lags = _creates(client), _gets(client), _lags(client)
        fan_out = _fan_out(cluster.url, client)
    with EmbeddedCluster() as cluster:
        pages, seconds = _many(cluster)
    series = [
        Series("embedded: start and end of a cluster", "ms", starts),
        Series("embedded: create", "ms", creates),
        Series("embedded: get", "ms", gets),
        Series("embedded: watch lag", "ms", lags),
        Series(f"embedded: page of {PAGE} of {MANY} objects", "ms", pages),
        Series(f"embedded: one change to {WATCHERS} watchers, the last of them", "ms", fan_out),
        Series("kmock: get", "ms", _kmock_gets()),
    ]
    table = None
    if "KUBEBUILDER_ASSETS" in os.environ:
        series += _real(Path(os.environ["KUBEBUILDER_ASSETS"]))
    table = Table(
        ["what", "figure"], [[f"embedded: objects created per second, {MANY} of them", round(MANY / seconds)]]
    )
    start, create, get = (series[index].median for index in range(3))
    return Benchmark(
        "The embedded Kubernetes API",
        series,
        [
            Ratio("start and end of a cluster / 5 ms", start / 5, at_most=1),
            Ratio("get / 2 ms", get / 2, at_most=1),
            Ratio("create / 3 ms", create / 3, at_most=1),
            Ratio("get / kmock's get", get / series[6].median),
        ],
        table=table,
        note=NOTE,
    )


def _milliseconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1000


def _start_and_end() -> None:
    with EmbeddedCluster():
        pass


def _config_map(name: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data={"key": "value"})


def _creates(client: Client) -> Milliseconds:
    return [_milliseconds(partial(client.create, _config_map(f"c{number}"))) for number in range(CALLS)]


def _gets(client: Client) -> Milliseconds:
    return [_milliseconds(lambda: client.get(ConfigMap, "c1", namespace="default")) for _ in range(CALLS)]


def _lags(client: Client) -> Milliseconds:
    """Measure on two connections: one watches on a thread of its own, the other creates."""
    seen: dict[str, float] = {}
    news = threading.Condition()

    def watch() -> None:
        for _, object in client.watch(ConfigMap, namespace="default", server_timeout=60):
            with news:
                seen[str(object.metadata.name)] = time.perf_counter()  # type: ignore[union-attr]
                news.notify_all()
                if "lag-end" in seen:
                    return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    with news:
        assert news.wait_for(lambda: "c1" in seen, 10)
    lags = []
    for number in range(LAGS):
        name = f"lag{number}"
        client.create(_config_map(name))
        answered = time.perf_counter()
        with news:
            assert news.wait_for(partial(seen.__contains__, name), 10)
        lags.append(max(0.0, (seen[name] - answered) * 1000))
    client.create(_config_map("lag-end"))
    thread.join(10)
    return lags


def _fan_out(url: str, client: Client) -> Milliseconds:
    """Measure how long one change takes to the last of many watchers, which share a loop."""

    async def watch(http: httpx.AsyncClient, arrived: "asyncio.Queue[float]", ready: asyncio.Semaphore) -> None:
        query = {"watch": "true", "fieldSelector": "metadata.name=c1"}
        async with http.stream("GET", "/api/v1/namespaces/default/configmaps", params=query) as response:
            first = True
            async for _ in response.aiter_lines():
                if first:
                    ready.release()
                    first = False
                else:
                    arrived.put_nowait(time.perf_counter())

    async def measure() -> Milliseconds:
        arrived: asyncio.Queue[float] = asyncio.Queue()
        ready = asyncio.Semaphore(0)
        limits = httpx.Limits(max_connections=WATCHERS + 1)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as http:
            watchers = [asyncio.create_task(watch(http, arrived, ready)) for _ in range(WATCHERS)]
            for _ in range(WATCHERS):
                await ready.acquire()
            figures = []
            for number in range(10):
                patch = {"data": {"key": str(number)}}
                begin = time.perf_counter()
                await asyncio.to_thread(client.patch, ConfigMap, "c1", patch, namespace="default")
                last = max([await arrived.get() for _ in range(WATCHERS)])
                figures.append((last - begin) * 1000)
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
        return figures

    return asyncio.run(measure())


def _many(cluster: EmbeddedCluster) -> tuple[Milliseconds, float]:
    path = "/api/v1/namespaces/default/configmaps"
    with httpx.Client(base_url=cluster.url, timeout=30) as http:
        begin = time.perf_counter()
        for number in range(MANY):
            http.post(path, json={"metadata": {"name": f"c{number}"}, "data": {"key": "value"}}).raise_for_status()
        seconds = time.perf_counter() - begin
        pages, token = [], ""
        while True:
            query: dict[str, Any] = {"limit": PAGE, **({"continue": token} if token else {})}
            start = time.perf_counter()
            page = http.get(path, params=query).json()
            pages.append((time.perf_counter() - start) * 1000)
            token = page["metadata"].get("continue", "")
            if not token:
                return pages, seconds


def _kmock_gets() -> Milliseconds:
    import kmock

    async def measure() -> Milliseconds:
        answer = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c1", "namespace": "default"}}
        async with kmock.RawHandler() as handler, kmock.Server(handler) as server:
            handler["get /api/v1/namespaces/default/configmaps/c1"] << answer
            config = _config(str(server.url))
            return await asyncio.to_thread(lambda: _gets(Client(config, trust_env=False)))

    return asyncio.run(measure())


def _config(url: str, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> KubeConfig:
    return KubeConfig.from_dict(
        {
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": url, "insecure-skip-tls-verify": True} | (cluster or {})}],
            "users": [{"name": "c", "user": user or {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        }
    )


def _real(assets: Path) -> list[Series]:
    begin = time.perf_counter()
    with _real_client(assets) as client:
        start = (time.perf_counter() - begin) * 1000
        creates, gets, lags = _creates(client), _gets(client), _lags(client)
    return [
        Series("kube-apiserver: start", "ms", [start]),
        Series("kube-apiserver: create", "ms", creates),
        Series("kube-apiserver: get", "ms", gets),
        Series("kube-apiserver: watch lag", "ms", lags),
    ]


@contextmanager
def _real_client(assets: Path) -> Iterator[Client]:
    from tests.conformance.kubernetes.real import real_server

    with real_server(assets) as (_, cluster, user):
        yield Client(_config(cluster["server"], cluster, user), trust_env=False)
