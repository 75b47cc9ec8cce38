"""Search: what a page is asked for, which is its query string."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode

from signal_gateway.datastorage.query import EventQuery, Order, event_query
from signal_gateway.web.problem import Problem

__all__ = [
    "FIELDS",
    "RANGES",
    "SEARCH_PARAMETERS",
    "TIMELINE_PARAMETERS",
    "Filter",
    "InvalidParameter",
    "Search",
    "SearchField",
    "invalid_parameter_of",
    "timeline_url",
]


class SearchField(NamedTuple):
    """An input of the form, or two that belong together.

    Attributes:
        name: Of the query parameter.
        label: What people call it.
        example: Shown in it while it is empty.
        choices: Offered; anything else may be typed.
        is_further: Whether it is one of those that are needed more rarely.
    """

    name: str
    label: str
    example: str = ""
    choices: Sequence[str] = ()
    is_further: bool = False


FIELDS = {
    field.name: field
    for field in (
        SearchField("correlation_id", "Correlation id", "exact, such as rr-5f2a91"),
        SearchField("event_type", "Event type", "exact, such as gateway.crd.created"),
        SearchField("event_outcome", "Outcome", choices=("success", "failure", "pending")),
        SearchField("since", "Since", "24h, 7d, 2026-01-31", ("15m", "1h", "24h", "7d", "30d")),
        SearchField("until", "Until", "now", ("1h", "24h", "7d")),
        SearchField("event_category", "Category", "exact, such as gateway", is_further=True),
        SearchField("severity", "Severity", "exact", ("critical", "warning", "info"), is_further=True),
        SearchField("detail_key", "Payload field", "such as signal_name", is_further=True),
        SearchField("detail_value", "Payload value", "exact", is_further=True),
    )
}

RANGES = (("15m", "15 min"), ("1h", "1 h"), ("24h", "24 h"), ("7d", "7 days"), ("30d", "30 days"), ("", "All"))

SEARCH_PARAMETERS = {*FIELDS, "limit", "cursor"}
TIMELINE_PARAMETERS = {"correlation_id", "limit", "cursor"}

_PAIR = {"detail_key", "detail_value"}


class Filter(NamedTuple):
    """A filter that is set.

    Attributes:
        label: What people call it.
        value: As it was given.
        without: The search without it.
    """

    label: str
    value: str
    without: "Search"


class InvalidParameter(NamedTuple):
    """Why a query string can't be answered.

    Attributes:
        field: The parameter.
        message: A sentence that says what is allowed.
    """

    field: str
    message: str


@dataclass(frozen=True)
class Search:
    """What is asked for, as it was given; an empty value is none, because a form sends its empty inputs too.

    Attributes:
        given: Names and values, in their order.
    """

    given: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, parameters: Iterable[tuple[str, str]]) -> "Search":
        """Read the parameters of a URL."""
        return cls(tuple((name, value) for name, value in parameters if value))

    @property
    def values(self) -> dict[str, str]:
        """The values by name."""
        return dict(self.given)

    def query(self, *, now: datetime, names: Set[str] = SEARCH_PARAMETERS, default_order: Order = "desc") -> EventQuery:
        """Return what is asked of the backend.

        Args:
            now: What a relative time is subtracted from.
            names: The parameters that the page takes.
            default_order: Of the first page; a cursor says its own.

        Raises:
            Problem: 400, as of the API.
        """
        for name, _ in self.given:
            if name not in names:
                reason = f"is not a parameter of this page; it takes {', '.join(sorted(names))}"
                raise Problem(400, f"{name!r} {reason}.", members={"errors": [{"field": name, "reason": reason}]})
        query = event_query(self.given, now=now)
        return query if query.after else replace(query, order=default_order)

    @property
    def filters(self) -> list[Filter]:
        """The filters that are set; the name and the value of a payload's member are one."""
        values = self.values
        found = [
            Filter(field.label, values[name], self.without(name))
            for name, field in FIELDS.items()
            if name in values and name not in _PAIR
        ]
        if values.keys() >= _PAIR:
            value = f"{values['detail_key']} = {values['detail_value']}"
            found.append(Filter("Payload", value, self.without(*_PAIR)))
        return found

    def with_values(self, **changes: str) -> "Search":
        """Return another search from its first page on; an empty value takes a filter away."""
        return Search.of((dict(self.without("cursor").given) | changes).items())

    def without(self, *names: str) -> "Search":
        """Return the search without some parameters and its cursor, and without what no search takes.

        A payload's field and value go together.
        """
        kept = SEARCH_PARAMETERS - {"cursor", *names}
        if not kept >= _PAIR:
            kept -= _PAIR
        return Search(tuple((name, value) for name, value in self.given if name in kept))

    @property
    def has_further(self) -> bool:
        """Whether one of the filters that are needed more rarely is set."""
        return any(FIELDS[name].is_further for name in self.values.keys() & FIELDS.keys())

    @property
    def url(self) -> str:
        """Relative to every page of the viewer."""
        return f"./?{urlencode(self.given)}" if self.given else "./"

    @property
    def timeline_url(self) -> str:
        """The same for the timeline page."""
        return f"correlations?{urlencode(self.given)}"

    def api_url(self, path: str, **further: str) -> str:
        """Return where the API answers the same search, from its first page on."""
        parameters = urlencode([*self.with_values().given, *further.items()])
        return f"api/v1/audit/{path}?{parameters}" if parameters else f"api/v1/audit/{path}"


def invalid_parameter_of(problem: Problem) -> InvalidParameter:
    """Say a refusal of a parameter in the form's words."""
    error = problem.members["errors"][0]
    name: str = error["field"]
    return InvalidParameter(name, f"{FIELDS[name].label if name in FIELDS else repr(name)} {error['reason']}.")


def timeline_url(correlation_id: str) -> str:
    """Return where the timeline of a correlation id is, relative to every page of the viewer."""
    return Search((("correlation_id", correlation_id),)).timeline_url
