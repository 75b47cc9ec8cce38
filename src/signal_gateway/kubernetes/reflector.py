"""Reflector: keeps an index of RemediationRequests current by list and watch, for all of its users."""

import asyncio
import contextvars
import logging
import math
import random
from typing import Any, Final, Never
from urllib.parse import quote, urlencode

import orjson

from signal_gateway.kubernetes.api_transport import ApiTransport
from signal_gateway.kubernetes.crd import crd_path
from signal_gateway.kubernetes.errors import (
    CALL_FAILURES,
    ApiUnavailable,
    ErrorReply,
    KubernetesError,
    KubernetesSetupError,
    NotFound,
    classify,
)
from signal_gateway.kubernetes.index import GROUP, KIND, PLURAL, VERSION, RemediationRecord, RemediationRequestIndex

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
_ACCEPT: Final = {"Accept": "application/json"}


class Reflector:
    """Lists and watches RemediationRequests into an index, in a task of its own on the running loop.

    The task starts with the reflector and runs until `stop`. A watch that ends cleanly is opened again from its last
    resourceVersion. A watch that fails leads to a new list, because a watch that continues after a gap has no mark
    for the end of the backlog. After a failure, and after a watch that ends at once without an event, the task waits:
    0.1 seconds, growing to 2 seconds, or the time that the API requests, at most 30 seconds.

    Signs of life are a complete list, an event, and a watch that opens after one that ended cleanly.

    Args:
        index: The index to keep current.
        url: URL of the server, for messages.
        transport: Carries the requests; it stays open after `stop`.

    Attributes:
        index: The index that it keeps current.
    """

    def __init__(self, index: RemediationRequestIndex, *, url: str, transport: ApiTransport) -> None:
        self.index = index
        self._url = url
        self._transport = transport
        self._collection = f"/apis/{GROUP}/{VERSION}/namespaces/{quote(index.namespace, '')}/{PLURAL}"
        self._has_opened = False
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
        index = self.index
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
                self._has_opened = False
                watched_since, version_before = clock(), index.resource_version
                is_sign_of_life, has_ended_cleanly = has_ended_cleanly, False
                await self._watch(is_sign_of_life=is_sign_of_life)
                has_ended_cleanly = True
            except KubernetesError as exc:
                if not index.is_synced and not exc.is_transient:
                    raise
                error = exc
                must_list = True
                index.mark_failed(exc)

            has_watched = watched_since < math.inf and self._has_opened
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
            records, resource_version = await self._read_list()
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
            self.index.identify(await self._get(f"/api/v1/namespaces/{quote(namespace, '')}"))
        except CALL_FAILURES as exc:
            error = classify(exc, "get", "namespaces")
            if isinstance(error, NotFound):
                message = (
                    f"the controller namespace {namespace} does not exist: run kubectl create namespace {namespace}"
                )
                raise _setup_error(message, error) from exc
            raise error from exc

    async def _read_list(self) -> tuple[list[RemediationRecord], str]:
        """Read all chunks of the list; return the records and the resourceVersion of the list."""
        records: list[RemediationRecord] = []
        parameters = {"limit": str(_CHUNK)}
        while True:
            found = await self._get(f"{self._collection}?{urlencode(parameters)}")
            records += [RemediationRecord.from_object(obj) for obj in found.get("items") or ()]
            metadata = found["metadata"]
            following = metadata.get("continue")
            if not following:
                return records, str(int(metadata["resourceVersion"]))
            parameters["continue"] = following

    async def _get(self, target: str) -> dict[str, Any]:
        reply = await self._transport.send("GET", target, _ACCEPT)
        if not 200 <= reply.status < 300:
            raise ErrorReply(reply.status, reply.headers, reply.body)
        return dict(orjson.loads(reply.body))

    async def _watch(self, *, is_sign_of_life: bool) -> None:
        """Apply events until the watch ends cleanly.

        Args:
            is_sign_of_life: Whether the begin of the watch is a sign of life of the index.
        """
        version = self.index.resource_version
        parameters = urlencode({"watch": "true", "timeoutSeconds": _WATCH_SECONDS, "resourceVersion": version})
        try:
            async with (
                asyncio.timeout(_WATCH_SECONDS + _WATCH_GRACE),  # a stream has no other limit
                self._transport.stream("GET", f"{self._collection}?{parameters}", _ACCEPT) as response,
            ):
                if not 200 <= response.status < 300:
                    reply = await response.reply()
                    raise ErrorReply(reply.status, reply.headers, reply.body)
                self._has_opened = True
                if is_sign_of_life:
                    self.index.mark_alive()
                held = b""
                async for chunk in response.chunks():
                    *lines, held = (held + chunk).split(b"\n")  # one JSON object per line
                    for line in lines:
                        event = orjson.loads(line)
                        if event["type"] == "ERROR":
                            raise ErrorReply(None, {}, event["object"])
                        self.index.apply(event["type"], event["object"])
                if held:
                    raise ValueError(f"its last line is incomplete: {held[:80]!r}")
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
