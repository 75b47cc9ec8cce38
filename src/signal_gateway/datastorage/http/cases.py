"""CasesApi: the HTTP endpoint that lists cases, one for each correlation id."""

from datetime import UTC, datetime, timedelta

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signal_gateway.clock import Clock
from signal_gateway.datastorage.backend import Backend, Case, CasePage
from signal_gateway.datastorage.http.api import database_errors, pagination_of
from signal_gateway.datastorage.http.response_models import CaseItem, CasesResponse
from signal_gateway.datastorage.query import EventQuery, event_query
from signal_gateway.web.body import JSON
from signal_gateway.web.disconnection import while_connected

__all__ = ["CasesApi"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CasesApi:
    """The endpoint of one backend.

    Args:
        backend: The database; the caller opens and closes it.
        clock: The reference of `24h` in a query.
    """

    def __init__(self, *, backend: Backend, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return the routes; no path has parameters."""
        return [Route("/api/v1/audit/cases", self._find_cases, methods=["GET"])]

    async def _find_cases(self, request: Request) -> Response:
        query = event_query(request.query_params.multi_items(), now=self._clock.now())
        with database_errors("Retry later."):
            page = await while_connected(request, self._backend.cases(query))
        return Response(orjson.dumps(_response(query, page)), media_type=JSON)


def _response(query: EventQuery, page: CasePage) -> dict[str, object]:
    response = CasesResponse(
        data=[_item(case) for case in page.cases],
        pagination=pagination_of(query, page, last=page.last),
    )
    return {"data": response.data, "pagination": response.pagination.members()}


def _item(case: Case) -> CaseItem:
    return CaseItem(
        correlation_id=case.correlation_id,
        first=_EPOCH + timedelta(microseconds=case.first),
        last=_EPOCH + timedelta(microseconds=case.last),
        events=case.events,
        failures=case.failures,
        outcome=case.outcome,
        workload_kind=case.workload_kind,
        workload_namespace=case.workload_namespace,
        workload_name=case.workload_name,
        signal_name=case.signal_name,
        severity=case.severity,
    )
