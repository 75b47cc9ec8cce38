"""RemediationRequests: the repository of the RemediationRequests in the controller namespace."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

from signal_gateway.errors import GatewayError
from signal_gateway.gateway.remediation.outcome import Undecided
from signal_gateway.gateway.resilience import ApiCalls, FailedAttempts
from signal_gateway.kubernetes import (
    CallObserver,
    KubernetesClient,
    NotFound,
    RemediationRecord,
    RemediationRequestIndex,
)

__all__ = ["RemediationRequests", "WatchLost"]

_LONGEST_WAIT: Final = 3.0  # seconds; a lost watch is tried again every 2


class WatchLost(GatewayError):  # noqa: N818 - a state, which passes
    """A create was not sent, because the index that its name was derived from may be outdated."""


class RemediationRequests:
    """Reads from the index that all gateways of the client share, and writes through the client.

    Each response is added to the index at once, ahead of the watch. Between `open` and `close`, on the client's loop.

    Attributes:
        namespace: The controller namespace.
        namespace_uid: Its uid, known after `open`; it differs in every cluster.
        inherited_uids: uids of the RemediationRequests that were active at `open`. Their creation may not be recorded.

    Args:
        kubernetes: The client.
        namespace: The controller namespace.
        calls: Makes the calls.
        observer: Observes the calls.
    """

    def __init__(
        self, kubernetes: KubernetesClient, *, namespace: str, calls: ApiCalls, observer: CallObserver
    ) -> None:
        self.namespace = namespace
        self.namespace_uid = ""
        self.inherited_uids: set[str] = set()
        self._kubernetes = kubernetes
        self._calls = calls
        self._observer = observer
        self._index: RemediationRequestIndex | None = None
        self._opened = AsyncExitStack()

    async def open(self) -> None:
        """Wait until the index is complete.

        Raises:
            KubernetesError: The API is not available, or lacks the namespace or the CRD.
        """
        self._index = await self._opened.enter_async_context(self._kubernetes.index(self.namespace))
        self.namespace_uid = self._index.namespace_uid
        self.inherited_uids = set(self._index.active_uids())

    async def close(self) -> None:
        """Release the index."""
        try:
            await self._opened.aclose()
        finally:
            self._index = None

    @property
    def is_alive(self) -> bool:
        """Whether the index is open, complete and current."""
        return self._index is not None and self._index.is_alive

    @property
    def index(self) -> RemediationRequestIndex:
        """The index of the controller namespace.

        Raises:
            GatewayError: `open` was not called.
        """
        if self._index is None:
            raise GatewayError(f"the index of RemediationRequests in {self.namespace} is not open: call open() first")
        return self._index

    def records(self, fingerprint: str) -> tuple[RemediationRecord, ...]:
        """Return the known RemediationRequests of a fingerprint."""
        return self.index.by_fingerprint(fingerprint)

    async def until_watched(self, *, deadline: float) -> None:
        """Wait until the index receives changes: at once, or as soon as a lost watch is replaced by a new list.

        Args:
            deadline: Time of the running loop after which the wait ends.

        Raises:
            Undecided: The watch is still lost.
        """
        if self.index.is_watched:
            return
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + _LONGEST_WAIT)):
                await self.index.until_watched()
        except TimeoutError as exc:
            raise Undecided("the watch of RemediationRequests is lost") from exc

    async def create(self, manifest: dict[str, Any], *, deadline: float, failures: FailedAttempts) -> RemediationRecord:
        """Create a RemediationRequest.

        Args:
            manifest: The object.
            deadline: Time of the running loop after which no further attempt starts.
            failures: Records each failed attempt.

        Raises:
            KubernetesError: The error of the last attempt.
            WatchLost: The watch was lost before an attempt. An earlier attempt may have been carried out.
        """
        created = await self._calls.call(partial(self._create, manifest), deadline=deadline, failures=failures)
        self.index.note(created)
        return RemediationRecord.from_object(created)

    async def _create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        if not self.index.is_watched:
            raise WatchLost("the watch of RemediationRequests is lost")
        return await self._kubernetes.create_remediation_request(manifest, observer=self._observer)

    async def read(self, name: str, *, deadline: float) -> dict[str, Any] | None:
        """Read a RemediationRequest from the API, not from the index.

        Args:
            name: Name of the object.
            deadline: Time of the running loop after which no further attempt starts.

        Returns:
            The object; None if it does not exist.

        Raises:
            KubernetesError: The error of the last attempt.
        """
        get = partial(self._kubernetes.get_remediation_request, self.namespace, name, observer=self._observer)
        try:
            found = await self._calls.call(get, deadline=deadline)
        except NotFound:
            return None
        self.index.note(found)
        return found

    async def patch_status(
        self, name: str, patch: Mapping[str, Any], *, deadline: float, failures: FailedAttempts
    ) -> dict[str, Any]:
        """Apply a merge patch to the status of a RemediationRequest.

        Args:
            name: Name of the object.
            patch: The merge patch; with `metadata.resourceVersion` it applies to this version only.
            deadline: Time of the running loop after which no further attempt starts.
            failures: Records each failed attempt.

        Returns:
            The patched object.

        Raises:
            KubernetesError: The error of the last attempt.
        """
        send = partial(
            self._kubernetes.patch_remediation_request_status, self.namespace, name, patch, observer=self._observer
        )
        patched = await self._calls.call(send, deadline=deadline, failures=failures)
        self.index.note(patched)
        return patched

    def forget(self, uid: str) -> None:
        """Remove an object from the index that the API does not have any more."""
        self.index.forget(uid)
