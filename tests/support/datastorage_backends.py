"""What tests of the backends themselves start from."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from signal_gateway.datastorage.backend import Backend, EventRow
from signal_gateway.datastorage.database import backend_for
from signal_gateway.datastorage.query import EventQuery

__all__ = ["envelopes", "exported", "opened", "row"]


@asynccontextmanager
async def opened(backend: Backend | str) -> AsyncIterator[Backend]:
    """Open a backend, or the one for a URL, and close it in the end."""
    backend = backend_for(backend) if isinstance(backend, str) else backend
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()


def row(n: int, **values: Any) -> EventRow:
    """A row that says its number, with an id and a time that grow with it."""
    plain = EventRow(str(UUID(int=n)), n, n, "t", "c", "success", "x", None, None, f'{{"n":{n}}}', "{}")
    return plain._replace(**values)


def envelopes(*numbers: int) -> list[str]:
    """The envelopes of rows with these numbers."""
    return [row(n).envelope for n in numbers]


async def exported(backend: Backend, query: EventQuery = EventQuery(order="asc")) -> list[str]:  # noqa: B008 - frozen
    """The envelopes of all that a query matches."""
    return [event.envelope async for events in backend.export(query) for event in events]
