"""watch: a stream of changes, from a past revision or from now."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from starlette.types import Receive, Send

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.resources import Resource
from signal_gateway.apiserver.apimachinery.selectors import Selector
from signal_gateway.apiserver.apimachinery.status import Cause, expired
from signal_gateway.apiserver.handlers.negotiation import Representation, negotiate_representation, to_representation
from signal_gateway.apiserver.handlers.reads import (
    invalid_list_options,
    list_selector,
    render_object,
    requested_revision,
)
from signal_gateway.apiserver.handlers.request_info import RequestInfo
from signal_gateway.apiserver.handlers.responses import ClientConnection
from signal_gateway.apiserver.storage.change_log import Change, ChangeLog, StoredObject
from signal_gateway.apiserver.storage.store import ObjectStore

__all__ = ["WatchHandler"]

_BATCH = 100
_BOOKMARK_INTERVAL = 60.0
_INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class WatchHandler:
    """Handles watches and keeps track of the open ones. Runs on the server's loop.

    A watch ends after its `timeoutSeconds`, when its client disconnects, when its resource is no longer served, or when
    the server stops. It reads the change log as fast as its client reads the stream. A client that falls behind the
    log receives an ERROR event with code 410.

    Args:
        store: The objects of the cluster.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._open: set[_Watch] = set()
        self._is_stopped = False

    def __len__(self) -> int:
        return len(self._open)

    def stop(self) -> None:
        """End all open watches, and every later one after its initial events."""
        self._is_stopped = True
        for watch in self._open:
            watch.end()

    def drop_connections(self) -> None:
        """Close the connections of all open watches, as a network failure does."""
        for watch in self._open:
            watch.drop_connection()

    async def serve(
        self,
        resource: Resource,
        request: RequestInfo,
        receive: Receive,
        send: Send,
        *,
        connection: ClientConnection,
    ) -> None:
        """Serve a watch until it ends.

        Args:
            resource: The watched resource.
            request: The watch.
            receive: Receives the disconnect of the client.
            send: Sends the stream.
            connection: The connection of the client.

        Raises:
            StatusError: 400, 422 or 500 for invalid parameters, before the response starts.
        """
        selector = list_selector(resource, request)
        start = _watch_start(request)
        timeout_seconds = request.number("timeoutSeconds")
        log = self._store.log(resource.key)
        with log.listening() as changed:
            watch = _Watch(self._store, log, resource, request, selector, changed, connection)
            if self._is_stopped:
                watch.end()
            headers = [(b"content-type", b"application/json")]
            with self._tracked(watch):
                disconnect = asyncio.create_task(_end_on_disconnect(receive, watch))
                try:
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                    await watch.run(start, timeout_seconds, send)
                finally:
                    disconnect.cancel()
                    with suppress(asyncio.CancelledError):
                        await disconnect
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    @contextmanager
    def _tracked(self, watch: "_Watch") -> Iterator[None]:
        self._open.add(watch)
        try:
            yield
        finally:
            self._open.discard(watch)


async def _end_on_disconnect(receive: Receive, watch: "_Watch") -> None:
    """End the watch when its client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass
    watch.end()


class _Watch:
    """One open watch and its position in the change log."""

    def __init__(
        self,
        store: ObjectStore,
        log: ChangeLog,
        resource: Resource,
        request: RequestInfo,
        selector: Selector,
        changed: asyncio.Event,
        connection: ClientConnection,
    ) -> None:
        self._connection = connection
        self._store = store
        self._log = log
        self._resource = resource
        self._namespace = request.namespace
        self._has_bookmarks = request.flag("allowWatchBookmarks")
        self._representation: Representation = negotiate_representation(request)
        self._selector = selector
        self._changed = changed
        self._position = 0
        self._is_over = False

    def drop_connection(self) -> None:
        """End the stream and close the connection of its client, if the HTTP server can do so."""
        self._connection.drop()
        self.end()

    def end(self) -> None:
        """End the stream after the changes that are already in the log."""
        self._is_over = True
        self._changed.set()

    async def run(self, start: "_WatchStart", timeout_seconds: int, send: Send) -> None:
        """Send the initial events, then each change.

        Args:
            start: Start of the watch.
            timeout_seconds: Seconds after which the stream ends; 0 for no timeout.
            send: Sends the stream; waits while the client does not read.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds if timeout_seconds else float("inf")
        next_bookmark = loop.time() + _BOOKMARK_INTERVAL
        self._position = start.revision or self._store.revision
        if start.has_initial_events:
            await self._send_initial_events(send)
        if start.has_initial_events_end:
            await _send(send, [self._bookmark(annotations={_INITIAL_EVENTS_END: "true"})])

        while True:
            self._changed.clear()
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
                    await self._changed.wait()

    async def _send_initial_events(self, send: Send) -> None:
        objects = self._store.list(self._resource.key, self._namespace)
        self._position = self._store.revision
        lines = [
            self._line("ADDED", render_object(self._resource, stored))
            for stored in objects
            if self._selector.matches(stored.object)
        ]
        for first in range(0, len(lines), _BATCH):
            await _send(send, lines[first : first + _BATCH])

    async def _send_changes(self, send: Send) -> bool:
        """Send the changes in the log, and return whether the watch may continue."""
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
        """Return the event for a change. An object that enters the selection is added; one that leaves is deleted."""
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
class _WatchStart:
    """The start of a watch.

    Attributes:
        revision: Last revision that the client has seen; 0 for the current one.
        has_initial_events: Whether the watch starts with an ADDED event for each existing object.
        has_initial_events_end: Whether a bookmark follows the initial events.
    """

    revision: int
    has_initial_events: bool
    has_initial_events_end: bool


def _watch_start(request: RequestInfo) -> _WatchStart:
    """Return the start of a watch from its parameters.

    Raises:
        StatusError: 422 for contradictory parameters, 500 for a resourceVersion that is not a number.
    """
    revision = requested_revision(request)
    match, initial = request.query.get("resourceVersionMatch", ""), request.query.get("sendInitialEvents", "")
    if not initial:
        if match:
            detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            raise invalid_list_options(Cause.forbidden("resourceVersionMatch", detail))
        return _WatchStart(revision, has_initial_events=revision == 0, has_initial_events_end=False)
    if match != "NotOlderThan":
        if not match:
            detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            raise invalid_list_options(Cause.forbidden("resourceVersionMatch", detail))
        raise invalid_list_options(Cause.not_supported("resourceVersionMatch", match, ["NotOlderThan"]))
    if not request.flag("sendInitialEvents"):
        return _WatchStart(revision, has_initial_events=False, has_initial_events_end=False)
    return _WatchStart(0, has_initial_events=True, has_initial_events_end=request.flag("allowWatchBookmarks"))


def _line(type: str, object: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (type.encode(), object)


async def _send(send: Send, lines: list[bytes]) -> None:
    await send({"type": "http.response.body", "body": b"".join(lines), "more_body": True})
