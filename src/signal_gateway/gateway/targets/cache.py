"""DiscoveryCache and ObjectCache: the kinds of a cluster and the metadata of its objects, read once and kept."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from signal_gateway.clock import Clock
from signal_gateway.concurrency import BackgroundTasks, CachedRead
from signal_gateway.gateway.resilience import ApiCalls
from signal_gateway.kubernetes import CallObserver, Kind, Kinds, KubernetesClient, KubernetesError, NotFound

__all__ = ["DiscoveryCache", "FoundObject", "ObjectCache", "OwnerReference"]

_log = logging.getLogger(__name__)

_DISCOVERY_MAX_AGE: Final = 60.0
_MAX_OBJECTS: Final = 10_000


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

    async def _read(self, kind: Kind, namespace: str | None, name: str) -> FoundObject | None:
        get = partial(self._kubernetes.get_metadata, kind, name, namespace=namespace, observer=self._observer)
        try:
            metadata = await self._calls.call(get)
        except NotFound:
            return None
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
