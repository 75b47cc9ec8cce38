"""PagePosition: the place in a query that is read page by page; oldest_first: the order of its events."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from signal_gateway.audit.client.query import EventPage
from signal_gateway.errors import AuditError

__all__ = ["PagePosition", "oldest_first"]

_MAX_PAGE = 1000


class PagePosition:
    """The place of the next page of a query: behind a cursor, or at an offset for a DataStorage without cursors.

    By offset, each page begins with the last event of the page before. Events that are stored meanwhile move the others
    to later pages, where `take` drops them. Events that move to pages that were read, behind removed ones, are an
    error.

    Args:
        url: URL of the DataStorage, for errors.
        limit: Maximum events of all pages; None for all matching events.

    Attributes:
        cursor: The cursor of the next page; None for the first page, and without cursors.
        is_over: Whether the last page was taken.
    """

    def __init__(self, url: str, *, limit: int | None) -> None:
        self.cursor: str | None = None
        self.is_over = False
        self._url = url
        self._limit = limit
        self._read = self._taken = 0
        self._known: set[object] = set()  # ids of the events of pages without a cursor

    @property
    def offset(self) -> int:
        """The offset of the next page."""
        return self._read - self._overlap

    @property
    def page_limit(self) -> int:
        """The maximum events of the next page."""
        return _MAX_PAGE if self._limit is None else min(_MAX_PAGE, self._limit - self._taken + self._overlap)

    @property
    def _overlap(self) -> int:
        return 1 if self._known else 0

    def take(self, page: EventPage) -> EventPage:
        """Return the page without the events of earlier pages, and move on.

        Raises:
            AuditError: Events were removed during the query, or an announced page is empty.
        """
        if self._known and (not page.events or page.events[0].get("event_id") not in self._known):
            raise AuditError(
                f"events were removed from DataStorage at {self._url} during the query, so that others moved to pages"
                " that were read before: repeat the query"
            )
        count = len(page.events) - self._overlap
        self._read += count
        if self._known or (page.has_more and page.cursor is None):
            page = self._without_known(page)
        self._taken += len(page.events)
        self.cursor = page.cursor
        self.is_over = not page.has_more or self._taken == self._limit
        if not self.is_over and not count:
            raise AuditError(
                f"DataStorage at {self._url} announced more than {self._read} events, and returned an empty page"
            )
        return page

    def _without_known(self, page: EventPage) -> EventPage:
        events = tuple(event for event in page.events if event.get("event_id") not in self._known)
        self._known.update(event.get("event_id") for event in events)
        return replace(page, events=events)


def oldest_first(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return events in the order of their time, if it is known; events of the same time stay in their order.

    Args:
        events: All events of a query in the order of the DataStorage, oldest or newest first.
    """
    try:
        if len(events) > 1 and _moment(events[0]) > _moment(events[-1]):
            return events[::-1]
    except (KeyError, TypeError, ValueError):
        pass  # without a valid time, the order of the server is all there is
    return events


def _moment(event: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(event["event_timestamp"])
