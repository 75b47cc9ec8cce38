"""AuditApi: the HTTP endpoints of DataStorage, the parsing of their bodies, and the observer of their durations."""

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import orjson
from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from signal_gateway.audit.event import MAX_EVENT_DATA_BYTES, AuditEvent
from signal_gateway.clock import Clock
from signal_gateway.datastorage.backend import (
    Backend,
    BackendNotOpen,
    BackendUnavailable,
    CasePage,
    Duplicate,
    EventRow,
    Page,
    QueryTooSlow,
)
from signal_gateway.datastorage.http.export import export_of, export_response
from signal_gateway.datastorage.http.openapi import datastorage_openapi
from signal_gateway.datastorage.http.response_models import (
    BatchStored,
    DuplicateItem,
    EventStored,
    ItemError,
    LimitsResponse,
    Pagination,
    StatusResponse,
)
from signal_gateway.datastorage.metrics import DataStorageMetrics
from signal_gateway.datastorage.query import EventQuery, Position, event_query
from signal_gateway.datastorage.record import microseconds, row_of, rows_of, to_json
from signal_gateway.web.body import JSON, json_body
from signal_gateway.web.disconnection import while_connected
from signal_gateway.web.metrics_page import metrics_response
from signal_gateway.web.problem import Problem

__all__ = ["AuditApi", "RequestMetrics", "database_errors", "pagination_of", "read_batch", "read_event"]

# about a millisecond of work
_EVENTS_PER_TURN = 200
_UUID_TEXT_LENGTH = 36

# a 400 lists every invalid item, with a limited text for each
_MAX_ERRORS_PER_ITEM = 5
_MAX_REASON_LENGTH = 300


def read_event(body: bytes) -> AuditEvent:
    """Parse a body with one event.

    Raises:
        Problem: 400; see `read_batch`.
    """
    event = _event_or_errors(0, _decoded(body))
    if not isinstance(event, AuditEvent):
        raise _invalid("The event is not valid", event)
    return event


async def read_batch(body: bytes, *, max_events: int, received_at: int) -> Sequence[EventRow]:
    """Parse a body with an array of events. Other requests get their turn in between.

    Args:
        body: JSON.
        max_events: The most events of a batch.
        received_at: The time of arrival, in microseconds since the epoch.

    Raises:
        Problem: 400. Its member `errors` has an object `{index, event_id, field, reason}` for each error of an item,
            at most five for one item; `event_id` and `field` may be null.
    """
    items = _decoded(body)
    if not isinstance(items, list):
        raise Problem(400, "The body must be a JSON array of events. POST a single event to /api/v1/audit/events.")
    if not 1 <= len(items) <= max_events:
        raise Problem(400, f"The batch has {len(items)} events; send 1 to {max_events}.")

    rows: list[EventRow] = []
    errors: list[ItemError] = []
    invalid_items = 0
    for start in range(0, len(items), _EVENTS_PER_TURN):
        await asyncio.sleep(0)
        turn = items[start : start + _EVENTS_PER_TURN]
        if (rows_in_turn := rows_of(turn, received_at=received_at)) is not None:
            rows.extend(rows_in_turn)
            continue
        for index, item in enumerate(turn, start):
            event = _event_or_errors(index, item)
            if isinstance(event, AuditEvent):
                rows.append(row_of(event, received_at=received_at))
            else:
                invalid_items += 1
                errors.extend(event)
    if errors:
        raise _invalid(
            f"{invalid_items} of {_events(len(items))} {_be(invalid_items)} not valid, nothing was stored", errors
        )
    return rows


def _decoded(body: bytes) -> Any:
    try:
        # orjson silently converts an integer of more than 64 bits to a float
        return from_json(body, cache_strings="keys")  # most values occur once
    except ValueError as exc:
        raise Problem(400, f"The body is not valid JSON: {exc}.") from exc


def _event_or_errors(index: int, item: Any) -> AuditEvent | list[ItemError]:
    try:
        return AuditEvent.from_wire(item)
    except ValidationError as exc:
        event_id = item.get("event_id") if isinstance(item, dict) else None
        if not isinstance(event_id, str) or len(event_id) > _UUID_TEXT_LENGTH:
            event_id = None
        return [
            ItemError(
                index=index,
                event_id=event_id,
                field=".".join(str(part) for part in error["loc"]) or None,
                reason=_cut(
                    str(error["ctx"]["error"]) if "ctx" in error and error["type"] == "value_error" else error["msg"]
                ),
            )
            for error in exc.errors(include_url=False, include_input=False)[:_MAX_ERRORS_PER_ITEM]
        ]


def _events(number: int) -> str:
    return "1 event" if number == 1 else f"{number} events"


def _be(number: int) -> str:
    return "is" if number == 1 else "are"


def _cut(reason: str) -> str:
    """Limit the length of a reason, which may quote the body."""
    return reason if len(reason) <= _MAX_REASON_LENGTH else f"{reason[: _MAX_REASON_LENGTH - 1]}…"


def _invalid(summary: str, errors: list[ItemError]) -> Problem:
    first = errors[0]
    detail = f"{summary}. The first error: item {first.index}, {first.field or 'the item itself'}: {first.reason}"
    return Problem(400, detail, members={"errors": errors})


_log = logging.getLogger(__name__)


class AuditApi:
    """The endpoints of one backend.

    Args:
        backend: The database; the caller opens and closes it.
        clock: Gives the time of arrival of an event, and the reference of `24h` in a query.
        registry: The registry behind `/metrics`.
        metrics: Counts events.
        max_batch_events: The most events of one batch.
        max_body_bytes: The largest body, for `/limits`; a middleware enforces it.
        has_tokens: Whether requests need a token, for the description; a middleware enforces it.
    """

    def __init__(
        self,
        *,
        backend: Backend,
        clock: Clock,
        registry: CollectorRegistry,
        metrics: DataStorageMetrics,
        max_batch_events: int,
        max_body_bytes: int,
        has_tokens: bool,
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._registry = registry
        self._metrics = metrics
        self._max_batch_events = max_batch_events
        self._max_body_bytes = max_body_bytes
        self._has_tokens = has_tokens

    def routes(self) -> list[Route]:
        """Return the routes; no path has parameters."""
        return [
            Route("/api/v1/audit/events", self._events, methods=["GET", "POST"]),
            Route("/api/v1/audit/events/batch", self._store_batch, methods=["POST"]),
            Route("/api/v1/audit/export", self._export, methods=["GET"]),
            Route("/api/v1/audit/limits", self._limits, methods=["GET"]),
            Route("/healthz", self._health, methods=["GET"]),
            Route("/readyz", self._readiness, methods=["GET"]),
            # the paths that the original DataStorage has
            Route("/health", self._health, methods=["GET"]),
            Route("/health/live", self._health, methods=["GET"]),
            Route("/health/ready", self._readiness, methods=["GET"]),
            Route("/metrics", self._metrics_page, methods=["GET"]),
            Route("/openapi.json", self._description, methods=["GET"]),
        ]

    async def _events(self, request: Request) -> Response:
        # one route, so that the Allow header of a 405 names both methods
        return await (self._store_event(request) if request.method == "POST" else self._find_events(request))

    async def _store_event(self, request: Request) -> Response:
        with self._rejections_counted():
            event = read_event(await json_body(request))
        duplicates = await self._store([row_of(event, received_at=microseconds(self._clock.now()))])
        message = "The event is stored."
        if duplicates:
            message = "An event with this event_id is already stored"
            message += "." if duplicates[0].has_same_content else ", with different content; the stored event stays."
        return _json(
            EventStored(event_id=event.event_id, event_timestamp=event.event_timestamp, message=message), status=201
        )

    async def _store_batch(self, request: Request) -> Response:
        with self._rejections_counted():
            rows = await read_batch(
                await json_body(request),
                max_events=self._max_batch_events,
                received_at=microseconds(self._clock.now()),
            )
        duplicates = await self._store(rows)
        accepted = len(rows) - len(duplicates)
        was = "was" if len(duplicates) == 1 else "were"
        return _json(
            BatchStored(
                event_ids=[row.event_id for row in rows],
                message=f"{_events(accepted)} {_be(accepted)} stored, {len(duplicates)} {was} already stored.",
                accepted=accepted,
                duplicates=[
                    DuplicateItem(
                        index=duplicate.index,
                        event_id=duplicate.event_id,
                        different_content=not duplicate.has_same_content,
                    )
                    for duplicate in duplicates
                ],
            ),
            status=201,
        )

    async def _store(self, rows: Sequence[EventRow]) -> Sequence[Duplicate]:
        with database_errors("Nothing was stored. Send the request again."):
            duplicates = await self._backend.insert(rows)
        self._metrics.events.labels("accepted").inc(len(rows) - len(duplicates))
        self._metrics.events.labels("duplicate").inc(len(duplicates))
        return duplicates

    @contextmanager
    def _rejections_counted(self) -> Iterator[None]:
        """Count the invalid events of a rejected body. A body without parsed events counts as zero."""
        try:
            yield
        except Problem as problem:
            self._metrics.events.labels("refused").inc(
                len({error.index for error in problem.members.get("errors", ())})
            )
            raise

    async def _find_events(self, request: Request) -> Response:
        query = event_query(request.query_params.multi_items(), now=self._clock.now())
        with database_errors("Retry later."):
            page = await while_connected(request, self._backend.query(query))
        return Response(_page_json(query, page), media_type=JSON)

    async def _export(self, request: Request) -> Response:
        export = export_of(request.query_params.multi_items(), now=self._clock.now())
        if request.method == "HEAD":
            return Response(media_type=export.media_type)  # a HEAD response has no body
        with database_errors("Retry later."):
            return await export_response(self._backend, export)

    async def _limits(self, _request: Request) -> Response:
        return _json(
            LimitsResponse(
                max_batch=self._max_batch_events,
                max_body_bytes=self._max_body_bytes,
                max_event_bytes=MAX_EVENT_DATA_BYTES,
            )
        )

    async def _health(self, _request: Request) -> Response:
        return _json(StatusResponse(status="ok"))

    async def _readiness(self, _request: Request) -> Response:
        with database_errors("DataStorage is not ready."):
            await self._backend.ping()
        return _json(StatusResponse(status="ready"))

    async def _metrics_page(self, request: Request) -> Response:
        return metrics_response(self._registry, request.headers)

    async def _description(self, _request: Request) -> Response:
        return Response(self._openapi, media_type=JSON)

    @cached_property
    def _openapi(self) -> bytes:
        # built at the first request: building it takes longer than a start, and most tests do not need it
        return orjson.dumps(datastorage_openapi(max_batch_events=self._max_batch_events, has_tokens=self._has_tokens))


class RequestMetrics:
    """Observes every request in `DataStorageMetrics.request_seconds`.

    Args:
        metrics: The metrics.
        paths: The paths with their own label.
    """

    def __init__(self, metrics: DataStorageMetrics, *, paths: Collection[str]) -> None:
        self._metrics = metrics
        self._paths = frozenset(paths)

    def begin_request(self) -> None:
        """Do nothing: DataStorage has no metric for requests in flight."""

    def end_request(self, scope: Scope, *, status: int | None, seconds: float) -> None:
        """Observe the duration; a request without a response counts as status 500."""
        path = scope["path"] if scope["path"] in self._paths else "other"
        status = 500 if status is None else status
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST") else "other"
        self._metrics.request_seconds.labels(method, path, str(status)).observe(seconds)


@contextmanager
def database_errors(advice: str) -> Iterator[None]:
    """Convert errors of the database to a 503. The error text of the database goes only to the log."""
    try:
        yield
    except BackendNotOpen as exc:
        detail = "This DataStorage is not running: serve its app with lifespan, or enter it with `async with`."
        raise Problem(503, detail) from exc
    except QueryTooSlow as exc:
        detail = "The query reached its time limit. Filter by more, such as correlation_id or event_type."
        raise Problem(503, detail) from exc
    except BackendUnavailable as exc:
        _log.exception("the database is not available")
        raise Problem(503, f"The database is not available right now. {advice}", headers={"Retry-After": "1"}) from exc


def _json(document: object, *, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status_code=status, media_type=JSON)


def pagination_of(query: EventQuery, page: Page | CasePage, *, last: Position | None) -> Pagination:
    """Describe a page.

    Args:
        query: The query of the page.
        page: The page.
        last: The position of its last row; None on an empty page.
    """
    return Pagination(
        limit=query.limit,
        offset=query.offset,
        total=page.total,
        has_more=page.has_more,
        total_is_exact=page.total_is_exact,
        next_cursor=query.cursor(last) if page.has_more and last is not None else None,
    )


def _page_json(query: EventQuery, page: Page) -> bytes:
    last = page.events[-1] if page.events else None
    position = None if last is None else Position(last.event_timestamp, last.sequence)
    pagination = pagination_of(query, page, last=position).members()
    data = b",".join(to_json(event) for event in page.events)
    return b'{"data":[%b],"pagination":%b}' % (data, orjson.dumps(pagination))
