"""DiscoveryCache and ObjectCache: the kinds of a cluster and the metadata of its objects, read once and kept."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from signal_gateway.clock import Clock
from signal_gateway.concurrency import BackgroundTasks, CachedRead
from signal_gateway.gateway.resilience import ApiCalls
from signal_gateway.kubernetes import CallObserver, Kind, Kinds, KubernetesClient, KubernetesError, NotFound

__all__ = ["DiscoveryCache", "FoundObject", "FoundPod", "ObjectCache", "OwnerReference"]

_log = logging.getLogger(__name__)

_DISCOVERY_MAX_AGE: Final = 60.0
_MAX_OBJECTS: Final = 10_000
_POD: Final = Kind("Pod", "", "v1", "pods", "pod", is_namespaced=True)
_NODE: Final = Kind("Node", "", "v1", "nodes", "node", is_namespaced=False)
_NAME_LABELS: Final = ("app.kubernetes.io/name", "app.kubernetes.io/component", "app", "k8s-app", "component")


class DiscoveryCache:
    """The kinds of a cluster, as the API server listed them last. Belongs to one event loop.

    Kinds older than a minute are read again in the background, so the first signal after a new
    CustomResourceDefinition makes its kind known within a minute. If this fails, the old kinds stay.

    Args:
        kubernetes: The client.
        clock: Measures the age of the kinds.
        tasks: Owns the background reads.
        observer: Observes the calls.
    """

    def __init__(
        self, kubernetes: KubernetesClient, *, clock: Clock, tasks: BackgroundTasks, observer: CallObserver
    ) -> None:
        self._kubernetes = kubernetes
        self._observer = observer
        self._cache: CachedRead[None, Kinds] = CachedRead(
            max_age=_DISCOVERY_MAX_AGE, max_entries=1, clock=clock, tasks=tasks
        )

    async def load(self) -> None:
        """Read the kinds now.

        Raises:
            KubernetesError: The API is not available.
        """
        await self._cache.refresh(None, partial(self._kubernetes.discover, observer=self._observer))

    def kinds(self) -> Kinds:
        """Return the known kinds; if they are old, start to read them again in the background."""
        kinds = self._cache.latest(None, self._read_again)
        return Kinds(()) if kinds is None else kinds

    async def _read_again(self) -> Kinds:
        try:
            return await self._kubernetes.discover(observer=self._observer)
        except KubernetesError as exc:
            _log.warning("the discovery of the cluster's kinds failed, and the old kinds stay: %s", exc)
            return self.kinds()


class OwnerReference(NamedTuple):
    """A reference of an object to its controller.

    Attributes:
        api_version: Such as `apps/v1`.
        kind: Such as `ReplicaSet`.
        name: Name of the controller.
        uid: uid of the controller; another object may have the same name later.
    """

    api_version: str
    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class FoundObject:
    """The metadata of an object that exists.

    Attributes:
        kind: Its kind.
        name: Its name.
        namespace: Its namespace; None for a cluster-scoped kind.
        uid: Its uid.
        labels: Its labels.
        controller: The owner reference with `controller: true`, if any.
    """

    kind: Kind
    name: str
    namespace: str | None
    uid: str
    labels: Mapping[str, str]
    controller: OwnerReference | None


@dataclass(frozen=True, slots=True)
class FoundPod:
    """The part of a pod that tells which exporter it is and where it runs.

    Attributes:
        node_name: The node that it runs on; empty before it is scheduled.
        addresses: Its IP addresses.
        names: Its name-like labels and the names of its containers.
    """

    node_name: str
    addresses: frozenset[str]
    names: frozenset[str]


class ObjectCache:
    """Reads the metadata of objects and keeps it for a few seconds; also keeps that an object does not exist.

    Belongs to one event loop. A read continues after its caller is cancelled.

    Args:
        kubernetes: The client.
        calls: Makes the calls.
        max_age: Seconds for which an object is kept; 0 keeps nothing.
        clock: Measures the age.
        tasks: Owns the reads.
        observer: Observes the calls.
    """

    def __init__(
        self,
        kubernetes: KubernetesClient,
        *,
        calls: ApiCalls,
        max_age: float,
        clock: Clock,
        tasks: BackgroundTasks,
        observer: CallObserver,
    ) -> None:
        self._kubernetes = kubernetes
        self._calls = calls
        self._observer = observer
        self._cache: CachedRead[tuple[Kind, str | None, str], FoundObject | None] = CachedRead(
            max_age=max_age, max_entries=_MAX_OBJECTS, clock=clock, tasks=tasks
        )

        self._by_name: CachedRead[tuple[Kind, str], tuple[FoundObject, ...]] = CachedRead(
            max_age=max_age, max_entries=_MAX_OBJECTS, clock=clock, tasks=tasks
        )
        self._pods: CachedRead[tuple[str, str], FoundPod | None] = CachedRead(
            max_age=max_age, max_entries=_MAX_OBJECTS, clock=clock, tasks=tasks
        )
        self._nodes: CachedRead[None, Mapping[str, str]] = CachedRead(
            max_age=max_age, max_entries=1, clock=clock, tasks=tasks
        )

    def __len__(self) -> int:
        return len(self._cache)

    async def find(self, kind: Kind, name: str, namespace: str | None) -> FoundObject | None:
        """Return an object; None if it does not exist.

        Args:
            kind: Its kind.
            name: Its name.
            namespace: Its namespace; ignored for a cluster-scoped kind.

        Raises:
            KubernetesError: The object could not be read.
        """
        key = kind, namespace if kind.is_namespaced else None, name
        return await self._cache.get(key, partial(self._read, *key))

    async def find_everywhere(self, kind: Kind, name: str) -> tuple[FoundObject, ...]:
        """Return the objects of a name in all namespaces.

        Args:
            kind: Their kind.
            name: Their name.

        Raises:
            KubernetesError: The objects could not be read.
        """
        return await self._by_name.get((kind, name), partial(self._read_everywhere, kind, name))

    async def find_pod(self, name: str, namespace: str) -> FoundPod | None:
        """Return the node, the addresses and the names of a pod; None if it does not exist.

        Raises:
            KubernetesError: The pod could not be read.
        """
        return await self._pods.get((namespace, name), partial(self._read_pod, namespace, name))

    async def find_node(self, address: str) -> str | None:
        """Return the name of the node that has a name or an IP address; None if there is none.

        An address that is known is answered from the nodes that were read last, however old: read the node to be sure.

        Raises:
            KubernetesError: The nodes could not be read.
        """
        known = self._nodes.latest(None, self._read_nodes)
        if known is not None and address in known:
            return known[address]
        return (await self._nodes.get(None, self._read_nodes)).get(address)

    async def _read_everywhere(self, kind: Kind, name: str) -> tuple[FoundObject, ...]:
        find = partial(self._kubernetes.find_metadata, kind, name, observer=self._observer)
        found = await self._calls.call(find)
        return tuple(_found(kind, name, metadata.get("namespace"), metadata) for metadata in found)

    async def _read_pod(self, namespace: str, name: str) -> FoundPod | None:
        get = partial(self._kubernetes.get_object, _POD, name, namespace=namespace, observer=self._observer)
        try:
            pod = await self._calls.call(get)
        except NotFound:
            return None
        spec, status = pod.get("spec") or {}, pod.get("status") or {}
        labels = pod["metadata"].get("labels") or {}
        return FoundPod(
            node_name=spec.get("nodeName") or "",
            addresses=frozenset(ip["ip"] for ip in status.get("podIPs") or () if "ip" in ip)
            | frozenset({status["podIP"]} if status.get("podIP") else ()),
            names=frozenset(labels[key] for key in _NAME_LABELS if key in labels)
            | frozenset(container["name"] for container in spec.get("containers") or ()),
        )

    async def _read_nodes(self) -> Mapping[str, str]:
        nodes = await self._calls.call(partial(self._kubernetes.list_objects, _NODE, observer=self._observer))
        return {
            address["address"]: node["metadata"]["name"]
            for node in nodes
            for address in (node.get("status") or {}).get("addresses") or ()
        }

    async def _read(self, kind: Kind, namespace: str | None, name: str) -> FoundObject | None:
        get = partial(self._kubernetes.get_metadata, kind, name, namespace=namespace, observer=self._observer)
        try:
            metadata = await self._calls.call(get)
        except NotFound:
            return None
        return _found(kind, name, namespace, metadata)


def _found(kind: Kind, name: str, namespace: str | None, metadata: Mapping[str, Any]) -> FoundObject:
    controller = None
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            controller = OwnerReference(owner["apiVersion"], owner["kind"], owner["name"], owner["uid"])
    return FoundObject(
        kind=kind,
        name=name,
        namespace=namespace,
        uid=metadata["uid"],
        labels=metadata.get("labels") or {},
        controller=controller,
    )
