"""A reader of the viewer's pages, for its tests."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import httpx
from tests.support.html_tree import Element, read_html

__all__ = ["form_values", "get", "rows", "search", "store", "timeline"]


def store(client: httpx.Client, *documents: dict[str, Any]) -> None:
    """Store events as a client does."""
    for start in range(0, len(documents), 1000):
        client.post("/api/v1/audit/events/batch", json=documents[start : start + 1000]).raise_for_status()


def get(client: httpx.Client, url: str, *, status: int = 200) -> Element:
    """Read a page by an URL as a page has it, which is relative to the root."""
    answer = client.get(f"/{url.removeprefix('./')}")
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    return read_html(answer.text)


def search(
    client: httpx.Client, given: Mapping[str, str] | None = None, *, status: int = 200, **parameters: str
) -> Element:
    """Read the search page with the parameters of both kinds."""
    return get(client, f"?{urlencode({**(given or {}), **parameters})}", status=status)


def timeline(client: httpx.Client, correlation_id: str, *, status: int = 200, **parameters: str) -> Element:
    """Read the timeline of a correlation id."""
    return get(client, f"correlations?{urlencode({'correlation_id': correlation_id} | parameters)}", status=status)


def rows(page: Element) -> list[str]:
    """The event types that a search shows, in their order."""
    return [cell.all("bdi")[0].text for cell in page.all("td", class_="type")]


def form_values(page: Element) -> dict[str, str]:
    """What a browser would send with the search form as it is."""
    form = page.one("form", class_="search")
    values = {field["name"]: field["value"] for field in form.all("input")}
    for select in form.all("select"):
        options = select.all("option")
        chosen = [option for option in options if "selected" in option.attributes] or options[:1]
        values[select["name"]] = chosen[0].attributes.get("value", chosen[0].text) or ""
    return values
