"""Pages that can be turned both ways with the cursors of the API."""

from dataclasses import dataclass, replace

from signal_gateway.datastorage.backend import Backend, StoredRecord
from signal_gateway.datastorage.query import EventQuery, Order, Position

__all__ = ["ResultPage", "read_result_page"]


@dataclass(frozen=True, slots=True)
class ResultPage:
    """A page of events and the cursors of its neighbours.

    Attributes:
        events: In the order that they are shown in.
        total: How many events match in all.
        back: Cursor of the page before this one, None on the first.
        forward: Cursor of the page after this one, None on the last.
    """

    events: list[StoredRecord]
    total: int
    back: str | None
    forward: str | None


async def read_result_page(backend: Backend, query: EventQuery, *, order: Order) -> ResultPage:
    """Read the page where a query's cursor points.

    A cursor of the other order goes back: the page ends just before it. A page that would start before the first
    event is the first page, full as ever.

    Args:
        backend: Keeps the events.
        query: What to read; its order is that of its cursor.
        order: What the events are shown in.
    """
    page = await backend.query(query)
    if query.order == order:
        events = list(page.events)
        has_back, has_forward = query.after is not None and bool(events), page.has_more
    elif page.has_more:
        events = list(reversed(page.events))
        has_back, has_forward = True, True
    else:
        return await read_result_page(backend, replace(query, order=order, after=None), order=order)

    other: Order = "asc" if order == "desc" else "desc"
    return ResultPage(
        events,
        page.total,
        _cursor(query, other, events[0]) if has_back else None,
        _cursor(query, order, events[-1]) if has_forward else None,
    )


def _cursor(query: EventQuery, order: Order, event: StoredRecord) -> str:
    return replace(query, order=order).cursor(Position(event.event_timestamp, event.sequence))
