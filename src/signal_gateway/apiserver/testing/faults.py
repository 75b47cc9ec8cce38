"""Faults on demand: requests that fail, are late or get no answer, as often as a test says and no more."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self, TypedDict, Unpack, get_args

from signal_gateway.apiserver.apimachinery.status import StatusError, reason_of
from signal_gateway.apiserver.handlers.request_info import RequestInfo
from signal_gateway.errors import ApiServerError

__all__ = ["DropMoment", "Fault", "FaultEffects", "Faults", "RequestMatch"]

DropMoment = Literal["before", "during", "after"]

_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


class RequestMatch(TypedDict, total=False):
    """Which requests a fault strikes.

    Attributes:
        verb: get list watch create update patch delete deletecollection; any if not given.
        resource: Plural, any if not given. `widgets` means the main resource only, `widgets/status` the subresource.
        name: Of the object in the URL, any if not given. A create has no name there.
        namespace: Of the URL, any if not given.
        times: How many requests; all until the fault ends, if not given.
        probability: That a request is struck; 1 if not given.
        seed: Of that chance, so that it is the same in each run.
    """

    verb: str | None
    resource: str | None
    name: str | None
    namespace: str | None
    times: int | None
    probability: float
    seed: int


@dataclass(slots=True)
class FaultEffects:
    """What the faults of a cluster do to one request.

    Attributes:
        delay: Seconds before it is carried out.
        delay_of_answer: Seconds after that, before it is answered.
        error: What it fails with instead of being carried out.
        drop: When its connection is closed: before it is carried out, in the midst of the answer, or without one.
    """

    delay: float = 0.0
    delay_of_answer: float = 0.0
    error: StatusError | None = None
    drop: DropMoment | None = None

    @property
    def is_decided(self) -> bool:
        """Whether no further fault can have a say in how it ends."""
        return self.error is not None or self.drop is not None


class Fault:
    """Something that happens to some requests. Made by `Faults`; as a context manager it ends with the block.

    Attributes:
        hits: How many requests it has struck.
    """

    def __init__(
        self,
        faults: "Faults",
        apply: Callable[[FaultEffects], None],
        **which: Unpack[RequestMatch],
    ) -> None:
        verb, times, probability = which.get("verb"), which.get("times"), which.get("probability", 1.0)
        if verb not in (None, *_VERBS):
            raise ApiServerError(f"{verb!r} is no Kubernetes verb: pass one of {', '.join(_VERBS)}")
        if times is not None and times < 1:
            raise ApiServerError(f"times={times} would never strike: pass 1 or more, or None for always")
        if not 0 < probability <= 1:
            raise ApiServerError(f"probability={probability} is out of range: pass more than 0 and at most 1")
        self.hits = 0
        self._faults = faults
        self._apply = apply
        self._wanted = {field: which.get(field) for field in ("verb", "resource", "name", "namespace")}
        self._times = times
        self._probability = probability
        self._random = random.Random(which.get("seed", 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Let requests be again; does no harm twice."""
        self._faults.discard(self)

    def strike(self, request: RequestInfo, effects: FaultEffects) -> None:
        """Add to what happens to a request, and count it, if it is meant. Call with the lock."""
        is_meant = all(wanted in (None, getattr(request, field)) for field, wanted in self._wanted.items())
        if not is_meant or (self._times is not None and self.hits >= self._times):
            return
        if self._probability < 1 and self._random.random() >= self._probability:
            return
        self.hits += 1
        self._apply(effects)


class Faults:
    """The faults of one cluster. Safe to use from any thread; a change holds for every request that arrives after.

    Each is told which requests it strikes by the keywords of `RequestMatch`. Delays add up; of faults that fail a request and
    faults that drop its connection, the one made first decides.
    """

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._on_partition: list[Callable[[], None]] = []

    def fail(
        self, *, status: int, retry_after: int | None = None, reason: str | None = None, **which: Unpack[RequestMatch]
    ) -> Fault:
        """Make requests fail before they change or read anything.

        Args:
            status: HTTP status to answer, 400 to 599.
            retry_after: Seconds for the `Retry-After` header.
            reason: Reason of the `Status`; by default the API server's own for the code.
            **which: Which requests; see `RequestMatch`.

        Returns:
            The fault, which counts its `hits` and can be ended, also as a context manager.

        Raises:
            ApiServerError: An argument is out of range; the fault would never strike.
        """
        if not 400 <= status <= 599:
            raise ApiServerError(f"status {status} is no error: pass 400 to 599")
        reason = reason or reason_of(status)
        error = StatusError(status, "this request was made to fail", reason=reason, retry_after=retry_after)

        def apply(effects: FaultEffects) -> None:
            effects.error = error

        return self._add(Fault(self, apply, **which))

    def delay(self, seconds: float, *, after: bool = False, **which: Unpack[RequestMatch]) -> Fault:
        """Make requests wait.

        Args:
            seconds: How long, by the machine's clock.
            after: Whether they are carried out first, and the answer waits.
            **which: Which requests; see `RequestMatch`.

        Raises:
            ApiServerError: An argument is out of range.
        """
        if seconds <= 0:
            raise ApiServerError(f"a delay of {seconds} seconds is none: pass more than 0")

        def apply(effects: FaultEffects) -> None:
            if after:
                effects.delay_of_answer += seconds
            else:
                effects.delay += seconds

        return self._add(Fault(self, apply, **which))

    def drop_connection(self, *, when: DropMoment = "before", **which: Unpack[RequestMatch]) -> Fault:
        """Close the connections of requests.

        Args:
            when: `before` the request is carried out; `after`: it is carried out and gets no answer; `during`: it is
                carried out, and the answer stops half-way. A watch has begun at the latter two.
            **which: Which requests; see `RequestMatch`.

        Raises:
            ApiServerError: An argument is out of range.
        """
        if when not in get_args(DropMoment):
            raise ApiServerError(f"{when!r} is no moment: pass one of {', '.join(get_args(DropMoment))}")

        def apply(effects: FaultEffects) -> None:
            effects.drop = when

        return self._add(Fault(self, apply, **which))

    def partition(self) -> Fault:
        """Cut every open watch and the connection of every request, until the fault that is returned ends."""

        def apply(effects: FaultEffects) -> None:
            effects.drop = "before"

        fault = self._add(Fault(self, apply), is_first=True)
        for cut in list(self._on_partition):
            cut()
        return fault

    def clear(self) -> None:
        """End every fault."""
        with self._lock:
            self._faults.clear()

    def discard(self, fault: Fault) -> None:
        """End one fault, if it is still there."""
        with self._lock:
            if fault in self._faults:
                self._faults.remove(fault)

    def on_partition(self, cut: Callable[[], None]) -> None:
        """Have a function called, on whatever thread, when a partition begins."""
        self._on_partition.append(cut)

    def strike(self, request: RequestInfo) -> FaultEffects | None:
        """Return what happens to a request; None if nothing does."""
        if not self._faults:
            return None
        effects = FaultEffects()
        with self._lock:
            for fault in self._faults:
                fault.strike(request, effects)
                if effects.is_decided:
                    break
        return effects

    def _add(self, fault: Fault, *, is_first: bool = False) -> Fault:
        with self._lock:
            self._faults.insert(0 if is_first else len(self._faults), fault)
        return fault
