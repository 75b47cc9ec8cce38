"""Whatever is in an event or a URL is shown as text, and the pages need nothing that a strict policy forbids."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.html_tree import Element
from tests.support.viewer_client import form_values, get, search, store, timeline

from signal_gateway.datastorage import create_datastorage
from signal_gateway.datastorage.viewer.search import FIELDS
from signal_gateway.testing import LiveServer

MakeEvent = Callable[..., dict[str, Any]]

ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus=alert(1) x='",
    "</title></textarea></pre></svg><svg onload=alert(1)>",
    "{{7*7}}{% raw %}",
    "javascript:alert(1)//",
    "&lt;b&gt;&amp;&#60;",
    "\u202eevil\u2066",
)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    with LiveServer(create_datastorage(f"sqlite:///{tmp_path}/audit.db").app, name="DataStorage") as server:
        yield server.client


def check(page: Element) -> None:
    """Fail on anything that a page of ours has not, whoever put it there."""
    assert [script["src"].partition(".")[0] for script in page.all("script")] == ["static/viewer"]
    assert {image["src"].partition(".")[0] for image in page.all("img")} == {"static/icon"}
    for element in page:
        assert element.tag not in ("style", "iframe", "object", "base", "textarea")
        assert not [name for name in element.attributes if name.startswith("on") or name in ("style", "autofocus")]
        for name in ("href", "src", "action"):
            link = element.attributes.get(name) or ""
            assert (
                link.startswith(("./", "?", "#", "correlations", "cases", "integrity", "api/v1/", "static/"))
                or not link
            ), link


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_values_of_an_event_are_text(client: httpx.Client, make_wire_event: MakeEvent, attack: str) -> None:
    texts = {
        "event_type": 100, "event_category": 50, "event_action": 50, "correlation_id": 255, "actor_type": 50,
        "actor_id": 255, "resource_type": 100, "resource_id": 255, "namespace": 253, "cluster_id": 255, "severity": 20,
        "error_code": 50, "error_message": 1000,
    }  # fmt: skip
    members = {name: attack[:width] for name, width in texts.items()}
    store(client, make_wire_event(**members, event_outcome="failure", detail={attack: attack}))

    found = search(client)
    page = timeline(client, attack)

    check(found)
    check(page)
    shown = {bdi.text for bdi in page.all("bdi")}
    assert set(members.values()) <= shown
    assert {members[name] for name in ("event_type", "correlation_id", "actor_id", "severity")} <= {
        bdi.text for bdi in found.all("bdi")
    }
    assert attack.replace('"', '\\"') in page.one("details", class_="payload").one("pre").text
    assert found.one("datalist", id="event_type-choices").one("option")["value"] == attack[:100]


FREE_TEXTS = {
    "correlation_id", "event_type", "event_category", "severity", "resource_type", "resource_name", "namespace",
    "actor_type", "actor_id", "text",
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_parameters_are_text(client: httpx.Client, make_wire_event: MakeEvent, attack: str) -> None:
    store(client, make_wire_event())

    for name in (*FIELDS, "cursor", "limit", "<script>", '"><b>'):
        is_free_text = name in FREE_TEXTS
        page = search(client, {"severity": attack, name: attack}, status=200 if is_free_text else 400)

        check(page)
        if name in FIELDS:
            assert form_values(page)[name] == attack


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_unknown_correlation_is_text(client: httpx.Client, attack: str) -> None:
    page = timeline(client, attack, status=404)

    check(page)
    assert page.one("p", class_="id").one("bdi").text == attack


def test_pages_have_a_language_a_title_and_labels(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    empty = search(client)
    store(client, make_wire_event(), make_wire_event(event_timestamp="2026-02-01T00:00:00Z"))
    pages = [empty, search(client), search(client, since="x", status=400), timeline(client, "rr-1")]
    pages += [timeline(client, "no", status=404), search(client, severity="no")]

    for page in pages:
        check(page)
        assert page.one("html")["lang"] == "en"
        assert page.one("head").one("title").words.endswith(" · Audit trail")
        assert len(page.all("h1")) == 1
        assert len(page.all("main")) == 1
        labelled = {label["for"] for label in page.all("label")}
        fields = [
            field for tag in ("input", "select") for field in page.all(tag) if field.attributes.get("type") != "hidden"
        ]
        assert {field["id"] for field in fields} == labelled
        ids = [element["id"] for element in page if "id" in element.attributes]
        assert len(ids) == len(set(ids))
        for element in page:
            for name in ("aria-labelledby", "aria-describedby"):
                assert set((element.attributes.get(name) or "").split()) <= set(ids)


def test_static_files_are_kept_for_good_under_a_url_of_their_content(client: httpx.Client) -> None:
    page = search(client)
    links = [page.one("script")["src"], *(link["href"] for link in page.all("link"))]

    for link, media_type in zip(links, ["text/javascript", "image/svg+xml", "text/css"], strict=True):
        answer = client.get(f"/{link}")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].partition(";")[0] == media_type
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert link.split(".")[1] == sha256(answer.content).hexdigest()[:16]
    assert client.get("/").headers["Cache-Control"] == "no-store"


def test_viewer_only_reads(client: httpx.Client) -> None:
    for path in ("/", "/correlations"):
        refused = client.post(path)
        assert refused.status_code == 405
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert client.head(path).status_code in (200, 400)


def test_pages_work_behind_a_path_of_a_proxy(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, make_wire_event())

    for page in (search(client), timeline(client, "rr-1"), get(client, "?since=x", status=400)):
        links = [element.attributes.get(name) for element in page for name in ("href", "src", "action")]
        assert not [link for link in links if link and link.startswith(("/", "http"))]
