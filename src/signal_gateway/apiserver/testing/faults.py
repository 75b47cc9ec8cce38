"""Faults: errors, delays and dropped connections that a test injects into requests."""

import asyncio
import random
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self, TypedDict, Unpack, get_args

from signal_gateway.apiserver.apimachinery.status import StatusError, reason_of
from signal_gateway.apiserver.handlers.request_info import RequestInfo
from signal_gateway.apiserver.handlers.watch import WatchHandler
from signal_gateway.errors import ApiServerError

__all__ = ["DropMoment", "Fault", "FaultEffects", "Faults", "RequestMatch"]

DropMoment = Literal["before", "during", "after"]

_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


class RequestMatch(TypedDict, total=False):
    """The requests that a fault affects.

    Attributes:
        verb: get list watch create update patch delete deletecollection; by default any.
        resource: Plural, by default any. `widgets` matches the main resource only, `widgets/status` the subresource.
        name: Name of the object in the URL, by default any. The URL of a create contains no name.
        namespace: Namespace in the URL, by default any.
        times: Number of requests that the fault affects; by default all until it ends.
        probability: Probability that the fault affects a matching request; by default 1.
        seed: Seed of the random numbers, so that every run affects the same requests.
    """

    verb: str | None
    resource: str | None
    name: str | None
    namespace: str | None
    times: int | None
    probability: float
    seed: int


@dataclass(frozen=True, slots=True)
class FaultEffects:
    """The effects of one or more faults on one request.

    Attributes:
        delay: Seconds before the request is handled.
        response_delay: Seconds between the handling and the response.
        error: Error that the client receives; the request is not handled.
        drop: When the connection closes: before the handling, during the response or after the handling.
    """

    delay: float = 0.0
    response_delay: float = 0.0
    error: StatusError | None = None
    drop: DropMoment | None = None

    def __add__(self, other: "FaultEffects") -> "FaultEffects":
        """Return the effects of both: the sum of delays, and the first error or drop."""
        return FaultEffects(
            self.delay + other.delay,
            self.response_delay + other.response_delay,
            self.error or other.error,
            self.drop or other.drop,
        )

    @property
    def is_final(self) -> bool:
        """Whether an error or a drop decides the outcome of the request, so that later faults do not apply."""
        return self.error is not None or self.drop is not None


class Fault:
    """One fault of a cluster. `Faults` creates it; as a context manager it ends with the block.

    Attributes:
        hits: Number of requests that the fault has affected.
    """

    def __init__(self, faults: "Faults", effects: FaultEffects, **match: Unpack[RequestMatch]) -> None:
        verb, times, probability = match.get("verb"), match.get("times"), match.get("probability", 1.0)
        if verb not in (None, *_VERBS):
            raise ApiServerError(f"Unknown Kubernetes verb {verb!r}: use one of {', '.join(_VERBS)}")
        if times is not None and times < 1:
            raise ApiServerError(f"times={times} is out of range: use 1 or more, or None for no limit")
        if not 0 < probability <= 1:
            raise ApiServerError(f"probability={probability} is out of range: use more than 0 and at most 1")
        self.hits = 0
        self._faults = faults
        self._effects = effects
        self._wanted = {field: match.get(field) for field in ("verb", "resource", "name", "namespace")}
        self._times = times
        self._probability = probability
        self._random = random.Random(match.get("seed", 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End the fault. A second call has no effect."""
        self._faults.discard(self)

    def effects_on(self, request: RequestInfo) -> FaultEffects | None:
        """Return the effects on a request and count the hit; `None` for an unaffected request.

        `Faults` calls it under its lock.
        """
        is_match = all(wanted in (None, getattr(request, field)) for field, wanted in self._wanted.items())
        if not is_match or (self._times is not None and self.hits >= self._times):
            return None
        if self._probability < 1 and self._random.random() >= self._probability:
            return None
        self.hits += 1
        return self._effects


class Faults:
    """The faults of one cluster. Safe to use from any thread; a change affects all requests that arrive later.

    Each method takes the keywords of `RequestMatch` to select requests. Delays add up. Of several errors and drops,
    the fault that was created first applies.

    Args:
        watches: The open watches, which a partition closes.
    """

    def __init__(self, watches: WatchHandler) -> None:
        self._watches = watches
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def fail(
        self, *, status: int, retry_after: int | None = None, reason: str | None = None, **match: Unpack[RequestMatch]
    ) -> Fault:
        """Fail requests before they read or change anything.

        Args:
            status: HTTP status of the response, 400 to 599.
            retry_after: Seconds for the `Retry-After` header.
            reason: Reason of the `Status`; by default the API server's reason for the HTTP status.
            **match: The affected requests; see `RequestMatch`.

        Returns:
            The fault. It counts its `hits` and is a context manager.

        Raises:
            ApiServerError: An argument is out of range, so the fault would affect no request.
        """
        if not 400 <= status <= 599:
            raise ApiServerError(f"status={status} is not an error: use 400 to 599")
        reason = reason or reason_of(status)
        error = StatusError(status, "this request was made to fail", reason=reason, retry_after=retry_after)
        return self._add(Fault(self, FaultEffects(error=error), **match))

    def delay(self, seconds: float, *, after: bool = False, **match: Unpack[RequestMatch]) -> Fault:
        """Delay requests.

        Args:
            seconds: Delay by the machine's clock.
            after: Whether the delay comes after the handling, before the response.
            **match: The affected requests; see `RequestMatch`.

        Raises:
            ApiServerError: An argument is out of range.
        """
        if seconds <= 0:
            raise ApiServerError(f"seconds={seconds} is no delay: use more than 0")
        return self._add(Fault(self, FaultEffects(response_delay=seconds) if after else FaultEffects(seconds), **match))

    def drop_connection(self, *, when: DropMoment = "before", **match: Unpack[RequestMatch]) -> Fault:
        """Close the connections of requests.

        Args:
            when: `before` closes the connection before the request is handled; `after` handles the request and sends
                no response; `during` handles the request and sends half of the response. A watch is open in the
                latter two cases.
            **match: The affected requests; see `RequestMatch`.

        Raises:
            ApiServerError: An argument is out of range.
        """
        if when not in get_args(DropMoment):
            raise ApiServerError(f"when={when!r} is not a moment of a request: use {', '.join(get_args(DropMoment))}")
        return self._add(Fault(self, FaultEffects(drop=when), **match))

    def partition(self) -> Fault:
        """Close the connections of all open watches and of every request, until the returned fault ends."""
        fault = self._add(Fault(self, FaultEffects(drop="before")), is_first=True)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._watches.drop_connections)
        return fault

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            self._faults.clear()

    def discard(self, fault: Fault) -> None:
        """End one fault. A second call has no effect."""
        with self._lock:
            if fault in self._faults:
                self._faults.remove(fault)

    def effects_on(self, request: RequestInfo) -> FaultEffects | None:
        """Return the effects of all faults on a request; `None` if there are no faults.

        The server calls it on its loop for each request.
        """
        # `partition` adds its fault, then reads the loop: either it finds the loop, or this request finds the fault
        self._loop = asyncio.get_running_loop()
        if not self._faults:
            return None
        effects = FaultEffects()
        with self._lock:
            for fault in self._faults:
                effects += fault.effects_on(request) or FaultEffects()
                if effects.is_final:
                    break
        return effects

    def _add(self, fault: Fault, *, is_first: bool = False) -> Fault:
        with self._lock:
            self._faults.insert(0 if is_first else len(self._faults), fault)
        return fault
