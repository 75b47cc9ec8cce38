"""watch: a stream of changes, from the past or from now, until someone ends it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from starlette.types import Receive, Send

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.resources import Resource
from signal_gateway.apiserver.apimachinery.selectors import Selector
from signal_gateway.apiserver.apimachinery.status import Cause, expired
from signal_gateway.apiserver.handlers.negotiation import negotiate_representation, to_representation
from signal_gateway.apiserver.handlers.reads import (
    invalid_list_options,
    list_selector,
    render_object,
    requested_revision,
)
from signal_gateway.apiserver.handlers.request_info import RequestInfo
from signal_gateway.apiserver.storage.store import Change, ChangeLog, ObjectStore, StoredObject

__all__ = ["WatchHandler"]

_BATCH = 100
_BOOKMARK_INTERVAL = 60.0
_INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class WatchHandler:
    """The open watches of a cluster. Runs on the server's loop.

    A watch ends when its `timeoutSeconds` are over, its client leaves, its resource is served no longer, or the
    server stops. It reads the log at the speed at which its client takes the stream; one that is too slow is told
    so by an ERROR event with code 410.

    Args:
        store: The cluster's objects.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._open: set[_Watch] = set()
        self._is_stopped = False

    def __len__(self) -> int:
        return len(self._open)

    def stop(self) -> None:
        """End every open watch, and each later one as soon as it has sent what is there already."""
        self._is_stopped = True
        for watch in self._open:
            watch.end()

    def cut(self) -> None:
        """Close the connections of all open watches, as a network does that fails."""
        for watch in self._open:
            watch.cut()

    async def serve(
        self,
        resource: Resource,
        request: RequestInfo,
        receive: Receive,
        send: Send,
        *,
        abort: Callable[[], None] | None = None,
    ) -> None:
        """Answer a watch, and return when it has ended.

        Args:
            resource: Whose changes.
            request: The watch.
            receive: Tells when its client has left.
            send: Where its stream goes.
            abort: Closes its connection, if that can be done.

        Raises:
            StatusError: 400 or 500 for parameters that can't be read; nothing has been sent then.
        """
        selector = list_selector(resource, request)
        begin = _beginning(request)
        timeout_seconds = request.number("timeoutSeconds")
        log = self._store.log(resource.key)
        with log.listening() as news:
            watch = _Watch(self._store, log, resource, request, selector, news, abort)
            if self._is_stopped:
                watch.end()
            headers = [(b"content-type", b"application/json")]
            with self._tracked(watch):
                departure = asyncio.create_task(_departure(receive, watch))
                try:
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                    await watch.run(begin, timeout_seconds, send)
                finally:
                    departure.cancel()
                    with suppress(asyncio.CancelledError):
                        await departure
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    @contextmanager
    def _tracked(self, watch: "_Watch") -> Iterator[None]:
        self._open.add(watch)
        try:
            yield
        finally:
            self._open.discard(watch)


async def _departure(receive: Receive, watch: "_Watch") -> None:
    """End the watch when its client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
    watch.end()


class _Watch:
    """One stream and how far it has come."""

    def __init__(
        self,
        store: ObjectStore,
        log: ChangeLog,
        resource: Resource,
        request: RequestInfo,
        selector: Selector,
        news: asyncio.Event,
        abort: Callable[[], None] | None,
    ) -> None:
        self._abort = abort
        self._store = store
        self._log = log
        self._resource = resource
        self._namespace = request.namespace
        self._has_bookmarks = request.flag("allowWatchBookmarks")
        self._representation = negotiate_representation(request)
        self._selector = selector
        self._news = news
        self._position = 0
        self._is_over = False

    def cut(self) -> None:
        """Close its connection, if that can be done, and end."""
        if self._abort is not None:
            self._abort()
        self.end()

    def end(self) -> None:
        """Make the stream end after what it has still to send."""
        self._is_over = True
        self._news.set()

    async def run(self, begin: "_Beginning", timeout_seconds: int, send: Send) -> None:
        """Send what there is from a revision on, then what comes.

        Args:
            begin: Where to begin.
            timeout_seconds: Seconds after which the stream ends; 0 for none.
            send: Where to send it; waits while the client does not read.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds if timeout_seconds else float("inf")
        next_bookmark = loop.time() + _BOOKMARK_INTERVAL
        self._position = begin.revision or self._store.revision
        if begin.has_present:
            await self._send_present(send)
        if begin.has_end_of_present:
            await _send(send, [self._bookmark(annotations={_INITIAL_EVENTS_END: "true"})])

        while True:
            self._news.clear()
            if not await self._send_changes(send):
                return
            now = loop.time()
            is_over = self._is_over or self._log.is_closed or now >= deadline
            if self._has_bookmarks and (now >= min(next_bookmark, deadline)):
                await _send(send, [self._bookmark()])
                next_bookmark = now + _BOOKMARK_INTERVAL
            if is_over:
                return
            wake_at = min(deadline, next_bookmark if self._has_bookmarks else deadline)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(None if wake_at == float("inf") else wake_at):
                    await self._news.wait()

    async def _send_present(self, send: Send) -> None:
        present = self._store.list(self._resource.key, self._namespace)
        self._position = self._store.revision
        lines = [
            self._line("ADDED", render_object(self._resource, stored))
            for stored in present
            if self._selector.matches(stored.object)
        ]
        for first in range(0, len(lines), _BATCH):
            await _send(send, lines[first : first + _BATCH])

    async def _send_changes(self, send: Send) -> bool:
        """Send what the log has; return whether the stream may go on."""
        while True:
            if self._position < self._log.start:
                error = expired(f"too old resource version: {self._position} ({self._log.start})")
                await _send(send, [_line("ERROR", encode(error.to_status()))])
                return False
            changes = self._log.after(self._position, limit=_BATCH)
            if not changes:
                return True
            self._position = changes[-1].revision
            lines = [line for change in changes if (line := self._event(change)) is not None]
            if lines:
                await _send(send, lines)

    def _event(self, change: Change) -> bytes | None:
        """Return a change as this watch sees it: what leaves the selection is deleted, what enters it is added."""
        if self._namespace and change.current.namespace != self._namespace:
            return None
        was_selected = self._is_selected(change.previous)
        is_selected = change.type != "DELETED" and self._is_selected(change.current)
        if is_selected:
            return self._line("MODIFIED" if was_selected else "ADDED", render_object(self._resource, change.current))
        if not was_selected or change.previous is None:
            return None
        if change.type == "DELETED":
            return self._line("DELETED", render_object(self._resource, change.current))
        metadata = change.previous.object["metadata"] | {"resourceVersion": str(change.revision)}
        last = self._resource.from_stored(change.previous.object) | {"metadata": metadata}
        return self._line("DELETED", encode(last))

    def _is_selected(self, stored: StoredObject | None) -> bool:
        return stored is not None and self._selector.matches(stored.object)

    def _bookmark(self, *, annotations: dict[str, str] | None = None) -> bytes:
        self._position = max(self._position, self._store.revision)
        metadata: JsonObject = {"resourceVersion": str(self._position), "creationTimestamp": None}
        if annotations is not None:
            metadata["annotations"] = annotations
        bookmark = {"kind": self._resource.kind, "apiVersion": self._resource.api_version, "metadata": metadata}
        return self._line("BOOKMARK", encode(bookmark))

    def _line(self, type: str, object: bytes) -> bytes:
        return _line(type, to_representation(object, self._representation))


@dataclass(frozen=True, slots=True)
class _Beginning:
    """Where a watch begins.

    Attributes:
        revision: The last that the client knows; 0 for now.
        has_present: Whether it begins with everything there is, as if just created.
        has_end_of_present: Whether a bookmark says where that ends.
    """

    revision: int
    has_present: bool
    has_end_of_present: bool


def _beginning(request: RequestInfo) -> _Beginning:
    """Read where a watch is to begin.

    Raises:
        StatusError: 422 for parameters that contradict each other, 500 for a resourceVersion that is no number.
    """
    revision = requested_revision(request)
    match, initial = request.query.get("resourceVersionMatch", ""), request.query.get("sendInitialEvents", "")
    if not initial:
        if match:
            why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            raise invalid_list_options(Cause.forbidden("resourceVersionMatch", why))
        return _Beginning(revision, has_present=revision == 0, has_end_of_present=False)
    if match != "NotOlderThan":
        if not match:
            why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            raise invalid_list_options(Cause.forbidden("resourceVersionMatch", why))
        raise invalid_list_options(Cause.not_supported("resourceVersionMatch", match, ["NotOlderThan"]))
    if not request.flag("sendInitialEvents"):
        return _Beginning(revision, has_present=False, has_end_of_present=False)
    return _Beginning(0, has_present=True, has_end_of_present=request.flag("allowWatchBookmarks"))


def _line(type: str, object: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (type.encode(), object)


async def _send(send: Send, lines: list[bytes]) -> None:
    await send({"type": "http.response.body", "body": b"".join(lines), "more_body": True})
