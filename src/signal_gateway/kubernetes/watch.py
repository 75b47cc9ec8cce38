"""Keep an index up to date: list, watch, and start again, until cancelled."""

import asyncio
import logging
import math
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final, Never, cast

import httpx2
from lightkube import AsyncClient, SingleConfig

from signal_gateway.kubernetes.connection import lightkube_client
from signal_gateway.kubernetes.crd import crd_path
from signal_gateway.kubernetes.errors import (
    LIGHTKUBE_FAILURES,
    ApiUnavailable,
    KubernetesError,
    KubernetesSetupError,
    NotFound,
    classify,
)
from signal_gateway.kubernetes.index import RemediationRequestIndex
from signal_gateway.kubernetes.remediation_request import KIND, PLURAL, RemediationRecord
from signal_gateway.kubernetes.resources import Namespace, RemediationRequest
from signal_gateway.kubernetes.watch_lines import EscapedLines

__all__ = ["follow"]

_log = logging.getLogger(__name__)

_WATCH_SECONDS: Final = 30
_WATCH_GRACE: Final = 10.0
_SHORT_WATCH: Final = 1.0
_CHUNK: Final = 500
_INITIAL_BACKOFF: Final = 0.1
_MAX_BACKOFF: Final = 2.0
_MAX_RETRY_AFTER: Final = 30.0


async def follow(
    index: RemediationRequestIndex,
    *,
    config: SingleConfig,
    pool: httpx2.AsyncBaseTransport,
    on_synced: Callable[[], None],
) -> Never:
    """Feed an index until cancelled; the watch's connection is closed before the cancellation gets through.

    A watch that ends cleanly is started again where it was. One that fails leads to a new list: where a watch goes on
    behind a gap, nobody tells when it has caught up. A failure, and a watch that ends at once without a word, is
    followed by a wait that grows from 0.1 to 2 seconds, or by the one that the API asks for, at most 30 seconds.

    Signs of life are a complete list, an event, and a watch opened after one that ended cleanly.

    Args:
        index: What to feed.
        config: The cluster.
        pool: Its connections; left open.
        on_synced: Called after each complete list.

    Raises:
        KubernetesError: Before the first list was complete something failed that trying again won't mend; a
            KubernetesSetupError says what is missing and the `kubectl` line that makes it.
    """
    clock = asyncio.get_running_loop().time
    transport = _WatchTransport(pool)
    client = lightkube_client(config, transport)
    must_list = True
    has_ended_cleanly = False
    failures = 0
    while True:
        watched_since, heard_up_to = math.inf, ""
        error: KubernetesError | None = None
        try:
            if must_list:
                await _list(index, client, is_first=not index.is_synced)
                on_synced()
                must_list = False
            transport.expect_watch(on_open=index.mark_alive if has_ended_cleanly else None)
            watched_since, heard_up_to = clock(), index.resource_version
            has_ended_cleanly = False
            await _watch(index, client)
            has_ended_cleanly = True
        except KubernetesError as exc:
            if not index.is_synced and not exc.is_transient:
                raise
            error = exc
            must_list = True
            index.mark_failed(exc)

        has_watched = watched_since < math.inf and transport.has_opened
        has_lasted = clock() - watched_since >= _SHORT_WATCH
        if has_watched and (has_lasted or index.resource_version != heard_up_to):
            failures = 0
            if error is None:
                continue
        failures += 1
        if error is not None and failures == 1:
            _log.warning("lost sight of %s in namespace %s: %s", PLURAL, index.namespace, error)
        await asyncio.sleep(_wait(failures, error))


async def _list(index: RemediationRequestIndex, client: AsyncClient, *, is_first: bool) -> None:
    if is_first:
        await _identify(index, client)
    index.begin_listing()
    try:
        listing = client.list(RemediationRequest, namespace=index.namespace, chunk_size=_CHUNK)
        records = [RemediationRecord.from_object(obj) async for obj in listing]
        resource_version = str(int(listing.resourceVersion))
    except LIGHTKUBE_FAILURES as exc:
        error = classify(exc, "list", PLURAL)
        if is_first and isinstance(error, NotFound):
            raise KubernetesSetupError(
                f"the cluster does not know the kind {KIND}: run kubectl apply -f {crd_path()}",
                verb=error.verb,
                resource=error.resource,
                status=error.status,
                reason=error.reason,
            ) from exc
        raise error from exc
    index.replace(records, resource_version)


async def _identify(index: RemediationRequestIndex, client: AsyncClient) -> None:
    try:
        index.identify(await client.get(Namespace, index.namespace))
    except LIGHTKUBE_FAILURES as exc:
        error = classify(exc, "get", "namespaces")
        if isinstance(error, NotFound):
            raise KubernetesSetupError(
                f"the controller namespace {index.namespace} does not exist: "
                f"run kubectl create namespace {index.namespace}",
                verb=error.verb,
                resource=error.resource,
                status=error.status,
                reason=error.reason,
            ) from exc
        raise error from exc


async def _watch(index: RemediationRequestIndex, client: AsyncClient) -> None:
    """Take over events until the watch ends cleanly."""
    events = client.watch(
        RemediationRequest,
        namespace=index.namespace,
        server_timeout=_WATCH_SECONDS,
        resource_version=index.resource_version,
    )
    try:
        # lightkube's watch has no read timeout: a peer that vanished would never be missed
        async with (
            asyncio.timeout(_WATCH_SECONDS + _WATCH_GRACE),
            aclosing(cast(AsyncGenerator[tuple[str, dict[str, Any]]], events)) as stream,
        ):
            async for event_type, obj in stream:
                index.apply(event_type, obj)
    except _WatchEnded:
        return
    except TimeoutError as exc:
        raise ApiUnavailable(
            f"the watch of {PLURAL} did not end after {_WATCH_SECONDS} seconds as it was asked to: starting another",
            verb="watch",
            resource=PLURAL,
        ) from exc
    except LIGHTKUBE_FAILURES as exc:
        raise classify(exc, "watch", PLURAL) from exc


def _wait(failures: int, error: KubernetesError | None) -> float:
    backoff = min(_INITIAL_BACKOFF * 2.0 ** min(failures - 1, 10), _MAX_BACKOFF) * random.uniform(0.5, 1)
    asked_for = min((error.retry_after if error is not None else None) or 0.0, _MAX_RETRY_AFTER)
    return max(backoff, asked_for)


class _WatchEnded(Exception):  # noqa: N818 - an outcome, not an error
    """The server ended the watch cleanly."""


class _WatchTransport(httpx2.AsyncBaseTransport):
    """Carries requests to a pool that others share, and shows what lightkube's watch hides.

    When a watch ends, lightkube's generator sends the next request unseen. Here that is the sign of a clean end,
    so that `follow` alone starts watches, and it is told when one is open.
    """

    def __init__(self, pool: httpx2.AsyncBaseTransport) -> None:
        self._pool = pool
        self._on_open: Callable[[], None] | None = None
        self.has_opened = False

    def expect_watch(self, *, on_open: Callable[[], None] | None) -> None:
        """Let one more watch be opened, and say what to call then."""
        self.has_opened = False
        self._on_open = on_open

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; closing this transport leaves the pool open."""
        is_watch = "watch" in request.url.params
        if is_watch and self.has_opened:
            raise _WatchEnded
        if is_watch:
            request.headers["Accept-Encoding"] = "identity"  # its lines are looked at below
        response = await self._pool.handle_async_request(request)
        if is_watch and response.is_success:
            assert isinstance(response.stream, httpx2.AsyncByteStream), "an asynchronous transport answers so"
            response.stream = EscapedLines(response.stream)
            self.has_opened = True
            if self._on_open is not None:
                self._on_open()
        return response
