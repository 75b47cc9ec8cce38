"""Bodies made to hurt: each is refused, says why in few words, and leaves the service as it was."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from signal_gateway.web.problem import PROBLEM_JSON

EVENTS = "/api/v1/audit/events"
BATCH = "/api/v1/audit/events/batch"
JSON = {"Content-Type": "application/json"}
MakeEvent = Callable[..., dict[str, Any]]
Serve = Callable[..., httpx.Client]


@pytest.fixture
def database(tmp_path: Path) -> str:
    """SQLite is enough: none of it gets that far."""
    return f"sqlite:///{tmp_path}/audit.db"


def head(length: int) -> bytes:
    """Announce a batch of so many bytes."""
    lines = (f"POST {BATCH} HTTP/1.1", "Host: x", "Content-Type: application/json", f"Content-Length: {length}", "", "")
    return "\r\n".join(lines).encode()


def is_unharmed(client: httpx.Client) -> bool:
    return client.get("/readyz").status_code == 200 and client.get(EVENTS).json()["pagination"]["total"] == 0


@pytest.mark.parametrize("path", [EVENTS, BATCH])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 5_000_000, id="nested arrays"),
        pytest.param(b'{"a":' * 800_000, id="nested objects"),
        pytest.param(b"9" * 5_000_000, id="a number of many digits"),
        pytest.param(b"[" + b"1," * 2_000_000 + b"1]", id="many items"),
        pytest.param(b'{"a":1,' * 3 + b"}" * 3, id="broken"),
        pytest.param(b'["\\ud800"]', id="half a character"),
        pytest.param(b'["\xff"]', id="no UTF-8"),
        pytest.param(b"[NaN]", id="not a number"),
        pytest.param(b"\xef\xbb\xbf[]", id="byte order mark"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[null]", id="an array of null"),
    ],
)
def test_body_that_is_no_event_is_a_400_in_few_words(client: httpx.Client, path: str, body: bytes) -> None:
    answer = client.post(path, content=body, headers=JSON)

    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM_JSON)
    assert len(answer.content) < 2000
    assert is_unharmed(client)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"deep": json.loads("[" * 90 + "]" * 90)}, id="deep"),
        pytest.param({"long": "x" * 300_000}, id="long"),
        pytest.param({"n": 10**4000}, id="a number beyond every database"),
        pytest.param({"nul": "a\0b"}, id="a NUL"),
    ],
)
def test_event_data_that_cannot_be_kept_is_a_400(
    client: httpx.Client, make_wire_event: MakeEvent, data: dict[str, Any]
) -> None:
    answer = client.post(BATCH, content=json.dumps([make_wire_event(detail=data)]), headers=JSON)

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["event_data"]
    assert len(answer.content) < 2000
    assert is_unharmed(client)


def test_refusal_of_a_batch_names_each_bad_item_and_quotes_little(
    client: httpx.Client, make_wire_event: MakeEvent
) -> None:
    bad = make_wire_event() | {"event_data": {"event_type": "y" * 4000}}
    many = dict.fromkeys(make_wire_event(), -1)

    answer = client.post(BATCH, json=[bad, many] * 500)

    errors = answer.json()["errors"]
    assert answer.status_code == 400
    assert {error["index"] for error in errors} == set(range(1000))
    assert max(len(error["reason"]) for error in errors) <= 300
    assert len(errors) == 500 + 500 * 5
    assert len(answer.json()["detail"]) < 500
    assert is_unharmed(client)


def test_endless_body_is_cut_at_the_limit(serve: Serve) -> None:
    client = serve(max_body_bytes=100_000)

    answer = client.post(BATCH, content=iter(lambda: b" " * 10_000, None), headers=JSON)

    assert answer.status_code == 413


def test_slow_sender_is_sent_away(serve: Serve) -> None:
    client = serve(body_timeout=0.05)
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=60) as sock:
        sock.sendall(head(1000) + b"[")
        answer = b"".join(iter(lambda: sock.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 408")
    assert PROBLEM_JSON.encode() in answer
    assert is_unharmed(client)


def test_sender_that_leaves_in_the_midst_of_a_body_stores_nothing(
    client: httpx.Client, make_wire_event: MakeEvent
) -> None:
    body = json.dumps([make_wire_event()]).encode()
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=60) as sock:
        sock.sendall(head(len(body) + 1) + body)

    assert is_unharmed(client)
