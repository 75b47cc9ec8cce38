"""DataStorageClient against real sockets."""

import logging
import socket
import threading
import time
from datetime import UTC, datetime

import pytest

from signal_gateway.audit import DataStorageClient, DataStorageUnavailable, Limits
from signal_gateway.errors import AuditError, ConfigurationError


@pytest.fixture
def client(fault_server):
    client = DataStorageClient(fault_server.url, timeout=2.0)
    yield client
    client.close()


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("", "missing"),
        ("  ", "missing"),
        (None, "missing"),
        ("127.0.0.1:8080", "URL"),
        ("localhost:8080", "scheme"),
        ("/api", "scheme"),
        ("ftp://host", "scheme"),
        ("http://", "host"),
        ("http://host:0", "port 0"),
        ("http://host:http", "not a URL"),
        ("http://host?x=1", "query"),
        ("http://host#x", "query"),
    ],
)
def test_wrong_url_is_refused_with_its_source(url, what):
    with pytest.raises(ConfigurationError, match=what) as refusal:
        DataStorageClient(url, source="--gateway-datastorage-url")

    assert "--gateway-datastorage-url" in str(refusal.value)
    assert repr(url) in str(refusal.value)


def test_password_in_the_url_is_refused_and_not_shown():
    with pytest.raises(ConfigurationError, match="token=") as refusal:
        DataStorageClient("http://me:hunter2@host")

    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "straße"])
def test_token_that_no_header_takes_is_refused_and_not_shown(token):
    with pytest.raises(ConfigurationError) as refusal:
        DataStorageClient("http://host", token=token)

    assert not token or token not in str(refusal.value)


def test_slash_at_the_end_of_the_url_makes_no_difference(fault_server):
    client = DataStorageClient(fault_server.url + "/")

    client.check()

    assert client.url == fault_server.url
    client.close()


def test_token_is_sent_and_not_shown(fault_server):
    client = DataStorageClient(fault_server.url, token="s3cret")

    client.deliver(b"[]", 0)

    assert fault_server.headers[0]["authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(client)
    client.close()


def test_proxies_of_the_environment_are_not_used(fault_server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    client = DataStorageClient(fault_server.url)

    client.check()

    client.close()


def test_client_works_again_after_close(client):
    client.check()
    client.close()
    client.close()

    client.check()


def test_check_names_url_source_and_cause():
    with socket.socket() as bound_but_deaf:
        bound_but_deaf.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound_but_deaf.getsockname()[1]}"
        client = DataStorageClient(url, source="ini gateway_datastorage_url")

        with pytest.raises(DataStorageUnavailable) as failure:
            client.check()

    assert url in str(failure.value)
    assert "ini gateway_datastorage_url" in str(failure.value)
    assert "ConnectError" in str(failure.value)
    assert not failure.value.answered
    client.close()


UNEXPECTED_SERVERS = {
    "a page": (200, b"<html>hello", "text/html"),
    "other JSON": (200, b'{"status": "ok"}', "application/json"),
    "a list": (200, b"[]", "application/json"),
    "data alone": (200, b'{"data": []}', "application/json"),
    "an empty answer": (204, b"", "text/plain"),
    "404": (404, b"not found", "text/plain"),
    "503": (503, b"{}", "application/problem+json"),
    "redirect": (302, b"", "text/html"),
}


@pytest.mark.parametrize("unexpected", UNEXPECTED_SERVERS)
def test_check_refuses_an_unexpected_server(fault_server, client, unexpected, monkeypatch):
    status, body, content_type = UNEXPECTED_SERVERS[unexpected]
    monkeypatch.setattr(fault_server, "_get", lambda handler: handler.reply(status, body, content_type))

    with pytest.raises(DataStorageUnavailable, match=str(status)) as failure:
        client.check()
    assert failure.value.answered


def test_check_of_a_server_that_hangs_ends_in_time(fault_server, client, monkeypatch):
    monkeypatch.setattr(fault_server, "_get", lambda handler: fault_server.hang(handler, []))
    begin = time.monotonic()

    with pytest.raises(DataStorageUnavailable, match="Timeout"):
        client.check(timeout=0.2)

    assert time.monotonic() - begin < 2.0
    fault_server.release()


def test_body_that_trickles_ends_in_time(fault_server, client, monkeypatch):
    released = threading.Event()

    def trickle(handler):
        handler.send_response(200)
        handler.send_header("content-length", "100000")
        handler.end_headers()
        try:
            while not released.wait(0.01):
                handler.wfile.write(b"x")
        except OSError:
            handler.drop()

    monkeypatch.setattr(fault_server, "_get", trickle)

    with pytest.raises(DataStorageUnavailable, match="too long"):
        client.check(timeout=0.2)
    released.set()


def test_refused_query_says_why(fault_server, client, monkeypatch):
    refusal = fault_server.problem(400, detail="no such filter")
    monkeypatch.setattr(fault_server, "_get", lambda handler: refusal(handler, []))

    with pytest.raises(AuditError, match="no such filter"):
        client.query(correlation_id="a")


def test_filters_are_sent_as_the_server_reads_them(fault_server, client, monkeypatch):
    paths = []
    get = fault_server._get
    monkeypatch.setattr(fault_server, "_get", lambda handler: (paths.append(handler.path), get(handler)))

    client.query(correlation_id="a&b=c", since=datetime(2026, 1, 1, tzinfo=UTC), limit=7, ascending=True)

    (path,) = paths
    assert "correlation_id=a%26b%3Dc" in path
    assert "since=2026-01-01T00%3A00%3A00%2B00%3A00" in path
    assert "limit=7" in path
    assert "order=asc" in path


@pytest.mark.parametrize("count", [0, 1, 1000, 1001, 2500])
def test_events_reads_every_page(fault_server, client, count):
    fault_server.keep([{"event_id": str(number), "correlation_id": "a"} for number in range(count)])
    fault_server.keep([{"event_id": "other", "correlation_id": "b"}])

    found = list(client.events(correlation_id="a"))

    assert [event["event_id"] for event in found] == [str(number) for number in range(count)]


def test_events_follows_the_servers_cursor(fault_server, client, monkeypatch):
    pages = {None: ("1", "next"), "next": ("2", None)}
    paths = []

    def get(handler):
        paths.append(handler.path)
        event_id, cursor = pages["next" if "cursor=next" in handler.path else None]
        pagination = b'{"total": 2, "has_more": %s, "next_cursor": %s}' % (
            (b"true", b'"next"') if cursor else (b"false", b"null")
        )
        handler.reply(200, b'{"data": [{"event_id": "%s"}], "pagination": %s}' % (event_id.encode(), pagination))

    monkeypatch.setattr(fault_server, "_get", get)

    assert [event["event_id"] for event in client.events()] == ["1", "2"]
    assert "offset" not in paths[1]


def test_limits_are_what_the_server_says(fault_server, client, monkeypatch):
    body = b'{"max_batch": 10, "max_body_bytes": 20, "max_event_bytes": 30, "more": 1}'
    monkeypatch.setattr(fault_server, "_get", lambda handler: handler.reply(200, body))

    assert client.limits() == Limits(max_batch=10, max_body_bytes=20, max_event_bytes=30)


def test_server_that_tells_no_limits_has_none(fault_server, client, monkeypatch):
    monkeypatch.setattr(fault_server, "_get", lambda handler: handler.reply(404, b"not found", "text/plain"))

    assert client.limits() is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"max_batch": 10}'),
        (200, b'{"max_batch": 0, "max_body_bytes": 20, "max_event_bytes": 30}'),
        (200, b'{"max_batch": true, "max_body_bytes": 20, "max_event_bytes": 30}'),
        (503, b"{}"),
    ],
)
def test_limits_that_are_none_are_an_unexpected_servers(fault_server, client, monkeypatch, status, body):
    monkeypatch.setattr(fault_server, "_get", lambda handler: handler.reply(status, body))

    with pytest.raises(DataStorageUnavailable):
        client.limits()


def test_client_knows_when_its_thread_is_inside_a_call(client):
    with client.inside():
        calling = client.calling

    assert (calling, client.calling) == (True, False)


def test_calls_write_no_log_records(client, caplog):
    caplog.set_level(logging.DEBUG)

    client.check()
    client.deliver(b"[]", 0)

    assert caplog.records == []


def test_threads_share_a_client(client):
    failures = []

    def check():
        try:
            client.check()
        except AuditError as exc:
            failures.append(exc)

    threads = [threading.Thread(target=check) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures
