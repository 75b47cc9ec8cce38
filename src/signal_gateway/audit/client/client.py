"""DataStorageClient: HTTP client of one DataStorage, for delivery, queries and checks."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, Unpack
from urllib.parse import urlencode

import orjson

from signal_gateway._machine import machine, primitives
from signal_gateway.audit.client.query import (
    AuditFilters,
    EventPage,
    Limits,
    parameters,
    read_limits,
    read_lines,
    read_page,
)
from signal_gateway.audit.client.results import (
    BATCH_PATH,
    Acknowledgement,
    BatchUndelivered,
    DeliveryResult,
    SentBatch,
    describe,
    read_result,
)
from signal_gateway.audit.client.tls import ClientTls, TlsFiles
from signal_gateway.audit.client.token import ClientToken, checked_token
from signal_gateway.audit.client.transport import Transport, TransportError, TransportResponse
from signal_gateway.audit.client.url import checked_url
from signal_gateway.audit.errors import DataStorageUnavailable, TokenRefused
from signal_gateway.clock import Clock, SystemClock
from signal_gateway.errors import AuditError

__all__ = ["AuditFilters", "CallDepth", "DataStorageClient", "EventPage", "Limits"]

_EVENTS = "/api/v1/audit/events"
_EXPORT = "/api/v1/audit/export"
_LIMITS = "/api/v1/audit/limits"
_MAX_PAGE = 1000
_JSON = {"content-type": "application/json"}
_SCOPE = re.compile(r'\bscope="([^"]*)"')  # of a WWW-Authenticate header, RFC 6750


class CallDepth(Protocol):
    """Number of nested calls of a client in the current thread."""

    depth: int


class _Response(NamedTuple):
    status_code: int
    headers: Mapping[str, str]
    content: bytes


class DataStorageClient:
    """Client of one DataStorage, safe to use from any thread. Connections are opened when needed.

    The client has connections of its own, which a patch of httpx, requests or `http.client` does not reach, and logs no
    calls. It uses no proxy and has no default URL. For `https` it trusts the certificates of the system (OpenSSL reads
    SSL_CERT_FILE and SSL_CERT_DIR) and of certifi, or those of `tls`. It reads changed files again: certificates for
    the next connection, the token for the next call. A forked child has its own connections.

    Args:
        url: URL of DataStorage, such as `http://127.0.0.1:8080`, with an optional path before `/api`.
        token: Bearer token, or the file of one, if DataStorage needs one.
        tls: PEM files for an `https` URL.
        timeout: Seconds for each phase of a call (connect, write, read), and for a response body in total.
        source: Source of the URL, for error messages: `argument`, `--gateway-datastorage-url`, ….
        clock: Clock for a `Retry-After` with a date.
        acknowledgement: Proof that a 201 acknowledges a batch. `event_ids` (default): the ids of its events.
            `event_count`: as many distinct UUIDs, for a DataStorage that assigns ids of its own.

    Attributes:
        calls: Nested calls of the current thread, to detect recursion.

    Raises:
        ConfigurationError: The URL, the token or a TLS file is invalid.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | ClientToken | None = None,
        tls: TlsFiles | None = None,
        timeout: float = 10.0,
        source: str = "argument",
        clock: Clock | None = None,
        acknowledgement: Acknowledgement = "event_ids",
    ) -> None:
        self._acknowledgement: Acknowledgement = acknowledgement
        self._url = checked_url(url, source)
        self._token = checked_token(token, self._url) if isinstance(token, str) else token
        self._tls_files = tls or TlsFiles()
        self._timeout = timeout
        self._source = source
        self._clock = clock or SystemClock()
        self.renew()

    def renew(self) -> None:
        """Begin again with the sockets and the data of threads that fit the process now; for a store only."""
        # not with the first connection: a child forked at that moment would wait for OpenSSL's lock forever
        is_https = self._url.lower().startswith("https:")
        tls = ClientTls(self._tls_files, source=self._source) if is_https else None
        self._transport = Transport(self._url, tls=tls)
        self.calls = _call_depth()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r}, source={self._source!r})"

    @property
    def url(self) -> str:
        """The URL, without a trailing slash."""
        return self._url

    @property
    def source(self) -> str:
        """Source of the URL."""
        return self._source

    @property
    def calling(self) -> bool:
        """Whether the current thread is inside a call of this client."""
        return self.calls.depth > 0

    def deliver(self, batch: bytes, count: int) -> DeliveryResult:
        """Send a batch. A connection error is a result, not an exception.

        Args:
            batch: JSON array of events.
            count: Number of events.
        """
        try:
            response = self._request("POST", BATCH_PATH, content=batch, headers=_JSON)
        except TransportError as exc:
            return BatchUndelivered(_cause(exc))
        return read_result(
            response.status_code,
            response.headers,
            response.content,
            batch=SentBatch(batch, count),
            now=self._clock.now(),
            acknowledgement=self._acknowledgement,
        )

    def query(
        self,
        *,
        limit: int = 50,
        offset: int = 0,
        cursor: str | None = None,
        ascending: bool = False,
        **filters: Unpack[AuditFilters],
    ) -> EventPage:
        """Return one page of matching events.

        Args:
            limit: Maximum events of the page, 1 to 1000.
            offset: Number of events to skip.
            cursor: `cursor` of the previous page, instead of `offset`.
            ascending: Oldest first; newest first otherwise.
            **filters: See `AuditFilters`.

        Raises:
            DataStorageUnavailable: No DataStorage responds.
            AuditError: DataStorage rejected the query; the message has the reason.
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
        """Yield all matching events, oldest first, page by page.

        Args:
            **filters: See `AuditFilters`.

        Raises:
            DataStorageUnavailable: No DataStorage responds.
            AuditError: DataStorage rejected the query; the message has the reason.
        """
        for page in self.pages(ascending=True, **filters):
            yield from page.events

    def pages(
        self, *, limit: int | None = None, ascending: bool = False, **filters: Unpack[AuditFilters]
    ) -> Iterator[EventPage]:
        """Yield pages of at most 1000 matching events each.

        Args:
            limit: Maximum events of all pages; None for all matching events.
            ascending: Oldest first; newest first otherwise.
            **filters: See `AuditFilters`.

        Raises:
            DataStorageUnavailable: No DataStorage responds.
            AuditError: DataStorage rejected the query; the message has the reason.
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
                    f"DataStorage at {self._url} announced more than {passed} events, and returned an empty page"
                )
            cursor = page.cursor

    def export(self, **filters: Unpack[AuditFilters]) -> Iterator[dict[str, Any]]:
        """Yield all matching events, oldest first, from one streamed response.

        For a DataStorage without export, or with one that is a single JSON document, the method yields the events page
        by page, as `events` does.

        Args:
            **filters: See `AuditFilters`.

        Raises:
            DataStorageUnavailable: No DataStorage responds, or the response ended early; the message has the number
                of received events.
            AuditError: DataStorage rejected the query; the message has the reason.
        """
        params = parameters(filters) | {"order": "asc"}
        try:
            with self.inside():
                target = f"{_EXPORT}?{urlencode(params)}"
                response = self._transport.send("GET", target, headers=self._authorization(), timeout=self._timeout)
        except TransportError as exc:
            raise self._unavailable(_cause(exc), answered=False) from exc
        try:
            is_of_another_kind = response.status_code == 200 and _media_type_of(response) == "application/json"
            if response.status_code == 200 and not is_of_another_kind:
                yield from self._exported(response)
                return
            if response.status_code not in (200, 404):
                raise self._error(self._read(response), params)
        finally:
            response.close()
        yield from self.events(**filters)

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        document: object = None,
        timeout: float | None = None,
    ) -> Any:
        """Call an endpoint for which there is no method of its own; return its JSON, or None without a body.

        Args:
            method: The HTTP method.
            path: The path after the URL of DataStorage.
            params: Parameters of the URL.
            document: The body as a JSON value.
            timeout: Seconds of the whole call; `timeout` of the client for each phase by default.

        Raises:
            DataStorageUnavailable: No DataStorage responds.
            AuditError: DataStorage rejected the call; the message has the reason.
        """
        content = None if document is None else orjson.dumps(document)
        headers = None if document is None else _JSON
        try:
            response = self._request(method, path, params=params, content=content, headers=headers, timeout=timeout)
        except TransportError as exc:
            raise self._unavailable(_cause(exc), answered=False) from exc
        if response.status_code not in (200, 201, 204):
            raise self._error(response, params or {})
        try:
            return orjson.loads(response.content) if response.content else None
        except orjson.JSONDecodeError as exc:
            raise self._unexpected_server(response, exc) from exc

    def limits(self) -> Limits | None:
        """Return the limits of this DataStorage; None from a DataStorage that does not tell them.

        Raises:
            DataStorageUnavailable: No DataStorage responds.
        """
        try:
            response = self._request("GET", _LIMITS)
        except TransportError as exc:
            raise self._unavailable(_cause(exc), answered=False) from exc
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise self._error(response, {})
        try:
            return read_limits(response.content)
        except ValueError as exc:
            raise self._unexpected_server(response, exc) from exc

    def check(self, timeout: float = 20.0) -> None:
        """Check that a DataStorage responds.

        Args:
            timeout: Maximum seconds of the check.

        Raises:
            DataStorageUnavailable: No server responds, or an unexpected one; the message has URL, source and cause.
            AuditError: DataStorage rejected the query.
        """
        self._page({"limit": "1"}, timeout)

    def check_delivery(self, timeout: float = 20.0) -> None:
        """Check that a DataStorage responds and authorizes deliveries. The token needs no scope to read.

        Args:
            timeout: Maximum seconds of each of at most two requests.

        Raises:
            DataStorageUnavailable: No server responds, or an unexpected one; the message has URL, source and cause.
            AuditError: DataStorage rejected the query.
        """
        try:
            self.check(timeout)
        except TokenRefused as exc:
            if exc.missing_scope != "read":
                raise
        if self._token is None:
            return
        try:
            response = self._request("POST", BATCH_PATH, content=b"[]", headers=_JSON, timeout=timeout)
        except TransportError as exc:
            raise self._unavailable(_cause(exc), answered=False) from exc
        if response.status_code in (401, 403):  # any other status is about the empty batch
            raise self._error(response, {})

    def close(self) -> None:
        """Close the connections. The client stays usable: the next call opens new ones."""
        self._transport.close()

    def _page(self, params: Mapping[str, str], timeout: float) -> EventPage:
        try:
            response = self._request("GET", _EVENTS, params=params, timeout=timeout)
        except TransportError as exc:
            raise self._unavailable(_cause(exc), answered=False) from exc
        if response.status_code != 200:
            raise self._error(response, params)
        try:
            return read_page(response.content)
        except ValueError as exc:
            raise self._unexpected_server(response, exc) from exc

    def _exported(self, response: TransportResponse) -> Iterator[dict[str, Any]]:
        if _media_type_of(response) != "application/x-ndjson":
            raise self._unexpected_server(self._read(response), ValueError("it is not NDJSON"))
        count = 0
        try:
            for event in read_lines(self._chunks(response)):
                yield event
                count += 1
        except (TransportError, ValueError) as exc:
            raise DataStorageUnavailable(
                f"the export of DataStorage at {self._url} ended early, after {count} events: {_cause(exc)}",
                answered=True,
            ) from exc

    def _chunks(self, response: TransportResponse) -> Iterator[bytes]:
        chunks = response.chunks()
        while True:
            with self.inside():  # but not while the caller processes a chunk
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    def _read(self, response: TransportResponse) -> _Response:
        try:
            with self.inside():
                content = b"".join(response.chunks(machine.monotonic() + self._timeout))
        except TransportError as exc:
            raise self._unavailable(_cause(exc), answered=True) from exc
        return _Response(response.status_code, response.headers, content)

    def _error(self, response: _Response, params: Mapping[str, str]) -> AuditError:
        answered = describe(response.status_code, response.headers, response.content)
        if response.status_code in (400, 422):
            to_the_query = f" to the query {dict(params)}" if params else ""
            return AuditError(f"DataStorage at {self._url} {answered}{to_the_query}")
        if response.status_code in (401, 403):
            found = _SCOPE.search(response.headers.get("www-authenticate", ""))
            scope = found[1] if found and self._token is not None else None
            wants = "wants a token" if self._token is None else "refuses the token"
            which = "" if scope is None else f", which lacks the scope {scope!r}"
            return TokenRefused(
                f"DataStorage at {self._url} (from {self._source}) {wants}{which}: it {answered}", missing_scope=scope
            )
        return self._unavailable(answered, answered=True)

    def _unexpected_server(self, response: _Response, exc: ValueError) -> DataStorageUnavailable:
        answered = describe(response.status_code, response.headers, response.content)
        return self._unavailable(f"{answered}, but {exc}: check the URL, this is another server", answered=True)

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
    ) -> _Response:
        deadline = machine.monotonic() + (timeout or self._timeout)
        # half for each phase, because connecting and waiting for the response share the total
        phase = self._timeout if timeout is None else timeout / 2
        target = f"{path}?{urlencode(params)}" if params else path
        with self.inside():
            fields = {**self._authorization(), **(headers or {})}
            response = self._transport.send(method, target, content=content or b"", headers=fields, timeout=phase)
            try:
                body = b"".join(response.chunks(deadline))
            finally:
                response.close()
        return _Response(response.status_code, response.headers, body)

    def _authorization(self) -> dict[str, str]:
        if self._token is None:
            return {}
        token = self._token if isinstance(self._token, str) else self._token.current()
        return {"authorization": f"Bearer {token}"}

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Mark the code in the `with` block as a call of this client."""
        self.calls.depth += 1
        try:
            yield
        finally:
            self.calls.depth -= 1


def _media_type_of(response: TransportResponse) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip()


def _call_depth() -> CallDepth:
    depth: CallDepth = type("CallDepth", (primitives().local,), {"depth": 0})()
    return depth


def _cause(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
