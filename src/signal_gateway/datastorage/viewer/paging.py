"""Paging: pages of events with cursors in both directions."""

from dataclasses import dataclass, replace

from signal_gateway.datastorage.backend import Backend, StoredRecord
from signal_gateway.datastorage.query import EventQuery, Order, Position

__all__ = ["ResultPage", "read_result_page"]


@dataclass(frozen=True, slots=True)
class ResultPage:
    """A page of events, with the cursors of the pages before and after.

    Attributes:
        events: In display order.
        total: The number of events that match; at least so many if it is not exact.
        total_is_exact: Whether all events that match were counted.
        back: The cursor of the page before, None on the first page.
        forward: The cursor of the page after, None on the last page.
    """

    events: list[StoredRecord]
    total: int
    total_is_exact: bool
    back: str | None
    forward: str | None


async def read_result_page(backend: Backend, query: EventQuery, *, order: Order) -> ResultPage:
    """Read the page at the cursor of a query.

    A cursor of the opposite order goes back: the page ends before it. If that page would begin before the first event,
    this reads the full first page.

    Args:
        backend: The database.
        query: The query, in the order of its cursor.
        order: The display order.
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
        page.total_is_exact,
        _cursor(query, other, events[0]) if has_back else None,
        _cursor(query, order, events[-1]) if has_forward else None,
    )


def _cursor(query: EventQuery, order: Order, event: StoredRecord) -> str:
    return replace(query, order=order).cursor(Position(event.event_timestamp, event.sequence))
