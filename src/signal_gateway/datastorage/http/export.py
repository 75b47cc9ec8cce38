"""Export: streams all events that a query matches, as NDJSON or CSV."""

import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, cast

import orjson
from starlette.responses import StreamingResponse
from starlette.types import Send

from signal_gateway.audit.presentation.event_csv import CsvLines
from signal_gateway.datastorage.backend import Backend, BackendUnavailable, StoredRecord
from signal_gateway.datastorage.query import EventQuery, event_query
from signal_gateway.datastorage.record import to_json
from signal_gateway.web.problem import Problem

__all__ = ["CSV", "FORMATS", "NDJSON", "PAGING", "Export", "export_of", "export_response"]

NDJSON = "application/x-ndjson"
CSV = "text/csv; charset=utf-8"
FORMATS: Final = ("ndjson", "csv")
PAGING = ("limit", "offset", "cursor", "total")
"""Parameters of a page that an export does not have: it returns all events."""

_log = logging.getLogger(__name__)

_Slices = AsyncGenerator[Sequence[StoredRecord], None]


_MAX_NAME_LENGTH = 120
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Export(NamedTuple):
    """An export that was asked for.

    Attributes:
        query: The events.
        format: One of `FORMATS`.
    """

    query: EventQuery
    format: str

    @property
    def media_type(self) -> str:
        """The media type of the response."""
        return CSV if self.format == "csv" else NDJSON

    @property
    def file_name(self) -> str:
        """The name of a file for the export: the filters of the query, with absolute times, in ASCII."""
        query = self.query
        exact = (query.correlation_id, query.event_type, query.event_category, query.event_outcome, query.severity)
        parts = ["audit", *(value for value in exact if value), *(query.detail or ())]
        for name, moment in (("since", query.since), ("until", query.until)):
            if moment is not None:
                parts.append(f"{name}-{moment:%Y%m%dT%H%M%SZ}")
        words = [_UNSAFE.sub("-", part).strip("-.") for part in parts]
        return f"{'_'.join(filter(None, words))[:_MAX_NAME_LENGTH]}.{self.format}"


def export_of(parameters: Iterable[tuple[str, str]], *, now: datetime) -> Export:
    """Parse an export: the query of a page without `PAGING`, oldest first by default, and `format`, one of `FORMATS`.

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
    formats = [value for name, value in given if name == "format"] or ["ndjson"]
    if len(formats) > 1 or formats[0] not in FORMATS:
        reason = f"must be one of {', '.join(FORMATS)}, given once, not {', '.join(formats)!r}"
        raise Problem(
            400, f"Query parameter 'format' {reason}.", members={"errors": [{"field": "format", "reason": reason}]}
        )
    given = [(name, value) for name, value in given if name != "format"]
    return Export(event_query(given if "order" in names else [*given, ("order", "asc")], now=now), formats[0])


async def export_response(backend: Backend, export: Export) -> StreamingResponse:
    """Return the response of an export, after reading the first slice. An error until then becomes an error status.

    Raises:
        BackendUnavailable: The first slice cannot be read.
    """
    slices = cast(_Slices, backend.export(export.query))
    first = await anext(slices, None)
    return _ExportResponse(first, slices, export)


class _ExportResponse(StreamingResponse):
    """Reads a slice after the client has taken the one before, and stops when the client disconnects.

    If the database fails meanwhile, the connection closes without the end of the chunked encoding: a complete response
    is a complete export.
    """

    def __init__(self, first: Sequence[StoredRecord] | None, rest: _Slices, export: Export) -> None:
        self._rest = rest
        self._lines = _lines(first, rest, _CsvEncoder() if export.format == "csv" else _NdjsonEncoder())
        headers = {"Content-Disposition": f'attachment; filename="{export.file_name}"'}
        super().__init__(self._lines, media_type=export.media_type, headers=headers)

    async def stream_response(self, send: Send) -> None:
        # closed here and not by the garbage collector, as it holds a reader that other requests need
        async with aclosing(self._rest), aclosing(self._lines):
            try:
                await super().stream_response(send)
            except BackendUnavailable:
                _log.error("an export ended early: the database became unavailable")
                raise


class _Encoder(Protocol):
    def heading(self) -> bytes: ...

    def encoded(self, events: Sequence[StoredRecord]) -> bytes: ...


class _NdjsonEncoder:
    def heading(self) -> bytes:
        return b""

    def encoded(self, events: Sequence[StoredRecord]) -> bytes:
        return b"".join([to_json(event) + b"\n" for event in events])


class _CsvEncoder:
    def __init__(self) -> None:
        self._lines = CsvLines()

    def heading(self) -> bytes:
        return self._lines.heading()

    def encoded(self, events: Sequence[StoredRecord]) -> bytes:
        rows: list[dict[str, Any]] = [orjson.loads(to_json(event)) for event in events]
        return b"".join([self._lines.row(row) for row in rows])


async def _lines(
    first: Sequence[StoredRecord] | None, rest: AsyncIterator[Sequence[StoredRecord]], encoder: _Encoder
) -> AsyncGenerator[bytes, None]:
    if heading := encoder.heading():
        yield heading
    if first is not None:
        yield encoder.encoded(first)
        async for events in rest:
            yield encoder.encoded(events)
