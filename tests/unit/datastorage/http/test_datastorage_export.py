"""Export: everything or a cut connection, at the reader's pace."""

import asyncio
import csv
import io
import json
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx
import pytest
from tests.support.datastorage_backends import row

from signal_gateway.datastorage.backend import BackendUnavailable, StoredRecord
from signal_gateway.datastorage.http.export import NDJSON, Export, export_response
from signal_gateway.datastorage.query import EventQuery
from signal_gateway.datastorage.sqlite.backend import SqliteBackend
from signal_gateway.web.problem import PROBLEM_JSON

BATCH = "/api/v1/audit/events/batch"
EVENTS = "/api/v1/audit/events"
EXPORT = "/api/v1/audit/export"
MakeEvent = Callable[..., dict[str, Any]]


def store(client: httpx.Client, events: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(events), 1000):
        client.post(BATCH, json=events[start : start + 1000]).raise_for_status()


def read_lines(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.raise_for_status().text.splitlines()]


def a_slice(n: int, *, fill: int = 0) -> list[StoredRecord]:
    stored = row(n, event_data=f'{{"fill":"{"x" * fill}"}}')
    return [StoredRecord(n, n, n, stored.envelope, stored.event_data)]


def test_export_is_every_event_of_the_query_as_it_would_be_read(
    client: httpx.Client, make_wire_event: MakeEvent
) -> None:
    events = [make_wire_event(correlation_id=f"rr-{n % 2}", detail={"n": n}) for n in range(2500)]
    store(client, events)

    answer = client.get(
        EXPORT, params={"correlation_id": "rr-1", "detail_key": "event_type", "detail_value": "gateway.signal.received"}
    )

    assert answer.headers["content-type"] == NDJSON
    assert answer.headers["transfer-encoding"] == "chunked"
    assert [event["event_id"] for event in read_lines(answer)] == [event["event_id"] for event in events[1::2]]
    page = client.get(EVENTS, params={"correlation_id": "rr-1", "limit": 1, "order": "asc"}).json()["data"]
    assert read_lines(answer)[:1] == page


def test_export_is_newest_first_if_asked(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    events = [make_wire_event(event_timestamp=f"2026-01-0{day}T00:00:00Z") for day in (1, 2, 3)]
    store(client, events)

    answer = client.get(EXPORT, params={"order": "desc"})

    assert [event["event_id"] for event in read_lines(answer)] == [event["event_id"] for event in reversed(events)]


def test_export_of_nothing_is_empty(client: httpx.Client) -> None:
    answer = client.get(EXPORT)

    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"", NDJSON)


def test_export_as_csv_has_a_row_for_each_event(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    events = [make_wire_event(correlation_id=f"rr-{n}", actor_id="=1+1") for n in range(3)]
    store(client, events)

    answer = client.get(EXPORT, params={"format": "csv"})

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    found = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["event_id"] for row in found] == [event["event_id"] for event in events]
    assert {row["actor_id"] for row in found} == {"'=1+1"}


def test_export_of_nothing_as_csv_has_the_headings(client: httpx.Client) -> None:
    assert client.get(EXPORT, params={"format": "csv"}).text.startswith("event_timestamp,event_type,")


@pytest.mark.parametrize("given", ["format=xml", "format=csv&format=ndjson", "format="])
def test_unknown_format_of_an_export_names_the_formats(client: httpx.Client, given: str) -> None:
    answer = client.get(f"{EXPORT}?{given}")

    assert answer.status_code == 400
    assert "must be one of ndjson, csv" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "audit.ndjson"),
        ({"format": "csv", "correlation_id": 'rr/../"1', "event_outcome": "failure"}, "audit_rr-..-1_failure.csv"),
        (
            {"since": "2026-01-31T12:00:00Z", "until": "2026-02-01", "detail_key": "name", "detail_value": "a b"},
            "audit_name_a-b_since-20260131T120000Z_until-20260201T000000Z.ndjson",
        ),
        ({"correlation_id": "Ω" * 200}, "audit.ndjson"),
    ],
)
def test_file_of_an_export_is_named_after_the_question(client: httpx.Client, given: dict[str, str], name: str) -> None:
    answer = client.get(EXPORT, params=given)

    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'


def test_head_of_an_export_reads_nothing(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for backend in backends():
        monkeypatch.delattr(backend, "export")

    answer = client.head(EXPORT)

    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"", NDJSON)


@pytest.mark.parametrize("name", ["limit", "offset", "cursor"])
def test_export_takes_no_paging(client: httpx.Client, name: str) -> None:
    answer = client.get(EXPORT, params={name: "1"})

    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM_JSON)
    assert answer.json()["errors"][0]["field"] == name


def test_export_whose_beginning_fails_is_a_503(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> AsyncIterator[Sequence[StoredRecord]]:
        raise BackendUnavailable("no")
        yield ()

    for backend in backends():
        monkeypatch.setattr(backend, "export", broken)

    answer = client.get(EXPORT)

    assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM_JSON)


def test_export_that_fails_on_its_way_does_not_look_complete(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaking(*_: object) -> AsyncIterator[Sequence[StoredRecord]]:
        yield a_slice(1)
        raise BackendUnavailable("no more")

    for backend in backends():
        monkeypatch.setattr(backend, "export", breaking)

    received: list[bytes] = []
    with client.stream("GET", EXPORT) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            received.extend(answer.iter_bytes())

    assert b"".join(received).count(b"\n") == 1


def test_client_that_leaves_an_export_frees_its_reader(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    freed = threading.Event()

    async def endless(*_: object) -> AsyncIterator[Sequence[StoredRecord]]:
        try:
            while True:
                yield a_slice(1, fill=100_000)
                await asyncio.sleep(0)
        finally:
            freed.set()

    for backend in backends():
        monkeypatch.setattr(backend, "export", endless)

    with client.stream("GET", EXPORT) as answer:
        chunks = answer.iter_bytes()  # once nothing refers to it, httpx hangs up
        next(chunks)
        assert not freed.is_set()

    assert freed.wait(60)
    assert client.get(EVENTS).status_code == 200


@pytest.mark.asyncio
async def test_client_that_leaves_while_it_is_sent_to_frees_its_reader_at_once() -> None:
    freed = False

    async def endless() -> AsyncIterator[Sequence[StoredRecord]]:
        nonlocal freed
        try:
            while True:
                yield a_slice(1)
        finally:
            freed = True

    slices = endless()  # held here, so that no garbage collector helps
    is_sending, never = asyncio.Event(), asyncio.Event()

    async def send(message: Any) -> None:
        if message.get("body"):
            is_sending.set()
            await never.wait()

    async def receive() -> Any:
        await is_sending.wait()
        return {"type": "http.disconnect"}

    class OneExport:
        def export(self, _: EventQuery) -> AsyncIterator[Sequence[StoredRecord]]:
            return slices

    response = await export_response(OneExport(), Export(EventQuery(), "ndjson"))  # type: ignore[arg-type]
    await response({"type": "http"}, receive, send)

    assert freed


@pytest.mark.asyncio
async def test_export_reads_no_further_than_its_client_does() -> None:
    taken = 0

    class Plenty:
        async def export(self, _: EventQuery) -> AsyncIterator[Sequence[StoredRecord]]:
            nonlocal taken
            for taken in range(1, 1001):
                yield a_slice(taken)

    sent: asyncio.Queue[Any] = asyncio.Queue(maxsize=1)
    never = asyncio.Event()

    async def receive() -> Any:
        await never.wait()

    response = await export_response(Plenty(), Export(EventQuery(), "ndjson"))  # type: ignore[arg-type]
    answering = asyncio.create_task(response({"type": "http"}, receive, sent.put))
    in_step = []
    for _ in range(20):
        await sent.get()
        in_step.append(taken)
    answering.cancel()
    await asyncio.wait({answering})

    assert all(ahead <= number + 2 for number, ahead in enumerate(in_step))


def backends() -> list[type]:
    from signal_gateway.datastorage.postgres.backend import PostgresBackend

    return [SqliteBackend, PostgresBackend]
