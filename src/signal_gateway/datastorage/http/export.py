"""Export: streams all events that a query matches, as NDJSON."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import cast

from starlette.responses import StreamingResponse
from starlette.types import Send

from signal_gateway.datastorage.backend import Backend, BackendUnavailable, StoredRecord
from signal_gateway.datastorage.query import EventQuery, event_query
from signal_gateway.datastorage.record import to_json
from signal_gateway.web.problem import Problem

__all__ = ["NDJSON", "PAGING", "export_query", "export_response"]

NDJSON = "application/x-ndjson"
PAGING = ("limit", "offset", "cursor", "total")
"""Parameters of a page that an export does not have: it returns all events."""

_log = logging.getLogger(__name__)

_Slices = AsyncGenerator[Sequence[StoredRecord], None]


def export_query(parameters: Iterable[tuple[str, str]], *, now: datetime) -> EventQuery:
    """Parse the query of an export: the query of a page without `PAGING`, oldest first by default.

    Args:
        parameters: As in `event_query`.
        now: As in `event_query`.

    Raises:
        Problem: 400; see `event_query`.
    """
    given = list(parameters)
    names = {name for name, _ in given}
    for name in PAGING:
        if name in names:
            reason = "is not a parameter of an export: an export has all events that match"
            raise Problem(
                400,
                f"Query parameter {name!r} {reason}.",
                members={"errors": [{"field": name, "reason": reason}]},
            )
    return event_query(given if "order" in names else [*given, ("order", "asc")], now=now)


async def export_response(backend: Backend, query: EventQuery) -> StreamingResponse:
    """Return the response of an export, after reading the first slice. An error until then becomes an error status.

    Raises:
        BackendUnavailable: The first slice cannot be read.
    """
    slices = cast(_Slices, backend.export(query))
    first = await anext(slices, None)
    return _ExportResponse(first, slices)


class _ExportResponse(StreamingResponse):
    """Reads a slice after the client has taken the one before, and stops when the client disconnects.

    If the database fails meanwhile, the connection closes without the end of the chunked encoding: a complete response
    is a complete export.
    """

    def __init__(self, first: Sequence[StoredRecord] | None, rest: _Slices) -> None:
        self._rest = rest
        self._lines = _lines(first, rest)
        super().__init__(self._lines, media_type=NDJSON)

    async def stream_response(self, send: Send) -> None:
        # closed here and not by the garbage collector, as it holds a reader that other requests need
        async with aclosing(self._rest), aclosing(self._lines):
            try:
                await super().stream_response(send)
            except BackendUnavailable:
                _log.error("an export ended early: the database became unavailable")
                raise


async def _lines(
    first: Sequence[StoredRecord] | None, rest: AsyncIterator[Sequence[StoredRecord]]
) -> AsyncGenerator[bytes, None]:
    if first is not None:
        yield _encoded(first)
        async for events in rest:
            yield _encoded(events)


def _encoded(events: Sequence[StoredRecord]) -> bytes:
    return b"".join([to_json(event) + b"\n" for event in events])
