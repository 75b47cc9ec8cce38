"""DataStorageClient: HTTP client of one DataStorage, for delivery, queries and checks."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar, Unpack
from urllib.parse import urlencode

import orjson

from signal_gateway._machine import machine, primitives
from signal_gateway.audit.client.cases import AuditCasePage, read_cases
from signal_gateway.audit.client.paging import PagePosition, oldest_first
from signal_gateway.audit.client.query import (
    AuditFilters,
    EventPage,
    ExportBlock,
    Limits,
    encoded_block,
    ignored_filters,
    parameters,
    read_blocks,
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
    is_problem_of_kubernaut,
    read_result,
)
from signal_gateway.audit.client.tls import ClientTls, TlsFiles
from signal_gateway.audit.client.token import ClientToken, checked_token
from signal_gateway.audit.client.translation import Translation
from signal_gateway.audit.client.transport import Transport, TransportError, TransportResponse
from signal_gateway.audit.client.url import checked_url
from signal_gateway.audit.errors import DataStorageUnavailable, TokenRefused
from signal_gateway.clock import Clock, SystemClock
from signal_gateway.errors import AuditError

__all__ = ["AuditFilters", "CallDepth", "DataStorageClient", "EventPage", "Limits"]

_CASES = "/api/v1/audit/cases"
_EVENTS = "/api/v1/audit/events"
_EXPORT = "/api/v1/audit/export"
_LIMITS = "/api/v1/audit/limits"
_EVENTS_PER_BLOCK = 1000
_MAX_PAGE = 1000
_JSON = {"content-type": "application/json"}
_SCOPE = re.compile(r'\bscope="([^"]*)"')  # of a WWW-Authenticate header, RFC 6750


_Part = TypeVar("_Part")


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
            `event_count`: as many distinct UUIDs, for a DataStorage that assigns ids of its own. Parents of events
            are sent in `event_data` then, because such a DataStorage does not know their ids.
        event_types: Names under which events are sent, by event type, for a DataStorage with a closed list of types,
            such as `KUBERNAUT_EVENT_TYPES`. None for a type that a store does not record at all.

    Attributes:
        calls: Nested calls of the current thread, to detect recursion.
        translation: The form of the events for this DataStorage.

    Raises:
        ConfigurationError: The URL, the token, a TLS file or an event type is invalid.
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
        event_types: Mapping[str, str | None] | None = None,
    ) -> None:
        self._acknowledgement: Acknowledgement = acknowledgement
        self.translation = Translation(event_types or {}, moves_parents=self.assigns_ids)
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
    def assigns_ids(self) -> bool:
        """Whether the DataStorage assigns ids of its own, so that no stored event has the id of a recorded one."""
        return self._acknowledgement == "event_count"

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
            body = self.translation.apply(batch) if self.translation.is_needed else batch
            response = self._request("POST", BATCH_PATH, content=body, headers=_JSON)
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
        exact_total: bool = False,
        **filters: Unpack[AuditFilters],
    ) -> EventPage:
        """Return one page of matching events.

        Args:
            limit: Maximum events of the page, 1 to 1000.
            offset: Number of events to skip.
            cursor: `cursor` of the previous page, instead of `offset`.
            ascending: Oldest first; newest first otherwise.
            exact_total: Count all matching events; DataStorage ends its count after 10 000 otherwise.
            **filters: See `AuditFilters`.

        Raises:
            DataStorageUnavailable: No DataStorage responds.
            AuditError: DataStorage rejected the query; the message has the reason.
        """
        params = parameters(filters) | {"limit": str(limit)}
        if exact_total:
            params["total"] = "exact"
        if ascending:
            params["order"] = "asc"
        if cursor is not None:
            params["cursor"] = cursor
        elif offset:
            params["offset"] = str(offset)
        page = self._page(params, self._timeout)
        if ignored := ignored_filters(filters, page):
            raise AuditError(
                f"DataStorage at {self._url} does not filter by {', '.join(ignored)}, its response has other events,"
                " too: leave these filters out"
            )
        return page

    def events(self, **filters: Unpack[AuditFilters]) -> Iterator[dict[str, Any]]:
        """Yield all matching events, oldest first, page by page.

        A DataStorage without cursors, such as the Go original, may know no order either. From such a one, the method
        reads all pages, newest first, before it yields an event.

        Args:
            **filters: See `AuditFilters`.

        Raises:
            DataStorageUnavailable: No DataStorage responds.
            AuditError: DataStorage rejected the query, does not know a filter, or lost events during it; the message
                has the reason.
        """
        pages = self.pages(ascending=True, **filters)
        first = next(pages)
        if first.has_more and first.cursor is None:
            yield from oldest_first([*first.events, *(event for page in pages for event in page.events)])
            return
        yield from oldest_first(list(first.events))
        for page in pages:
            yield from page.events

    def pages(
        self, *, limit: int | None = None, ascending: bool = False, **filters: Unpack[AuditFilters]
    ) -> Iterator[EventPage]:
        """Yield pages of at most 1000 matching events each, by cursor or else by offset. No event is in two of them.

        Args:
            limit: Maximum events of all pages; None for all matching events.
            ascending: Oldest first; newest first otherwise.
            **filters: See `AuditFilters`.

        Raises:
            DataStorageUnavailable: No DataStorage responds.
            AuditError: DataStorage rejected the query, does not know a filter, or lost events during it; the message
                has the reason.
        """
        position = PagePosition(self._url, limit=limit)
        while not position.is_over:
            page = self.query(
                limit=position.page_limit,
                offset=position.offset,
                cursor=position.cursor,
                ascending=ascending,
                **filters,
            )
            yield position.take(page)

    def case_pages(
        self, *, limit: int | None = None, ascending: bool = False, **filters: Unpack[AuditFilters]
    ) -> Iterator[AuditCasePage]:
        """Yield pages of at most 1000 cases with a matching event each. All events of a case describe it.

        Args:
            limit: Maximum cases of all pages; None for all.
            ascending: By the first matching event of a case, oldest first; by its last one, newest first, otherwise.
            **filters: See `AuditFilters`; they are filters of events.

        Raises:
            DataStorageUnavailable: No DataStorage responds, or one without cases.
            AuditError: DataStorage rejected the query; the message has the reason.
        """
        params = parameters(filters) | {"order": "asc" if ascending else "desc"}
        passed = 0
        while True:
            most = _MAX_PAGE if limit is None else min(_MAX_PAGE, limit - passed)
            try:
                page = read_cases(self.call("GET", _CASES, params=params | {"limit": str(most)}))
            except ValueError as exc:
                raise self._unavailable(f"the response is {exc}: upgrade it, or check the URL", answered=True) from exc
            yield page
            passed += len(page.cases)
            if not page.has_more or page.cursor is None or passed == limit:
                return
            params["cursor"] = page.cursor

    def export(self, **filters: Unpack[AuditFilters]) -> Iterator[dict[str, Any]]:
        """Yield all matching events, oldest first, from one streamed response.

        For a DataStorage without export, or with one that is a single JSON document, the method yields the events of
        `events`. The Go original has such an export, for requests with the header X-Auth-Request-User of its proxy.

        Args:
            **filters: See `AuditFilters`.

        Raises:
            DataStorageUnavailable: No DataStorage responds, or the response ended early; the message has the number
                of received events.
            AuditError: DataStorage rejected the query; the message has the reason.
        """
        with self._export(filters) as response:
            if response is not None:
                yield from self._complete(read_lines(self._chunks(response)), lambda _: 1)
                return
        yield from self.events(**filters)

    def export_blocks(self, **filters: Unpack[AuditFilters]) -> Iterator[ExportBlock]:
        """Yield all matching events, oldest first, as NDJSON in blocks of whole lines, as fast as they arrive.

        The lines are those of DataStorage, not decoded. Otherwise as `export`.

        Args:
            **filters: See `AuditFilters`.

        Raises:
            DataStorageUnavailable: As `export`.
            AuditError: As `export`.
        """
        with self._export(filters) as response:
            if response is not None:
                yield from self._complete(read_blocks(self._chunks(response)), lambda block: block.events)
                return
        events = self.events(**filters)
        while some := list(islice(events, _EVENTS_PER_BLOCK)):
            yield encoded_block(some)

    @contextmanager
    def _export(self, filters: AuditFilters) -> Iterator[TransportResponse | None]:
        """Open the response of an export; None from a DataStorage without an export of lines."""
        params = parameters(filters) | {"order": "asc"}
        try:
            with self.inside():
                target = f"{_EXPORT}?{urlencode(params)}"
                response = self._transport.send("GET", target, headers=self._authorization(), timeout=self._timeout)
        except TransportError as exc:
            raise self._unavailable(_cause(exc), answered=False) from exc
        try:
            media_type = _media_type_of(response)
            if response.status_code not in (200, 404):
                content = self._read(response)
                if not is_problem_of_kubernaut(content.headers, content.content):
                    raise self._error(content, params)
            is_export = response.status_code == 200 and media_type != "application/json"
            if is_export and media_type != "application/x-ndjson":
                raise self._unexpected_server(self._read(response), ValueError("it is not NDJSON"))
            yield response if is_export else None
        finally:
            response.close()

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

    def _complete(self, parts: Iterator[_Part], events_of: Callable[[_Part], int]) -> Iterator[_Part]:
        """Yield the parts of an export; an error if it ends early."""
        count = 0
        try:
            for part in parts:
                yield part
                count += events_of(part)
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
        if response.status_code in (400, 409, 422):
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
