"""Search: the query string of a page, its filters, and links to related searches."""

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
    """An input of the search form.

    Attributes:
        name: The name of the query parameter.
        label: The label of the input.
        example: The placeholder of the empty input.
        choices: Suggested values; others are allowed.
        is_advanced: Whether the input is under "More filters".
    """

    name: str
    label: str
    example: str = ""
    choices: Sequence[str] = ()
    is_advanced: bool = False


FIELDS = {
    field.name: field
    for field in (
        SearchField("text", "Name contains", "workload, alert, actor or id"),
        SearchField("correlation_id", "Correlation id", "exact, such as rr-5f2a91"),
        SearchField("event_type", "Event type", "exact, such as gateway.crd.created"),
        SearchField("event_outcome", "Outcome", choices=("success", "failure", "pending")),
        SearchField("since", "Since (UTC)", "24h, 7d, 2026-01-31", ("15m", "1h", "24h", "7d", "30d")),
        SearchField("until", "Until (UTC)", "now", ("1h", "24h", "7d")),
        SearchField("resource_type", "Kind", "exact, such as Deployment", is_advanced=True),
        SearchField("resource_name", "Resource name", "exact, such as payment-api", is_advanced=True),
        SearchField("namespace", "Namespace", "exact", is_advanced=True),
        SearchField("actor_type", "Actor type", "exact", ("user", "service", "external"), is_advanced=True),
        SearchField("actor_id", "Actor", "exact, such as alertmanager", is_advanced=True),
        SearchField("event_category", "Category", "exact, such as gateway", is_advanced=True),
        SearchField("severity", "Severity", "exact", ("critical", "warning", "info"), is_advanced=True),
        SearchField("detail_key", "Payload field", "such as signal_name", is_advanced=True),
        SearchField("detail_value", "Payload value", "exact", is_advanced=True),
    )
}

RANGES = (("15m", "15 min"), ("1h", "1 h"), ("24h", "24 h"), ("7d", "7 days"), ("30d", "30 days"), ("", "All"))

SEARCH_PARAMETERS = {*FIELDS, "limit", "cursor"}
TIMELINE_PARAMETERS = {"correlation_id", "limit", "cursor"}

_PAIR = {"detail_key", "detail_value"}


class Filter(NamedTuple):
    """An active filter.

    Attributes:
        label: The label of its input.
        value: The value from the query string.
        without: The search without this filter.
    """

    label: str
    value: str
    without: "Search"


class InvalidParameter(NamedTuple):
    """An invalid parameter of a query string.

    Attributes:
        field: The name of the parameter.
        message: A sentence with the allowed values.
    """

    field: str
    message: str


@dataclass(frozen=True)
class Search:
    """The parameters of a query string. An empty value counts as absent, because a form sends its empty inputs too.

    Attributes:
        given: Names and values, in order.
    """

    given: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, parameters: Iterable[tuple[str, str]]) -> "Search":
        """Build a search from the parameters of a URL."""
        return cls(tuple((name, value) for name, value in parameters if value))

    @property
    def values(self) -> dict[str, str]:
        """The values by name."""
        return dict(self.given)

    def query(self, *, now: datetime, names: Set[str] = SEARCH_PARAMETERS, default_order: Order = "desc") -> EventQuery:
        """Return the query for the backend.

        Args:
            now: The reference of a relative time.
            names: The parameters of the page.
            default_order: The order of the first page. A cursor has its own order.

        Raises:
            Problem: 400, as in the API.
        """
        for name, _ in self.given:
            if name not in names:
                reason = f"is not a parameter of this page; use {', '.join(sorted(names))}"
                raise Problem(400, f"{name!r} {reason}.", members={"errors": [{"field": name, "reason": reason}]})
        query = event_query(self.given, now=now)
        return query if query.after else replace(query, order=default_order)

    @property
    def filters(self) -> list[Filter]:
        """The active filters. The name and the value of a payload member are one filter."""
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
        """Return a changed search, at its first page. An empty value removes a filter."""
        return Search.of((dict(self.without("cursor").given) | changes).items())

    def without(self, *names: str) -> "Search":
        """Return the search without some parameters, without its cursor and without unknown parameters.

        The field and the value of a payload are removed together.
        """
        kept = SEARCH_PARAMETERS - {"cursor", *names}
        if not kept >= _PAIR:
            kept -= _PAIR
        return Search(tuple((name, value) for name, value in self.given if name in kept))

    @property
    def has_advanced(self) -> bool:
        """Whether a filter under "More filters" is active."""
        return any(FIELDS[name].is_advanced for name in self.values.keys() & FIELDS.keys())

    @property
    def url(self) -> str:
        """The URL of the search page, relative to every page of the viewer."""
        return f"./?{urlencode(self.given)}" if self.given else "./"

    @property
    def cases_url(self) -> str:
        """The URL of the cases that match, relative to every page of the viewer."""
        return f"cases?{urlencode(self.given)}" if self.given else "cases"

    def page_url(self, page: str) -> str:
        """Return the URL of the page of `events` or of `cases`."""
        return self.cases_url if page == "cases" else self.url

    @property
    def timeline_url(self) -> str:
        """The URL of the timeline page, relative to every page of the viewer."""
        return f"correlations?{urlencode(self.given)}"

    def export_url(self, export_format: str) -> str:
        """Return the API's URL for all events of the search, in one of the formats of an export."""
        return self.without("limit").api_url("export", format=export_format)

    def api_url(self, path: str, **further: str) -> str:
        """Return the API's URL for the same search, at its first page."""
        parameters = urlencode([*self.with_values().given, *further.items()])
        return f"api/v1/audit/{path}?{parameters}" if parameters else f"api/v1/audit/{path}"


def invalid_parameter_of(problem: Problem) -> InvalidParameter:
    """Describe a problem with a parameter, by the label of its input."""
    error = problem.members["errors"][0]
    name: str = error["field"]
    return InvalidParameter(name, f"{FIELDS[name].label if name in FIELDS else repr(name)} {error['reason']}.")


def timeline_url(correlation_id: str) -> str:
    """Return the URL of the timeline of a correlation id, relative to every page of the viewer."""
    return Search((("correlation_id", correlation_id),)).timeline_url
