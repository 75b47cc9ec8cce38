"""DataStorageClient: one DataStorage over HTTP; deliver a batch, query, ask whether it is there."""

import encodings.idna  # noqa: F401 - see httpcore
import os
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Unpack

import httpcore  # noqa: F401 - httpx loads it with the first connection; a fork meanwhile would find half of it
import httpx

from signal_gateway._idle import IDLE_SECONDS
from signal_gateway._tls import tls_for_plain_http
from signal_gateway.audit.client.query import (
    AuditFilters,
    EventPage,
    Limits,
    parameters,
    read_limits,
    read_lines,
    read_page,
)
from signal_gateway.audit.client.results import BatchUndelivered, DeliveryResult, describe, read_result
from signal_gateway.audit.client.token import checked_token
from signal_gateway.audit.client.url import checked_url
from signal_gateway.audit.errors import DataStorageUnavailable, TokenRefused
from signal_gateway.clock import Clock, SystemClock
from signal_gateway.errors import AuditError

__all__ = ["AuditFilters", "CallDepth", "DataStorageClient", "EventPage", "Limits"]

_EVENTS = "/api/v1/audit/events"
_BATCH = "/api/v1/audit/events/batch"
_EXPORT = "/api/v1/audit/export"
_LIMITS = "/api/v1/audit/limits"
_MAX_PAGE = 1000
_POOL = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=IDLE_SECONDS)
_JSON = {"content-type": "application/json"}
_SCOPE = re.compile(r'\bscope="([^"]*)"')  # of a WWW-Authenticate header, RFC 6750


class CallDepth(threading.local):
    """How many calls of a client a thread is inside of."""

    depth = 0


class DataStorageClient:
    """Talks to one DataStorage. Any thread may call it; connections are made when first needed.

    It reads no environment variables: no proxy, no default URL. A forked child gets connections of its own.

    Args:
        url: Where DataStorage is, such as `http://127.0.0.1:8080`; a path in front of `/api` is kept.
        token: Bearer token, if it wants one.
        timeout: Seconds for each phase of a call (connect, write, read), and for a response body as a whole.
        source: Where the URL came from, for error messages: `argument`, `--gateway-datastorage-url`, ….
        clock: For a `Retry-After` that is a date.

    Attributes:
        calls: How deep the current thread is inside of calls; for whoever must not be caused by one.

    Raises:
        ConfigurationError: The URL or the token can't be used.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = 10.0,
        source: str = "argument",
        clock: Clock | None = None,
    ) -> None:
        self._url = checked_url(url, source)
        self._headers = {} if token is None else {"authorization": f"Bearer {checked_token(token, self._url)}"}
        self._timeout = timeout
        self._source = source
        # here and not with the first connection: a child forked meanwhile would wait for OpenSSL's lock for ever
        self._tls = _tls_for(self._url)
        self._clock = clock or SystemClock()
        self.calls = CallDepth()
        # by process: a forked child must not touch its parent's connections, nor a lock over them
        self._connections: dict[int, httpx.Client] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r}, source={self._source!r})"

    @property
    def url(self) -> str:
        """The URL, without a slash at its end."""
        return self._url

    @property
    def source(self) -> str:
        """Where the URL came from."""
        return self._source

    @property
    def calling(self) -> bool:
        """Whether this very thread is inside a call of this client."""
        return self.calls.depth > 0

    def deliver(self, batch: bytes, count: int) -> DeliveryResult:
        """Send a batch and say what became of it; a server that can't be reached is an answer, too.

        Args:
            batch: JSON array of events.
            count: How many there are in it.
        """
        try:
            response = self._request("POST", _BATCH, content=batch, headers=_JSON)
        except httpx.RequestError as exc:
            return BatchUndelivered(_cause(exc))
        return read_result(response.status_code, response.headers, response.content, count=count, now=self._clock.now())

    def query(
        self,
        *,
        limit: int = 50,
        offset: int = 0,
        cursor: str | None = None,
        ascending: bool = False,
        **filters: Unpack[AuditFilters],
    ) -> EventPage:
        """Ask for one page of events.

        Args:
            limit: Most events on the page, 1 to 1000.
            offset: How many to pass over.
            cursor: Where the page begins, from the page before; instead of `offset`.
            ascending: Oldest first; newest first otherwise.
            **filters: What to ask for.

        Raises:
            DataStorageUnavailable: No DataStorage answers.
            AuditError: It refuses the query; the message has its reason.
        """
        params = parameters(filters) | {"limit": str(limit)}
        if ascending:
            params["order"] = "asc"
        if cursor is not None:
            params["cursor"] = cursor
        elif offset:
            params["offset"] = str(offset)
        return self._page(params, self._timeout)

    def events(self, **filters: Unpack[AuditFilters]) -> Iterator[dict[str, Any]]:
        """Yield every event that matches, oldest first, page after page.

        Args:
            **filters: What to ask for.

        Raises:
            DataStorageUnavailable: No DataStorage answers.
            AuditError: It refuses the query; the message has its reason.
        """
        for page in self.pages(ascending=True, **filters):
            yield from page.events

    def pages(
        self, *, limit: int | None = None, ascending: bool = False, **filters: Unpack[AuditFilters]
    ) -> Iterator[EventPage]:
        """Yield page after page, of at most 1000 events each.

        Args:
            limit: Most events in all; without one, every event that matches.
            ascending: Oldest first; newest first otherwise.
            **filters: What to ask for.

        Raises:
            DataStorageUnavailable: No DataStorage answers.
            AuditError: It refuses the query; the message has its reason.
        """
        passed = 0
        cursor: str | None = None
        while True:
            most = _MAX_PAGE if limit is None else min(_MAX_PAGE, limit - passed)
            page = self.query(limit=most, offset=passed, cursor=cursor, ascending=ascending, **filters)
            yield page
            passed += len(page.events)
            if not page.has_more or passed == limit:
                return
            if not page.events:
                raise AuditError(
                    f"DataStorage at {self._url} says that there is more than {passed} events, and gave none"
                )
            cursor = page.cursor

    def export(self, **filters: Unpack[AuditFilters]) -> Iterator[dict[str, Any]]:
        """Yield every event that matches, oldest first, from one answer as it comes in; it is never held as a whole.

        A DataStorage that has no export is asked page after page, as `events` does.

        Args:
            **filters: What to ask for.

        Raises:
            DataStorageUnavailable: No DataStorage answers.
            AuditError: It refuses the query, the message has its reason; or, a `DataStorageUnavailable`, too, the
                answer ends before it is complete, and the message says how many events came.
        """
        params = parameters(filters) | {"order": "asc"}
        connection = self._connection()
        try:
            with self.inside():
                response = connection.send(
                    connection.build_request("GET", self._url + _EXPORT, params=params), stream=True
                )
        except httpx.RequestError as exc:
            raise self._unavailable(_cause(exc), answered=False) from exc
        try:
            if response.status_code == 200:
                yield from self._exported(response)
                return
            if response.status_code != 404:
                raise self._refusal(self._read(response), params)
        finally:
            response.close()
        yield from self.events(**filters)

    def limits(self) -> Limits | None:
        """Ask how much this DataStorage takes.

        Returns:
            None from a DataStorage that doesn't tell.

        Raises:
            DataStorageUnavailable: No DataStorage answers.
        """
        try:
            response = self._request("GET", _LIMITS)
        except httpx.RequestError as exc:
            raise self._unavailable(_cause(exc), answered=False) from exc
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise self._refusal(response, {})
        try:
            return read_limits(response.content)
        except ValueError as exc:
            raise self._unexpected_server(response, exc) from exc

    def check(self, timeout: float = 5.0) -> None:
        """Make sure that a DataStorage answers.

        Args:
            timeout: Seconds, for all of it.

        Raises:
            DataStorageUnavailable: None does, or a stranger; the message names URL, source and cause.
            AuditError: It refuses the query.
        """
        self._page({"limit": "1"}, timeout)

    def check_delivery(self, timeout: float = 5.0) -> None:
        """Make sure that a DataStorage answers that takes this client's events; its token need not be for reading.

        Args:
            timeout: Seconds, for each of at most two questions.

        Raises:
            DataStorageUnavailable: None does, or a stranger; the message names URL, source and cause.
            AuditError: It refuses the query.
        """
        try:
            self.check(timeout)
        except TokenRefused as exc:
            if exc.missing_scope != "read":
                raise
        if not self._headers:
            return
        try:
            response = self._request("POST", _BATCH, content=b"[]", headers=_JSON, timeout=timeout)
        except httpx.RequestError as exc:
            raise self._unavailable(_cause(exc), answered=False) from exc
        if response.status_code in (401, 403):  # anything else is about a batch without events
            raise self._refusal(response, {})

    def close(self) -> None:
        """Close the connections. The client stays usable: its next call opens new ones."""
        connection = self._connections.pop(os.getpid(), None)
        if connection is not None:
            connection.close()

    def _page(self, params: Mapping[str, str], timeout: float) -> EventPage:
        try:
            response = self._request("GET", _EVENTS, params=params, timeout=timeout)
        except httpx.RequestError as exc:
            raise self._unavailable(_cause(exc), answered=False) from exc
        if response.status_code != 200:
            raise self._refusal(response, params)
        try:
            return read_page(response.content)
        except ValueError as exc:
            raise self._unexpected_server(response, exc) from exc

    def _exported(self, response: httpx.Response) -> Iterator[dict[str, Any]]:
        if response.headers.get("content-type", "").partition(";")[0].strip() != "application/x-ndjson":
            raise self._unexpected_server(self._read(response), ValueError("it is no NDJSON"))
        count = 0
        try:
            for event in read_lines(self._chunks(response)):
                yield event
                count += 1
        except (httpx.RequestError, ValueError) as exc:
            raise DataStorageUnavailable(
                f"the export of DataStorage at {self._url} ended early, after {count} events: {_cause(exc)}",
                answered=True,
            ) from exc

    def _chunks(self, response: httpx.Response) -> Iterator[bytes]:
        chunks = response.iter_bytes()
        while True:
            with self.inside():  # but not while whoever reads the events has one
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    def _read(self, response: httpx.Response) -> httpx.Response:
        try:
            with self.inside():
                return _whole(response, time.monotonic() + self._timeout)
        except httpx.RequestError as exc:
            raise self._unavailable(_cause(exc), answered=True) from exc

    def _refusal(self, response: httpx.Response, asked: Mapping[str, str]) -> AuditError:
        answered = describe(response.status_code, response.headers, response.content)
        if response.status_code in (400, 422):
            return AuditError(f"DataStorage at {self._url} {answered} to the query {dict(asked)}")
        if response.status_code in (401, 403):
            found = _SCOPE.search(response.headers.get("www-authenticate", ""))
            scope = found[1] if found and self._headers else None
            wants = "wants a token" if not self._headers else "refuses the token"
            which = "" if scope is None else f", which lacks the scope {scope!r}"
            return TokenRefused(
                f"DataStorage at {self._url} (from {self._source}) {wants}{which}: it {answered}", missing_scope=scope
            )
        return self._unavailable(answered, answered=True)

    def _unexpected_server(self, response: httpx.Response, exc: ValueError) -> DataStorageUnavailable:
        answered = describe(response.status_code, response.headers, response.content)
        return self._unavailable(f"{answered}, but {exc}: something else lives there", answered=True)

    def _unavailable(self, cause: str, *, answered: bool) -> DataStorageUnavailable:
        return DataStorageUnavailable(
            f"no DataStorage at {self._url} (from {self._source}): {cause}", answered=answered
        )

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> httpx.Response:
        deadline = time.monotonic() + (timeout or self._timeout)
        # to connect and to wait for the answer come one after the other, so that they share a total
        phases = httpx.USE_CLIENT_DEFAULT if timeout is None else httpx.Timeout(timeout / 2)
        with (
            self.inside(),
            self._connection().stream(
                method, self._url + path, params=params, content=content, headers=headers, timeout=phases
            ) as response,
        ):
            return _whole(response, deadline)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Count what this thread does as a call of this client."""
        self.calls.depth += 1
        try:
            yield
        finally:
            self.calls.depth -= 1

    def _connection(self) -> httpx.Client:
        process = os.getpid()
        connection = self._connections.get(process)
        if connection is None:
            mine = httpx.Client(
                headers=self._headers, timeout=self._timeout, verify=self._tls, trust_env=False, limits=_POOL
            )
            connection = self._connections.setdefault(process, mine)
            if connection is not mine:
                mine.close()
        return connection


def _tls_for(url: str) -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False) if url.lower().startswith("https:") else tls_for_plain_http()


def _whole(response: httpx.Response, deadline: float) -> httpx.Response:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the response body takes too long", request=response.request)
    return httpx.Response(response.status_code, headers=_without_encoding(response.headers), content=bytes(body))


def _cause(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__


def _without_encoding(headers: httpx.Headers) -> httpx.Headers:
    kept = headers.copy()
    for name in ("content-encoding", "content-length", "transfer-encoding"):
        kept.pop(name, None)
    return kept
