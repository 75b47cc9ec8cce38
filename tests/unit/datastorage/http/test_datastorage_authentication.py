"""Who may do what at a DataStorage with a token file, and what its answers carry."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.html_tree import read_html

from signal_gateway.testing import EmbeddedDataStorage
from signal_gateway.web.problem import PROBLEM_JSON

EVENTS = "/api/v1/audit/events"
BATCH = "/api/v1/audit/events/batch"
EXPORT = "/api/v1/audit/export"
READER, WRITER, OPERATOR, STRANGER = "reader-" * 5, "writer-" * 5, "operator-" * 5, "stranger-" * 5
MakeEvent = Callable[..., dict[str, Any]]
Serve = Callable[..., httpx.Client]


@pytest.fixture
def database(tmp_path: Path) -> str:
    """SQLite is enough: no database is asked who is there."""
    return f"sqlite:///{tmp_path}/audit.db"


@pytest.fixture
def token_file(write_tokens: Callable[[str], Path]) -> Path:
    return write_tokens(f"read {READER}\nwrite {WRITER} gateway\nread,write {OPERATOR}\n")


@pytest.fixture
def guarded(serve: Serve, token_file: Path) -> httpx.Client:
    return serve(token_file=token_file)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(password: str, user: str = "me") -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def failures(client: httpx.Client) -> dict[str, float]:
    lines = [
        line.split() for line in client.get("/metrics").text.splitlines() if "authentication_failures_total{" in line
    ]
    return {name.split('"')[1]: float(value) for name, value in lines}


@pytest.mark.parametrize(
    ("token", "reads", "writes"), [(READER, 200, 403), (WRITER, 403, 201), (OPERATOR, 200, 201), (STRANGER, 401, 401)]
)
def test_token_is_good_for_its_scopes(
    guarded: httpx.Client, make_wire_event: MakeEvent, token: str, reads: int, writes: int
) -> None:
    for path in (EVENTS, EXPORT):
        assert guarded.get(path, headers=bearer(token)).status_code == reads
    assert guarded.head(EXPORT, headers=bearer(token)).status_code == reads
    assert guarded.post(EVENTS, json=make_wire_event(), headers=bearer(token)).status_code == writes
    assert guarded.post(BATCH, json=[make_wire_event()], headers=bearer(token)).status_code == writes


@pytest.mark.parametrize(("token", "status"), [(READER, 200), (WRITER, 200), (OPERATOR, 200), (STRANGER, 401)])
def test_limits_are_for_those_who_write_too(guarded: httpx.Client, token: str, status: int) -> None:
    assert guarded.get("/api/v1/audit/limits", headers=bearer(token)).status_code == status


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probes_and_scrapers_need_no_token(guarded: httpx.Client, path: str) -> None:
    assert guarded.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/", "/nowhere", "/healthz/", "//healthz", "/healthz/../api/v1/audit/events"])
def test_every_other_path_needs_one(guarded: httpx.Client, path: str) -> None:
    request = guarded.build_request("GET", "/")
    request.url = request.url.copy_with(raw_path=path.encode())

    assert guarded.send(request).status_code == 401


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
def test_every_other_method_needs_write(guarded: httpx.Client, method: str) -> None:
    assert guarded.request(method, EVENTS, headers=bearer(READER)).status_code == 403
    assert guarded.request(method, EVENTS, headers=bearer(WRITER)).status_code == 405


def test_refusals_are_problems_that_say_what_to_send(guarded: httpx.Client) -> None:
    missing = guarded.get(EVENTS)
    unknown = guarded.get(EVENTS, headers=bearer(STRANGER))
    insufficient = guarded.post(EVENTS, json={}, headers=bearer(READER))

    answers = (missing, unknown, insufficient)
    assert {answer.headers["content-type"] for answer in answers} == {PROBLEM_JSON}
    assert [answer.json()["status"] for answer in answers] == [401, 401, 403]
    assert [answer.headers.get_list("www-authenticate") for answer in answers] == [
        ['Bearer realm="DataStorage"'],
        ['Bearer realm="DataStorage", error="invalid_token"'],
        ['Bearer realm="DataStorage", error="insufficient_scope", scope="write"'],
    ]
    assert not any(token in answer.text for answer in answers for token in (STRANGER, READER))


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        f"Token {READER}",
        READER,
        "Basic",
        "Basic !!!",
        f"Basic {READER}",
        f"Bearer {READER} x",
        "\xff",
    ],
)
def test_header_of_another_form_is_refused(guarded: httpx.Client, header: str) -> None:
    answer = guarded.get(EVENTS, headers=[(b"Authorization", header.encode("latin-1"))])

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_two_authorization_headers_are_refused(guarded: httpx.Client) -> None:
    headers = [("Authorization", f"Bearer {OPERATOR}"), ("Authorization", f"Bearer {READER}")]

    assert guarded.get(EVENTS, headers=headers).status_code == 401


def test_scheme_may_be_written_in_any_case(guarded: httpx.Client) -> None:
    assert guarded.get(EVENTS, headers={"Authorization": f"bEARER {READER}"}).status_code == 200


def test_browser_is_asked_for_a_password_and_the_token_is_one(guarded: httpx.Client) -> None:
    page = {"Accept": "text/html,application/xhtml+xml"}

    asked = guarded.get(EVENTS, headers=page)

    assert asked.headers.get_list("www-authenticate") == [
        'Bearer realm="DataStorage"',
        'Basic realm="DataStorage", charset="UTF-8"',
    ]
    assert guarded.get(EVENTS, headers=page | basic(READER)).status_code == 200
    assert guarded.get(EVENTS, headers=basic(OPERATOR, user="")).status_code == 200
    assert guarded.get(EVENTS, headers=page | basic(STRANGER)).status_code == 401
    assert guarded.get(EVENTS, headers=basic(WRITER)).status_code == 403


def test_browser_with_a_token_without_the_scope_is_asked_for_another(guarded: httpx.Client) -> None:
    answer = guarded.get("/", headers={"Accept": "text/html"} | basic(WRITER))

    assert answer.status_code == 401
    assert 'Basic realm="DataStorage", charset="UTF-8"' in answer.headers.get_list("www-authenticate")


def test_browser_without_a_token_reads_how_to_sign_in(guarded: httpx.Client) -> None:
    answer = guarded.get("/?since=24h", headers={"Accept": "text/html,application/xhtml+xml"})

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = read_html(answer.text)
    assert "Give the token as the password." in page.one("ol").words
    assert guarded.get(f"/{page.one('link', rel='stylesheet')['href']}").status_code == 200


def test_program_without_a_token_gets_the_problem(guarded: httpx.Client) -> None:
    assert guarded.get("/").headers["content-type"] == "application/problem+json"


def test_password_of_a_browser_writes_nothing(guarded: httpx.Client, make_wire_event: MakeEvent) -> None:
    answer = guarded.post(EVENTS, json=make_wire_event(), headers=basic(OPERATOR) | {"Accept": "text/html"})

    assert answer.status_code == 401
    assert answer.headers.get_list("www-authenticate") == ['Bearer realm="DataStorage"']
    assert guarded.get(EVENTS, headers=bearer(READER)).json()["pagination"]["total"] == 0


def test_refusals_are_counted_by_reason(guarded: httpx.Client) -> None:
    guarded.get(EVENTS)
    guarded.get(EVENTS, headers={"Authorization": "Digest x"})
    guarded.get(EVENTS, headers=bearer(STRANGER))
    guarded.get(EVENTS, headers=bearer(STRANGER[1:]))
    guarded.post(EVENTS, json={}, headers=basic(OPERATOR))
    guarded.post(EVENTS, json={}, headers=bearer(READER))

    assert failures(guarded) == {
        "missing": 1,
        "malformed": 1,
        "unknown_token": 2,
        "basic_for_write": 1,
        "insufficient_scope": 1,
    }


def test_body_is_limited_before_anybody_is_asked_who_they_are(serve: Serve, token_file: Path) -> None:
    client = serve(token_file=token_file, max_body_bytes=100)

    assert client.post(BATCH, content=b" " * 101).status_code == 413


def test_sender_of_a_large_body_sees_that_it_was_refused(guarded: httpx.Client) -> None:
    answer = guarded.post(BATCH, content=b" " * 4_000_000, headers={"Content-Type": "application/json"})

    assert answer.status_code == 401


def test_tokens_change_while_datastorage_serves(guarded: httpx.Client, token_file: Path) -> None:
    new = token_file.with_name("new")
    new.touch(mode=0o600)
    new.write_text(f"read {STRANGER}\n")
    new.replace(token_file)

    assert guarded.get(EVENTS, headers=bearer(STRANGER)).status_code == 200
    assert guarded.get(EVENTS, headers=bearer(READER)).status_code == 401

    token_file.write_text("nonsense\n")

    assert guarded.get(EVENTS, headers=bearer(STRANGER)).status_code == 200
    assert guarded.get(EVENTS).status_code == 401


def test_without_a_token_file_everybody_may_do_everything(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    assert client.post(EVENTS, json=make_wire_event()).status_code == 201
    assert client.get(EVENTS, headers=bearer(STRANGER)).status_code == 200


def test_embedded_datastorage_takes_a_token_file(token_file: Path) -> None:
    with EmbeddedDataStorage(token_file=str(token_file)) as datastorage:
        statuses = [
            httpx.get(f"{datastorage.url}{EVENTS}", headers=headers).status_code for headers in ({}, bearer(READER))
        ]

    assert statuses == [401, 200]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", EVENTS), ("GET", "/healthz"), ("GET", "/nowhere"), ("PUT", EVENTS), ("POST", BATCH)]
)
@pytest.mark.parametrize("headers", [{}, bearer(OPERATOR)])
def test_every_answer_has_the_security_headers(
    guarded: httpx.Client, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = guarded.request(method, path, headers=headers)

    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert len(answer.headers["x-request-id"]) == 36
