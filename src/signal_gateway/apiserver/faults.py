"""Faults on demand: requests that fail, as often as a test says and no more."""

import threading
from types import TracebackType
from typing import Self

from signal_gateway.apiserver.request import ApiRequest
from signal_gateway.apiserver.status import StatusError, reason_of
from signal_gateway.errors import ApiServerError

__all__ = ["Fault", "Faults"]

_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


class Fault:
    """One kind of request that fails. Made by `Faults.fail`; as a context manager it ends with the block."""

    def __init__(
        self,
        faults: "Faults",
        *,
        verb: str | None,
        resource: str | None,
        name: str | None,
        error: StatusError,
        times: int | None,
    ) -> None:
        self._faults = faults
        self._verb = verb
        self._resource = resource
        self._name = name
        self._error = error
        self._times = times
        self.hits = 0
        """How many requests have failed by it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Let requests succeed again; does no harm twice."""
        self._faults.discard(self)

    def strike(self, request: ApiRequest) -> StatusError | None:
        """Return the error that a request fails with, and count it; `None` if it is not meant. Call with the lock."""
        is_meant = (
            self._verb in (None, request.verb)
            and self._resource in (None, request.resource)
            and self._name in (None, request.name)
            and (self._times is None or self.hits < self._times)
        )
        if not is_meant:
            return None
        self.hits += 1
        return self._error


class Faults:
    """The faults of one cluster. Safe to use from any thread; a change holds for every request that arrives after."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def fail(
        self,
        *,
        verb: str | None = None,
        resource: str | None = None,
        status: int,
        times: int | None = None,
        retry_after: int | None = None,
        name: str | None = None,
        reason: str | None = None,
    ) -> Fault:
        """Make requests fail before they change or read anything.

        When several faults mean a request, the one made first answers it.

        Args:
            verb: Kubernetes verb, any if not given: get list watch create update patch delete deletecollection.
            resource: Plural, any if not given. `widgets` means the main resource only, `widgets/status` the
                subresource only.
            status: HTTP status to answer, 400 to 599.
            times: How many requests fail; all until the fault ends, if not given.
            retry_after: Seconds for the `Retry-After` header.
            name: Name of the object in the URL, any if not given. A create has none there.
            reason: Reason of the `Status`; by default the API server's own for the code.

        Returns:
            The fault, which counts its `hits` and can be ended, also as a context manager.

        Raises:
            ApiServerError: An argument is out of range; the fault would never strike.
        """
        if not 400 <= status <= 599:
            raise ApiServerError(f"status {status} is no error: pass 400 to 599")
        if verb not in (None, *_VERBS):
            raise ApiServerError(f"{verb!r} is no Kubernetes verb: pass one of {', '.join(_VERBS)}")
        if times is not None and times < 1:
            raise ApiServerError(f"times={times} would never strike: pass 1 or more, or None for always")
        error = StatusError(
            status,
            "this request was made to fail",
            reason=reason or reason_of(status),
            retry_after=retry_after,
        )
        fault = Fault(self, verb=verb, resource=resource, name=name, error=error, times=times)
        with self._lock:
            self._faults.append(fault)
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

    def check(self, request: ApiRequest) -> None:
        """Fail a request if a fault means it.

        Raises:
            StatusError: The fault's.
        """
        if not self._faults:
            return
        with self._lock:
            for fault in self._faults:
                if (error := fault.strike(request)) is not None:
                    raise error
