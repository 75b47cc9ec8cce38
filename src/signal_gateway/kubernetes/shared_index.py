"""One index for all who need it: started by the first, stopped by the last."""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from typing import Never

from signal_gateway.kubernetes.errors import ApiUnavailable, KubernetesError
from signal_gateway.kubernetes.index import RemediationRequestIndex

__all__ = ["SharedIndex"]

_log = logging.getLogger(__name__)

Feed = Callable[[Callable[[], None]], Coroutine[None, None, Never]]


class SharedIndex:
    """An index, the task that feeds it, and how many use it. Belongs to the running loop.

    Args:
        index: What is shared.
        feed: Called once with what to call when the index is synced; its coroutine runs until `stop`.
    """

    def __init__(self, index: RemediationRequestIndex, feed: Feed) -> None:
        self.index = index
        self.users = 0
        self._first_sync: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(
            self._run(feed),
            name=f"index of RemediationRequests in {index.namespace}",
            context=contextvars.Context(),  # it is nobody's: it may outlive the user in whose context it starts
        )

    async def wait_synced(self, sync_timeout: float, *, url: str) -> None:
        """Wait for the first complete list.

        Args:
            sync_timeout: How long, in seconds.
            url: Of the cluster, for the error.

        Raises:
            KubernetesError: The feed gave up, or was stopped.
            ApiUnavailable: The time is over; the message has the last failure.
        """
        try:
            async with asyncio.timeout(sync_timeout):
                await asyncio.shield(self._first_sync)  # one waiter's cancellation is not everybody's
        except TimeoutError as exc:
            cause = self.index.last_error or "the API accepted the call and has not answered"
            raise ApiUnavailable(
                f"no complete list of the RemediationRequests in namespace {self.index.namespace} "
                f"from {url} within {sync_timeout:g} seconds: {cause}"
            ) from exc

    async def stop(self) -> None:
        """Cancel the feed and wait until its connection is closed; again is fine.

        Raises:
            Exception: What the feed died of, if it was a bug.
        """
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._first_sync.done():
            self._first_sync.set_exception(KubernetesError("the client was closed before its index was synced"))
        self._first_sync.exception()  # mark as seen: everybody who waited has left
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            raise error

    def _note_synced(self) -> None:
        if not self._first_sync.done():
            self._first_sync.set_result(None)

    async def _run(self, feed: Feed) -> None:
        try:
            await feed(self._note_synced)
        except KubernetesError as exc:
            self._first_sync.set_exception(exc)  # only raised before the first sync
        except Exception as exc:
            if not self._first_sync.done():
                self._first_sync.set_exception(exc)
            _log.exception("the index of RemediationRequests in namespace %s died", self.index.namespace)
            raise
