"""ClusterView: one gateway's access to the RemediationRequests of its controller namespace."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final

from signal_gateway.errors import GatewayError
from signal_gateway.gateway.remediation.outcome import Undecided
from signal_gateway.gateway.resilience.calls import ApiCalls
from signal_gateway.kubernetes import (
    KubernetesClient,
    KubernetesError,
    NotFound,
    Observer,
    RemediationRecord,
    RemediationRequestIndex,
)

__all__ = ["ClusterView", "WatchLost"]

_LONGEST_WAIT: Final = 3.0  # seconds; a lost watch is tried again every 2


class WatchLost(GatewayError):  # noqa: N818 - a state, which passes
    """A create was not sent, since what its name was derived from may be long past."""


class ClusterView:
    """Reads from the shared index, writes through the client, and folds each answer into the index at once.

    Writes are tried again as configured. Runs on the client's loop.

    Args:
        kubernetes: The client.
        index: The client's index of `namespace`, synced.
        namespace: The controller namespace.
        namespace_uid: Its uid.
        calls: How calls are made, and made again.
        observer: Told verb, resource and code of every call.
    """

    def __init__(
        self,
        *,
        kubernetes: KubernetesClient,
        index: RemediationRequestIndex,
        namespace: str,
        namespace_uid: str,
        calls: ApiCalls,
        observer: Observer,
    ) -> None:
        self.namespace = namespace
        self.namespace_uid = namespace_uid
        self._kubernetes = kubernetes
        self._index = index
        self._calls = calls
        self._observer = observer

    @property
    def is_alive(self) -> bool:
        """Whether the index is complete and has shown a sign of life lately."""
        return self._index.is_alive

    def records(self, fingerprint: str) -> tuple[RemediationRecord, ...]:
        """Return what is known of a problem's RemediationRequests."""
        return self._index.by_fingerprint(fingerprint)

    def active_uids(self) -> Iterator[str]:
        """Yield the uids of the RemediationRequests that are known and active."""
        return self._index.active_uids()

    async def until_watched(self, *, deadline: float) -> None:
        """Return when changes are heard of: at once, or as soon as there is a new list after a watch that was lost.

        Args:
            deadline: Time of the running loop by which it gives up, if not before.

        Raises:
            Undecided: The watch stays lost.
        """
        if self._index.is_watched:
            return
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + _LONGEST_WAIT)):
                await self._index.until_watched()
        except TimeoutError as exc:
            raise Undecided("the watch of RemediationRequests is lost") from exc

    async def create(
        self, manifest: dict[str, Any], *, deadline: float, on_failure: Callable[[KubernetesError], None]
    ) -> RemediationRecord:
        """Create a RemediationRequest.

        Args:
            manifest: The object.
            deadline: Time of the running loop after which no further attempt starts.
            on_failure: Told of each failed attempt.

        Raises:
            KubernetesError: What the last attempt raised.
            WatchLost: The watch was lost before an attempt; an earlier one may have been carried out.
        """

        async def attempt() -> dict[str, Any]:
            if not self._index.is_watched:
                raise WatchLost("the watch of RemediationRequests is lost")
            return await self._kubernetes.create_remediation_request(manifest, observer=self._observer)

        created = await self._calls.retrying(attempt, deadline=deadline, on_failure=on_failure)
        self._index.note(created)
        return RemediationRecord.from_object(created)

    async def read(self, name: str, *, deadline: float) -> dict[str, Any] | None:
        """Read a RemediationRequest from the API itself, not from the index.

        Args:
            name: Its name.
            deadline: Time of the running loop after which no further attempt starts.

        Returns:
            The object, or None if there is none.

        Raises:
            KubernetesError: What the last attempt raised.
        """

        async def attempt() -> dict[str, Any]:
            return await self._kubernetes.get_remediation_request(self.namespace, name, observer=self._observer)

        try:
            found = await self._calls.retrying(attempt, deadline=deadline)
        except NotFound:
            return None
        self._index.note(found)
        return found

    async def patch_status(
        self,
        name: str,
        patch: dict[str, Any],
        *,
        deadline: float,
        on_failure: Callable[[KubernetesError], None],
    ) -> dict[str, Any]:
        """Merge a patch into a RemediationRequest's status.

        Args:
            name: Its name.
            patch: The merge patch; with `metadata.resourceVersion` it only holds for that version.
            deadline: Time of the running loop after which no further attempt starts.
            on_failure: Told of each failed attempt.

        Returns:
            The object as it is now.

        Raises:
            KubernetesError: What the last attempt raised.
        """

        async def attempt() -> dict[str, Any]:
            return await self._kubernetes.patch_remediation_request_status(
                self.namespace, name, patch, observer=self._observer
            )

        patched = await self._calls.retrying(attempt, deadline=deadline, on_failure=on_failure)
        self._index.note(patched)
        return patched

    def forget(self, uid: str) -> None:
        """Drop an object that the API says is gone."""
        self._index.forget(uid)
