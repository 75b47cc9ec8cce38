"""ObjectLookup: the labels and the owner of objects, read once for all who ask at the time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from signal_gateway.clock import Clock
from signal_gateway.kubernetes import Kind, KubernetesError, NotFound

__all__ = ["FoundObject", "ObjectLookup", "OwnerReference"]

_MAX_KEPT: Final = 10_000

_Key = tuple[Kind, str | None, str]
Read = Callable[[Kind, str, str | None], Awaitable[Mapping[str, Any]]]


class OwnerReference(NamedTuple):
    """An object's controller, as the object refers to it.

    Attributes:
        api_version: Such as `apps/v1`.
        kind: Such as `ReplicaSet`.
        name: What it is called.
        uid: Which of that name is meant.
    """

    api_version: str
    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class FoundObject:
    """What is known of an object that exists.

    Attributes:
        kind: Its kind.
        name: What it is called.
        namespace: Where it lives; None for a cluster-scoped kind.
        uid: Which of that name it is.
        labels: Its labels.
        controller: The owner that controls it, if any.
    """

    kind: Kind
    name: str
    namespace: str | None
    uid: str
    labels: Mapping[str, str]
    controller: OwnerReference | None


@dataclass(slots=True)
class _Answer:
    begun_at: float
    found: asyncio.Future[FoundObject | None]


class ObjectLookup:
    """Reads objects' metadata and keeps it for a few seconds, also that there is no such object.

    An answer's age counts from before its read began, so what was changed at a moment is seen by everybody who asks
    `max_age` later. A read that fails is not kept. Runs on one loop; a read goes on when whoever asked has left.

    Args:
        read: Reads the metadata of an object of a kind, by name and namespace.
        max_age: How long an answer is good, in seconds; 0 keeps nothing.
        clock: What tells its age.
        spawn: Starts a read as a task and keeps it.
    """

    def __init__(
        self, read: Read, *, max_age: float, clock: Clock, spawn: Callable[[Coroutine[Any, Any, None]], object]
    ) -> None:
        self._read = read
        self._max_age = max_age
        self._clock = clock
        self._spawn = spawn
        self._answers: dict[_Key, _Answer] = {}

    def __len__(self) -> int:
        return len(self._answers)

    async def find(self, kind: Kind, name: str, namespace: str | None) -> FoundObject | None:
        """Return what is known of an object; None if there is none.

        Args:
            kind: Its kind.
            name: What it is called.
            namespace: Where it lives; passed over for a cluster-scoped kind.

        Raises:
            KubernetesError: It could not be read.
        """
        key = (kind, namespace if kind.is_namespaced else None, name)
        answer = self._answers.get(key)
        if answer is None or self._clock.monotonic() - answer.begun_at >= self._max_age:
            answer = self._begin(key)
        return await asyncio.shield(answer.found)

    def _begin(self, key: _Key) -> _Answer:
        answer = _Answer(self._clock.monotonic(), asyncio.get_running_loop().create_future())
        self._answers.pop(key, None)  # so that the order is that of age
        self._answers[key] = answer
        if len(self._answers) > _MAX_KEPT:
            del self._answers[next(iter(self._answers))]
        self._spawn(self._fill(key, answer))
        return answer

    async def _fill(self, key: _Key, answer: _Answer) -> None:
        kind, namespace, name = key
        try:
            answer.found.set_result(_found(kind, name, namespace, await self._read(kind, name, namespace)))
        except NotFound:
            answer.found.set_result(None)
        except KubernetesError as exc:
            self._forget(key, answer)
            answer.found.set_exception(exc)
            answer.found.exception()  # seen, even if everybody who asked has left
        finally:
            if not answer.found.done():
                self._forget(key, answer)
                answer.found.cancel()

    def _forget(self, key: _Key, answer: _Answer) -> None:
        if self._answers.get(key) is answer:
            del self._answers[key]


def _found(kind: Kind, name: str, namespace: str | None, metadata: Mapping[str, Any]) -> FoundObject:
    references = metadata.get("ownerReferences") or ()
    controller = next((reference for reference in references if reference.get("controller")), None)
    return FoundObject(
        kind=kind,
        name=name,
        namespace=namespace,
        uid=metadata["uid"],
        labels=metadata.get("labels") or {},
        controller=None
        if controller is None
        else OwnerReference(controller["apiVersion"], controller["kind"], controller["name"], controller["uid"]),
    )
