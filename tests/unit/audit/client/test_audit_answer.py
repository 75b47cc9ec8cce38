"""What an HTTP response to a batch means."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import orjson
import pytest

from signal_gateway.audit.client.results import (
    BatchAccepted,
    BatchRejected,
    BatchTooLarge,
    BatchUndelivered,
    SentBatch,
    read_result,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROBLEM = {"content-type": "application/problem+json; charset=utf-8"}


SENT = SentBatch(b'[{"event_id":"0193-a","event_data":{}},{"event_id":"0193-b"}]', 2)
ASSIGNED = b'{"event_ids": ["7c0d7d2e-9d3c-4a52-8a1c-3f0f7b6f0001", "7c0d7d2e-9d3c-4a52-8a1c-3f0f7b6f0002"]}'


def read(status, headers=None, content=b"", batch=SENT, **settings):
    return read_result(status, headers or {}, content, batch=batch, now=NOW, **settings)


def test_201_that_names_the_events_in_order_is_accepted():
    assert read(201, content=b'{"event_ids": ["0193-a", "0193-b"], "duplicates": []}') == BatchAccepted()


@pytest.mark.parametrize(
    "content",
    [
        b'{"event_ids": ["0193-a"]}',
        b'{"event_ids": ["0193-a", "0193-c"]}',
        b'{"event_ids": ["0193-b", "0193-a"]}',
        b'{"event_ids": ["0193-a", "0193-b", "0193-b"]}',
        b'{"event_ids": ["0193-a", null]}',
        b'{"event_ids": {"0193-a": 1, "0193-b": 2}}',
        b'{"event_ids": 2}',
        b'{"accepted": 2}',
        ASSIGNED,
        b"{}",
        b"[]",
        b"",
        b"<html>",
        b'{"event_ids"',
    ],
)
def test_201_that_names_other_events_or_none_is_no_verdict(content):
    result = read(201, content=content)

    assert isinstance(result, BatchUndelivered)
    assert "no acknowledgement" in result.reason


@pytest.mark.parametrize("status", [200, 202, 203, 204, 206, 208, 299])
def test_other_2xx_is_no_acknowledgement_even_with_the_ids(status):
    result = read(status, content=b'{"event_ids": ["0193-a", "0193-b"]}')

    assert isinstance(result, BatchUndelivered)
    assert f"answered {status}" in result.reason
    assert "mock or a proxy" in result.reason


def test_event_inside_an_event_is_no_part_of_the_batch():
    ids = ["01932c3e-8a00-7000-8000-00000000000" + digit for digit in "123"]
    inner = b'{"version":"1.0","event_id":"%b"}' % ids[2].encode()
    begins = [b'{"version":"1.0","event_id":"%b","event_data":' % event_id.encode() for event_id in ids[:2]]
    batch = SentBatch(b"[" + begins[0] + inner + b"}," + begins[1] + b"{}}]", 2)

    assert read(201, content=orjson.dumps({"event_ids": ids[:2]}), batch=batch) == BatchAccepted()
    assert isinstance(read(201, content=orjson.dumps({"event_ids": [ids[0], ids[2]]}), batch=batch), BatchUndelivered)


def test_ids_of_a_server_that_assigns_them_count_if_asked_for():
    assert read(201, content=ASSIGNED, acknowledgement="event_count") == BatchAccepted()


@pytest.mark.parametrize(
    "content",
    [
        b'{"event_ids": ["a", "b"]}',
        b'{"event_ids": [1, 2]}',
        b'{"event_ids": ["7c0d7d2e-9d3c-4a52-8a1c-3f0f7b6f0001", "7c0d7d2e-9d3c-4a52-8a1c-3f0f7b6f0001"]}',
        b'{"event_ids": ["7c0d7d2e-9d3c-4a52-8a1c-3f0f7b6f0001"]}',
    ],
)
def test_assigned_ids_must_be_distinct_uuids_for_all_events(content):
    assert isinstance(read(201, content=content, acknowledgement="event_count"), BatchUndelivered)


OWN = b'{"status": 413, "detail": "too large", "instance": "/some/prefix/api/v1/audit/events/batch"}'


def test_413_is_about_the_size_and_a_verdict_only_in_the_words_of_datastorage():
    assert read(413, PROBLEM, OWN) == BatchTooLarge("answered 413 (too large)")
    for headers, content in [
        ({"content-type": "text/html"}, b"<html>"),
        ({"content-type": "application/json"}, OWN),
        (PROBLEM, b'{"status": 413, "title": "Payload Too Large"}'),
        (PROBLEM, b'{"status": 413, "title": "Payload Too Large", "instance": "/"}'),
    ]:
        answer = read(413, headers, content)

        assert isinstance(answer, BatchTooLarge)
        assert not answer.is_verdict
        assert "in the words of a proxy" in answer.reason


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("text/html", b"<html>"),
        ("application/json", b'{"errors": [{"index": 0}]}'),
        ("application/problem+json", b'{"type": "about:blank", "title": "Bad Request", "status": 400}'),
        ("application/problem+json", b'{"title": "Blocked", "instance": "/waf/incidents/1"}'),
        ("application/problem+json", b"not json"),
    ],
)
def test_words_of_a_proxy_give_no_event_up(status, content_type, content):
    answer = read(status, {"content-type": content_type}, content)

    assert isinstance(answer, BatchUndelivered)
    assert "in the words of a proxy" in answer.reason


@pytest.mark.parametrize("status", [400, 422])
def test_problem_says_which_items_are_bad_and_why(status):
    content = b"""{"detail": "2 bad", "errors": [
        {"index": 0, "field": "severity", "reason": "too long"}, {"index": 0, "field": "x", "reason": "y"}, {"index": 1}
    ]}"""

    answer = read(status, PROBLEM, content)

    assert answer == BatchRejected(
        f"answered {status} (2 bad)", {0: "severity: too long; x: y", 1: f"answered {status} (2 bad)"}
    )


@pytest.mark.parametrize("content", [b"{}", b'{"errors": []}', b'{"errors": {"index": 0}}', b'{"index": 2}'])
def test_problem_that_names_no_item_is_about_the_batch(content):
    document = orjson.loads(content) | {"instance": "/api/v1/audit/events/batch"}

    answer = read(400, PROBLEM, orjson.dumps(document))

    assert isinstance(answer, BatchRejected)
    assert not answer.items


@pytest.mark.parametrize("content_type", ["application/json", "text/html", "application/problem+xml", ""])
def test_400_that_is_no_problem_json_is_no_verdict(content_type):
    assert isinstance(read(400, {"content-type": content_type}, b'{"index": 0}'), BatchUndelivered)


@pytest.mark.parametrize(
    "status", [200, 202, 204, 206, 301, 302, 307, 401, 403, 404, 405, 408, 409, 415, 429, 500, 502, 503, 504]
)
def test_any_other_status_is_no_verdict_even_as_a_problem(status):
    assert isinstance(read(status, PROBLEM, b'{"errors": [{"index": 0}]}'), BatchUndelivered)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("86400", 3600.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        (format_datetime(NOW + timedelta(days=900), usegmt=True), 3600.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(value, seconds):
    assert read(503, {"retry-after": value}).retry_after == seconds


def test_redirect_says_where_to():
    assert "https://sso/login" in read(302, {"location": "https://sso/login"}).reason


def test_long_answers_are_shortened():
    assert len(read(500, content=b'{"detail": "%b"}' % (b"x" * 10_000)).reason) < 400


def problem_of_kubernaut(kind):
    return (
        b'{"type":"https://kubernaut.ai/problems/%b","title":"no","status":400,"detail":"event at index 1: no"}' % kind
    )


@pytest.mark.parametrize("status", [400, 422])
def test_problem_of_kubernauts_type_is_a_verdict_without_items_and_instance(status):
    result = read(status, PROBLEM, problem_of_kubernaut(b"validation-error"))

    assert result == BatchRejected(f"answered {status} (event at index 1: no)")


def test_413_of_kubernauts_type_is_the_services_own():
    result = read(413, PROBLEM, problem_of_kubernaut(b"request-too-large"))

    assert isinstance(result, BatchTooLarge)
    assert result.is_verdict


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_other_problem_of_kubernauts_type_gives_no_event_up(status):
    assert isinstance(read(status, PROBLEM, problem_of_kubernaut(b"database-error")), BatchUndelivered)


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        (PROBLEM, b"about:blank"),
        (PROBLEM, b"https://tools.ietf.org/html/rfc9110#section-15.5.1"),
        (PROBLEM, b"https://proxy.example/problems/https://kubernaut.ai/problems/validation-error"),
        ({"content-type": "application/json"}, b"https://kubernaut.ai/problems/validation-error"),
    ],
)
def test_problem_of_another_type_without_items_and_instance_gives_no_event_up(headers, kind):
    document = orjson.dumps({"type": kind.decode(), "title": "Bad Request", "status": 400})

    result = read(400, headers, document, acknowledgement="event_count")

    assert isinstance(result, BatchUndelivered)
    assert "proxy or another server" in result.reason
