"""Viewer: the endpoints of the HTML pages."""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from signal_gateway.clock import Clock
from signal_gateway.datastorage.backend import Backend, BackendNotOpen, BackendUnavailable, QueryTooSlow
from signal_gateway.datastorage.query import EventQuery
from signal_gateway.datastorage.record import microseconds
from signal_gateway.datastorage.verify import Verifications
from signal_gateway.datastorage.viewer.assets import Assets
from signal_gateway.datastorage.viewer.chart import MAX_CHARTED_EVENTS, OUTCOMES, read_chart
from signal_gateway.datastorage.viewer.event_view import EventView
from signal_gateway.datastorage.viewer.paging import ResultPage, read_result_page
from signal_gateway.datastorage.viewer.search import (
    FIELDS,
    RANGES,
    TIMELINE_PARAMETERS,
    Filter,
    InvalidParameter,
    Search,
    invalid_parameter_of,
    timeline_url,
)
from signal_gateway.datastorage.viewer.times import moment, rfc_3339, span_text, stamp
from signal_gateway.web.disconnection import while_connected
from signal_gateway.web.problem import Problem

__all__ = ["Viewer"]

_log = logging.getLogger(__name__)

PageHandler = Callable[[Request, Search], Coroutine[Any, Any, Response]]


class FilterHint(NamedTuple):
    """A filter without which a search finds events, and the number of these events."""

    filter: Filter
    found: int


class Viewer:
    """The pages of one backend. They only read.

    Args:
        backend: The database; the caller opens and closes it.
        clock: Gives the reference of `24h` in a search.
        verifications: Verifies the chain; each page shows the newest result.
    """

    def __init__(self, *, backend: Backend, clock: Clock, verifications: Verifications) -> None:
        self._backend = backend
        self._clock = clock
        self._verifications = verifications
        self._assets = Assets()
        self._templates = Environment(
            loader=PackageLoader(__name__.rpartition(".")[0]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters.update(stamp=stamp, rfc_3339=rfc_3339, span=span_text, count=_count, total=_total)
        self._templates.globals.update(
            asset=self._assets.url, timeline_url=timeline_url, fields=FIELDS, ranges=RANGES, outcomes=OUTCOMES
        )

    def routes(self) -> list[Route]:
        """Return the routes, without path parameters."""
        return [
            Route("/", self._guarded(self._search), methods=["GET"]),
            Route("/correlations", self._guarded(self._timeline), methods=["GET"]),
            Route("/cases", self._guarded(self._cases), methods=["GET"]),
            Route("/integrity", self._guarded(self._integrity), methods=["GET"]),
            *self._assets.routes(),
        ]

    @property
    def open_paths(self) -> list[str]:
        """The paths that the sign-in page needs: the static files."""
        return [route.path for route in self._assets.routes()]

    def sign_in_page(self) -> str:
        """Return the page for a browser without a token."""
        return self._templates.get_template("sign_in.html").render()

    async def _search(self, request: Request, search: Search) -> Response:
        now = self._clock.now()
        try:
            query = search.query(now=now)
        except Problem as problem:
            return self._form(search, "invalid", status=problem.status, invalid=invalid_parameter_of(problem))

        query = replace(query, count_limit=MAX_CHARTED_EVENTS)
        page = await read_result_page(self._backend, query, order="desc")
        if not page.total:
            return await self._nothing_found(request, search, now)
        chart = None
        if page.total_is_exact:
            chart = await read_chart(self._backend, query, search, total=page.total, now=now)
        events = [EventView.of(event) for event in page.events]
        return self._form(
            search,
            "results",
            page=page,
            events=events,
            event_types=sorted({event.envelope["event_type"] for event in events}),
            chart=chart,
            has_too_many_to_chart=not page.total_is_exact,
            permalink=_permalink(search, query, page, now=now),
        )

    async def _nothing_found(self, request: Request, search: Search, now: datetime) -> Response:
        """Suggest filters to remove, or explain how to send a first event to an empty DataStorage."""
        if search.filters and (await self._backend.query(EventQuery(limit=1))).total:
            hints = [
                FilterHint(one, (await self._backend.query(replace(one.without.query(now=now), limit=1))).total)
                for one in search.filters
            ]
            return self._form(search, "no match", hints=[hint for hint in hints if hint.found])
        return self._form(search, "empty", base_url=str(request.base_url), now=microseconds(now))

    async def _timeline(self, _request: Request, search: Search) -> Response:
        correlation_id = search.values.get("correlation_id")
        if correlation_id is None:
            invalid = InvalidParameter("correlation_id", "Correlation id is missing: a timeline needs one.")
            return self._form(search, "invalid", status=400, invalid=invalid)
        try:
            query = search.query(now=self._clock.now(), names=TIMELINE_PARAMETERS, default_order="asc")
        except Problem as problem:
            return self._form(search, "invalid", status=problem.status, invalid=invalid_parameter_of(problem))

        page = await read_result_page(self._backend, query, order="asc")
        if not page.total:
            return self._form(search, "unknown", status=404)
        first = (await self._backend.query(EventQuery(correlation_id=correlation_id, order="asc", limit=1))).events[0]
        last = (await self._backend.query(EventQuery(correlation_id=correlation_id, limit=1))).events[0]
        return self._html(
            "timeline.html",
            correlation_id=correlation_id,
            search=search,
            page=page,
            events=[EventView.of(event) for event in page.events],
            subject=EventView.of(first),
            first=first.event_timestamp,
            last=last.event_timestamp,
            counts=await self._counts(correlation_id, first.event_timestamp, last.event_timestamp),
        )

    async def _cases(self, request: Request, search: Search) -> Response:
        now = self._clock.now()
        try:
            query = search.query(now=now)
        except Problem as problem:
            return self._form(search, "invalid", status=problem.status, invalid=invalid_parameter_of(problem))
        page = await self._backend.cases(query)
        if not page.total:
            return await self._nothing_found(request, search, now)
        heading = f"{'' if page.total_is_exact else 'At least '}{_count(page.total, 'case')}"
        return self._html(
            "cases.html",
            search=search,
            listed="cases",
            invalid=None,
            event_types=(),
            page=page,
            cases=page.cases,
            heading=heading,
            forward=query.cursor(page.last) if page.has_more and page.last is not None else None,
        )

    async def _integrity(self, request: Request, _search: Search) -> Response:
        if request.query_params.get("verify") == "now":
            await self._verifications.verify()
            return RedirectResponse("integrity", status_code=303, headers={"Cache-Control": "no-store"})
        verification = self._verifications.latest
        checkpoint = verification.verdict.checkpoint if verification is not None else None
        text = "" if checkpoint is None else orjson.dumps(checkpoint.to_json(), option=orjson.OPT_INDENT_2).decode()
        return self._html("integrity.html", checkpoint_json=text)

    async def _counts(self, correlation_id: str, first: int, last: int) -> dict[str, int]:
        query = EventQuery(correlation_id=correlation_id, since=moment(first), until=moment(last))
        bars = await self._backend.histogram(query, width=last - first + 1)
        counts = {outcome: sum(bar.outcomes.get(outcome, 0) for bar in bars) for outcome in OUTCOMES}
        return {outcome: count for outcome, count in counts.items() if count}

    def _guarded(self, page: PageHandler) -> Callable[[Request], Awaitable[Response]]:
        """Respond with an error page if the database fails. The error text of the database goes only to the log."""

        async def serve(request: Request) -> Response:
            search = Search.of(request.query_params.multi_items())
            try:
                return await while_connected(request, page(request, search))
            except BackendNotOpen:
                reason = "not running"
            except QueryTooSlow:
                reason = "too slow"
            except BackendUnavailable:
                _log.exception("the database is not available")
                reason = "unavailable"
            retry_url = "?" + request.scope["query_string"].decode("latin-1")
            response = self._form(search, "unavailable", status=503, reason=reason, retry_url=retry_url)
            response.headers["Retry-After"] = "1"
            return response

        return serve

    def _form(self, search: Search, state: str, *, status: int = 200, **further: Any) -> Response:
        """Render the search page. Its form keeps the values of the search in every state."""
        return self._html(
            "search.html",
            status=status,
            **{"invalid": None, "event_types": (), "listed": "events", **further},
            search=search,
            state=state,
        )

    def _html(self, template: str, *, status: int = 200, **context: Any) -> Response:
        content = self._templates.get_template(template).render(context, verification=self._verifications.latest)
        return HTMLResponse(content, status_code=status, headers={"Cache-Control": "no-store"})


def _permalink(search: Search, query: EventQuery, page: ResultPage, *, now: datetime) -> str:
    """Return the URL of a search with absolute times, which finds the same events later."""
    newest = moment(max([microseconds(now), *(event.event_timestamp for event in page.events)]))
    times = {"until": rfc_3339(microseconds(query.until or newest))}
    if query.since is not None:
        times["since"] = rfc_3339(microseconds(query.since))
    return search.with_values(**times).url


def _total(page: ResultPage) -> str:
    return f"{'' if page.total_is_exact else 'At least '}{_count(page.total, 'event')}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
