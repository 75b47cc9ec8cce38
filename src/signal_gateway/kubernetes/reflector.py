"""Reflector: keeps an index of RemediationRequests current by list and watch, for all of its users."""

import asyncio
import contextvars
import logging
import math
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Final, Never, cast

import httpx2
from lightkube import SingleConfig

from signal_gateway.kubernetes.connection import lightkube_client
from signal_gateway.kubernetes.errors import (
    CALL_FAILURES,
    ApiUnavailable,
    KubernetesError,
    KubernetesSetupError,
    NotFound,
    classify,
)
from signal_gateway.kubernetes.index import KIND, PLURAL, RemediationRecord, RemediationRequestIndex
from signal_gateway.kubernetes.resources import Namespace, RemediationRequest, crd_path

__all__ = ["Reflector"]

_log = logging.getLogger(__name__)

_RANDOM: Final = random.SystemRandom()  # a test that seeds the shared generator expects its own sequence
_WATCH_SECONDS: Final = 30
_WATCH_GRACE: Final = 10.0
_SHORT_WATCH: Final = 1.0
_CHUNK: Final = 500
_INITIAL_BACKOFF: Final = 0.1
_MAX_BACKOFF: Final = 2.0
_MAX_RETRY_AFTER: Final = 30.0

# as UTF-8: NEL, LINE SEPARATOR and PARAGRAPH SEPARATOR; JSON escapes the other line ends of `str.splitlines`
_UNICODE_LINE_ENDS: Final = ((b"\xc2\x85", rb"\u0085"), (b"\xe2\x80\xa8", rb"\u2028"), (b"\xe2\x80\xa9", rb"\u2029"))
_LINE_END_PREFIXES: Final = (b"\xe2\x80", b"\xe2", b"\xc2")


class Reflector:
    """Lists and watches RemediationRequests into an index, in a task of its own on the running loop.

    The task starts with the reflector and runs until `stop`. A watch that ends cleanly is opened again from its last
    resourceVersion. A watch that fails leads to a new list, because a watch that continues after a gap has no mark
    for the end of the backlog. After a failure, and after a watch that ends at once without an event, the task waits:
    0.1 seconds, growing to 2 seconds, or the time that the API requests, at most 30 seconds.

    Signs of life are a complete list, an event, and a watch that opens after one that ended cleanly.

    Args:
        index: The index to keep current.
        config: The server and the credentials.
        pool: The connections to the server; they stay open after `stop`.

    Attributes:
        index: The index that it keeps current.
    """

    def __init__(
        self, index: RemediationRequestIndex, *, config: SingleConfig, pool: httpx2.AsyncBaseTransport
    ) -> None:
        self.index = index
        self._transport = _WatchTransport(pool, index)
        self._client = lightkube_client(config, self._transport)
        self._url = config.cluster.server
        self._users = 0
        self._first_sync: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(
            self._run(),
            name=f"index of RemediationRequests in {index.namespace}",
            context=contextvars.Context(),  # empty: the task may outlive the user in whose context it starts
        )
        self._task.add_done_callback(self._note_end)

    def join(self) -> None:
        """Count one more user."""
        self._users += 1

    def leave(self) -> bool:
        """Count one user less; return whether it was the last."""
        self._users -= 1
        return self._users == 0

    async def wait_synced(self, sync_timeout: float) -> None:
        """Wait for the first complete list.

        Args:
            sync_timeout: The longest wait, in seconds.

        Raises:
            KubernetesSetupError: The namespace or the CRD is missing; the message has the `kubectl` command.
            KubernetesError: The first list failed for good, or the reflector was stopped.
            ApiUnavailable: The time is over; the message has the last failure.
        """
        try:
            async with asyncio.timeout(sync_timeout):
                await asyncio.shield(self._first_sync)  # the cancellation of one user does not affect the others
        except TimeoutError as exc:
            cause = self.index.last_error or "the API accepted the call and has not responded"
            raise ApiUnavailable(
                f"no complete list of the RemediationRequests in namespace {self.index.namespace} "
                f"from {self._url} within {sync_timeout:g} seconds: {cause}"
            ) from exc

    async def stop(self) -> None:
        """Cancel the task and wait until its connection is closed. You may call it again.

        Raises:
            Exception: The unexpected error that ended the task.
        """
        self._task.cancel()
        await asyncio.wait({self._task})
        error = None if self._task.cancelled() else self._task.exception()
        if not self._first_sync.done():
            self._first_sync.set_exception(
                error or KubernetesError("the client was closed before its index was synced")
            )
        self._first_sync.exception()  # mark as retrieved: no user waits any more
        if error is not None and not isinstance(error, KubernetesError):
            raise error

    def _note_end(self, task: asyncio.Task[Never]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        if not self._first_sync.done():
            self._first_sync.set_exception(error)
        if not isinstance(error, KubernetesError):  # a KubernetesError goes to the users that wait
            _log.error(
                "the index of RemediationRequests in namespace %s stopped with an unexpected error",
                self.index.namespace,
                exc_info=error,
            )

    async def _run(self) -> Never:
        """List and watch until cancelled; a cancellation closes the connection of the watch first.

        Raises:
            KubernetesError: A failure before the first complete list that a retry does not repair.
        """
        clock = asyncio.get_running_loop().time
        index, transport = self.index, self._transport
        must_list = True
        has_ended_cleanly = False
        failures = 0
        while True:
            watched_since, version_before = math.inf, ""
            error: KubernetesError | None = None
            try:
                if must_list:
                    await self._list()
                    must_list = False
                transport.expect_watch(is_sign_of_life=has_ended_cleanly)
                watched_since, version_before = clock(), index.resource_version
                has_ended_cleanly = False
                await self._watch()
                has_ended_cleanly = True
            except KubernetesError as exc:
                if not index.is_synced and not exc.is_transient:
                    raise
                error = exc
                must_list = True
                index.mark_failed(exc)

            has_watched = watched_since < math.inf and transport.has_opened
            has_lasted = clock() - watched_since >= _SHORT_WATCH
            if has_watched and (has_lasted or index.resource_version != version_before):
                failures = 0
                if error is None:
                    continue
            failures += 1
            if error is not None and failures == 1:
                _log.warning("list or watch of %s in namespace %s failed: %s", PLURAL, index.namespace, error)
            await asyncio.sleep(_delay(failures, error))

    async def _list(self) -> None:
        is_first = not self.index.is_synced
        if is_first:
            await self._identify()
        self.index.begin_listing()
        try:
            listing = self._client.list(RemediationRequest, namespace=self.index.namespace, chunk_size=_CHUNK)
            records = [RemediationRecord.from_object(obj) async for obj in listing]
            resource_version = str(int(listing.resourceVersion))
        except CALL_FAILURES as exc:
            error = classify(exc, "list", PLURAL)
            if is_first and isinstance(error, NotFound):
                message = f"the cluster does not know the kind {KIND}: run kubectl apply -f {crd_path()}"
                raise _setup_error(message, error) from exc
            raise error from exc
        self.index.replace(records, resource_version)
        if not self._first_sync.done():
            self._first_sync.set_result(None)

    async def _identify(self) -> None:
        namespace = self.index.namespace
        try:
            self.index.identify(await self._client.get(Namespace, namespace))
        except CALL_FAILURES as exc:
            error = classify(exc, "get", "namespaces")
            if isinstance(error, NotFound):
                message = (
                    f"the controller namespace {namespace} does not exist: run kubectl create namespace {namespace}"
                )
                raise _setup_error(message, error) from exc
            raise error from exc

    async def _watch(self) -> None:
        """Apply events until the watch ends cleanly."""
        events = self._client.watch(
            RemediationRequest,
            namespace=self.index.namespace,
            server_timeout=_WATCH_SECONDS,
            resource_version=self.index.resource_version,
        )
        try:
            # lightkube's watch has no read timeout: without a deadline it would not notice a server that vanished
            async with (
                asyncio.timeout(_WATCH_SECONDS + _WATCH_GRACE),
                aclosing(cast(AsyncGenerator[tuple[str, dict[str, Any]]], events)) as stream,
            ):
                async for event_type, obj in stream:
                    self.index.apply(event_type, obj)
        except _WatchEnded:
            return
        except TimeoutError as exc:
            raise ApiUnavailable(
                f"the API server did not end the watch of {PLURAL} after {_WATCH_SECONDS} seconds as requested. "
                "The index starts another",
                verb="watch",
                resource=PLURAL,
            ) from exc
        except CALL_FAILURES as exc:
            raise classify(exc, "watch", PLURAL) from exc


def _setup_error(message: str, error: KubernetesError) -> KubernetesSetupError:
    return KubernetesSetupError(
        message, verb=error.verb, resource=error.resource, status=error.status, reason=error.reason
    )


def _delay(failures: int, error: KubernetesError | None) -> float:
    backoff = min(_INITIAL_BACKOFF * 2.0 ** min(failures - 1, 10), _MAX_BACKOFF) * _RANDOM.uniform(0.5, 1)
    requested = min((error.retry_after if error is not None else None) or 0.0, _MAX_RETRY_AFTER)
    return max(backoff, requested)


class _WatchEnded(Exception):  # noqa: N818 - an outcome, not an error
    """The server ended the watch cleanly."""


class _WatchTransport(httpx2.AsyncBaseTransport):
    """Sends requests over a shared pool, and reports the begin and the clean end of a watch, which lightkube hides.

    When a watch ends, lightkube's generator sends the next request by itself. This transport stops that request with
    `_WatchEnded`, so that only the reflector starts watches.
    """

    def __init__(self, pool: httpx2.AsyncBaseTransport, index: RemediationRequestIndex) -> None:
        self._pool = pool
        self._index = index
        self._is_sign_of_life = False
        self.has_opened = False

    def expect_watch(self, *, is_sign_of_life: bool) -> None:
        """Allow one more watch.

        Args:
            is_sign_of_life: Whether its begin is a sign of life of the index.
        """
        self.has_opened = False
        self._is_sign_of_life = is_sign_of_life

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; closing this transport leaves the pool open."""
        is_watch = "watch" in request.url.params
        if is_watch and self.has_opened:
            raise _WatchEnded
        if is_watch:
            request.headers["Accept-Encoding"] = "identity"  # the lines are read below
        response = await self._pool.handle_async_request(request)
        if is_watch and response.is_success:
            assert isinstance(response.stream, httpx2.AsyncByteStream), "an asynchronous transport has such a stream"
            response.stream = _EscapedLines(response.stream)
            self.has_opened = True
            if self._is_sign_of_life:
                self._index.mark_alive()
        return response


class _EscapedLines(httpx2.AsyncByteStream):
    """The bytes of a watch, with each Unicode line end inside a JSON string escaped.

    A watch has one JSON object per line, and JSON strings may contain U+0085, U+2028 and U+2029 unescaped. The client
    splits lines at those, too: without the escapes one such character in one object would stop every watch of its
    kind.

    Args:
        stream: The body of the response, not compressed.
    """

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield bytes whose only line ends are newlines."""
        held = b""
        async for chunk in self._stream:
            text = held + chunk
            held = b""
            for prefix in _LINE_END_PREFIXES:
                if text.endswith(prefix):
                    text, held = text.removesuffix(prefix), prefix
                    break
            for line_end, escape in _UNICODE_LINE_ENDS:
                text = text.replace(line_end, escape)
            yield text
        yield held

    async def aclose(self) -> None:
        """Close the response."""
        await self._stream.aclose()
