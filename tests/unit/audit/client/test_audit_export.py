"""DataStorageClient.export: one answer, read as it comes in, or the pages where there is no export."""

import json
import threading
import tracemalloc

import pytest

from signal_gateway.audit import DataStorageClient, DataStorageUnavailable, TokenRefused
from signal_gateway.audit.client.query import read_blocks, read_lines
from signal_gateway.errors import AuditError

LINE = b'{"event_id": "%d"}\n'
NDJSON = "application/x-ndjson"


@pytest.fixture
def client(fault_server):
    client = DataStorageClient(fault_server.url, timeout=2.0)
    yield client
    client.close()


@pytest.fixture
def exports(fault_server, monkeypatch):
    """Let the server answer an export with what `answer(handler)` does; return the paths that were asked for."""
    asked = []

    def install(answer):
        get = fault_server._get

        def answer_export(handler):
            asked.append(handler.path)
            (answer if "/export?" in handler.path else get)(handler)

        monkeypatch.setattr(fault_server, "_get", answer_export)
        return asked

    return install


def begin(handler, length):
    handler.send_response(200)
    handler.send_header("content-type", NDJSON)
    handler.send_header("content-length", str(length))
    handler.end_headers()


def test_export_gives_the_events_of_one_answer_oldest_first(client, exports):
    asked = exports(lambda handler: handler.reply(200, b"".join(LINE % number for number in range(3000)), NDJSON))

    found = [event["event_id"] for event in client.export(correlation_id="a&b")]

    assert found == [str(number) for number in range(3000)]
    assert asked == ["/api/v1/audit/export?correlation_id=a%26b&order=asc"]


def test_events_are_given_before_the_answer_is_complete(client, exports):
    may_go_on = threading.Event()

    def half(handler):
        begin(handler, 2 * len(LINE % 1))
        handler.wfile.write(LINE % 1)
        assert may_go_on.wait(60)
        handler.wfile.write(LINE % 2)

    exports(half)
    events = client.export()

    assert next(events)["event_id"] == "1"
    may_go_on.set()
    assert [event["event_id"] for event in events] == ["2"]


def test_export_is_never_held_as_a_whole(client, exports):
    line = json.dumps({"event_id": "1", "padding": "x" * 1000}).encode() + b"\n"
    chunk = line * 1000

    def write(handler):
        begin(handler, 50 * len(chunk))
        for _ in range(50):
            handler.wfile.write(chunk)

    exports(write)
    tracemalloc.start()
    try:
        count = sum(1 for _ in client.export())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == 50_000
    assert peak < 5 * 1024**2 < 50 * len(chunk)


@pytest.mark.parametrize("rest", [b"", b'{"event_id": "4'], ids=["between lines", "in a line"])
def test_answer_that_ends_early_is_an_error_that_says_how_many_events_came(client, exports, rest):
    def drop(handler):
        begin(handler, 1000)
        handler.wfile.write(b"".join(LINE % number for number in range(3)) + rest)
        handler.drop()

    exports(drop)
    found = []

    with pytest.raises(AuditError, match="ended early, after 3 events"):
        found.extend(client.export())
    assert [event["event_id"] for event in found] == ["0", "1", "2"]


def test_answer_whose_last_line_has_no_end_is_not_complete(client, exports):
    exports(lambda handler: handler.reply(200, LINE % 1 + b'{"event_id": "2"}', NDJSON))

    with pytest.raises(AuditError, match=r"ended early, after 1 events: .*is incomplete"):
        list(client.export())


def test_server_without_an_export_is_asked_page_after_page(fault_server, client, exports):
    fault_server.keep([{"event_id": str(number), "correlation_id": "a"} for number in range(1500)])
    fault_server.keep([{"event_id": "other", "correlation_id": "b"}])
    asked = exports(lambda handler: handler.reply(404, b"not found", "text/plain"))

    found = [event["event_id"] for event in client.export(correlation_id="a")]

    assert found == [str(number) for number in range(1500)]
    assert len(asked) == 3


def test_export_of_another_kind_is_passed_over(fault_server, client, exports):
    fault_server.keep([{"event_id": str(number), "correlation_id": "a"} for number in range(3)])
    exports(lambda handler: handler.reply(200, b'{"export_metadata": {}, "events": []}', "application/json"))

    assert [event["event_id"] for event in client.export()] == ["0", "1", "2"]


def test_export_that_is_given_up_half_way_leaves_the_client_usable(client, exports):
    exports(lambda handler: handler.reply(200, (LINE % 1) * 100_000, NDJSON))

    events = client.export()
    next(events)
    events.close()

    client.check()
    assert len(list(client.export())) == 100_000


@pytest.mark.usefixtures("fault_server")
def test_thread_that_reads_an_export_may_record_meanwhile(client, exports, make_store, make_event):
    exports(lambda handler: handler.reply(200, (LINE % 1) * 3, NDJSON))
    store = make_store(client=client)

    for number, _ in enumerate(client.export()):
        store.record(make_event(number))

    assert store.flush().delivered == 3


@pytest.mark.parametrize(
    ("status", "content_type", "kind", "said"),
    [
        (400, "application/problem+json", AuditError, "no such filter"),
        (503, "application/problem+json", DataStorageUnavailable, "503"),
        (302, "text/html", DataStorageUnavailable, "302"),
        (200, "text/html", DataStorageUnavailable, "check the URL, this is another server"),
        (403, "application/problem+json", TokenRefused, "403"),
    ],
)
def test_other_answers_are_errors(client, exports, status, content_type, kind, said):
    exports(lambda handler: handler.reply(status, b'{"detail": "no such filter"}', content_type))

    with pytest.raises(kind, match=said):
        list(client.export())


def test_lines_are_found_wherever_the_chunks_are_cut():
    events = [{"event_id": str(number), "text": "zeile\n\u2028\u0085ü"} for number in range(5)]
    body = b"".join(json.dumps(event, ensure_ascii=False).encode() + b"\n" for event in events)

    for size in range(1, len(body) + 1):
        chunks = (body[start : start + size] for start in range(0, len(body), size))
        assert list(read_lines(chunks)) == events


@pytest.mark.parametrize("body", [b"[]\n", b"nothing\n", b"\n"])
def test_line_that_is_no_event_is_refused(body):
    with pytest.raises(ValueError, match=r".+"):
        list(read_lines([body]))


@pytest.mark.parametrize("rest", [b"", b'{"event_id": "4'], ids=["between lines", "in a line"])
def test_blocks_that_end_early_are_an_error_that_says_how_many_events_came(client, exports, rest):
    lines = b"".join(LINE % number for number in range(3))

    def drop(handler):
        begin(handler, 1000)
        handler.wfile.write(lines + rest)
        handler.drop()

    exports(drop)
    found = []

    with pytest.raises(DataStorageUnavailable, match="ended early, after 3 events"):
        found.extend(client.export_blocks())
    assert b"".join(block.content for block in found) == lines


def test_blocks_whose_last_line_has_no_end_are_not_complete(client, exports):
    exports(lambda handler: handler.reply(200, LINE % 1 + b'{"event_id": "2"}', NDJSON))

    with pytest.raises(DataStorageUnavailable, match=r"ended early, after 1 events: .*is incomplete"):
        list(client.export_blocks())


def test_blocks_of_a_server_without_an_export_come_page_after_page(fault_server, client, exports):
    fault_server.stored.update((str(number), {"event_id": str(number)}) for number in range(3))
    exports(lambda handler: handler.reply(404, b""))

    (block,) = client.export_blocks()

    assert [json.loads(line)["event_id"] for line in block.content.splitlines()] == ["0", "1", "2"]
    assert block.events == 3


def test_blocks_are_whole_lines_and_unchanged_wherever_the_chunks_are_cut():
    events = [{"event_id": str(number), "number": 1e5, "text": "}\n{ ü"} for number in range(5)]
    body = b"".join(json.dumps(event, ensure_ascii=False).encode() + b"\n" for event in events)

    for size in range(1, len(body) + 1):
        blocks = list(read_blocks(body[start : start + size] for start in range(0, len(body), size)))
        assert b"".join(block.content for block in blocks) == body
        assert sum(block.events for block in blocks) == 5
        assert all(block.content.endswith(b"}\n") for block in blocks)


def test_block_with_spaces_around_its_lines_is_taken():
    assert list(read_blocks([b' {"a": 1} \r\n{}\n'])) == [(b' {"a": 1} \r\n{}\n', 2)]


@pytest.mark.parametrize("body", [b"[]\n", b"nothing\n", b"\n", b"{}\n[]\n", b"<html>\n{}\n"])
def test_block_that_is_no_event_is_refused(body):
    with pytest.raises(ValueError, match=r".+"):
        list(read_blocks([body]))
