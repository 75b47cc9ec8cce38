"""What an HTTP response to a batch means."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from signal_gateway.audit.client.results import (
    BatchAccepted,
    BatchRejected,
    BatchTooLarge,
    BatchUndelivered,
    read_result,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROBLEM = {"content-type": "application/problem+json; charset=utf-8"}


def read(status, headers=None, content=b"", count=2):
    return read_result(status, headers or {}, content, count=count, now=NOW)


def test_201_with_an_id_for_each_event_is_accepted():
    assert read(201, content=b'{"event_ids": ["a", "b"], "duplicates": []}') == BatchAccepted()


@pytest.mark.parametrize(
    "content", [b'{"event_ids": ["a"]}', b'{"event_ids": 2}', b"{}", b"[]", b"", b"<html>", b'{"event_ids"']
)
def test_201_without_them_is_no_verdict(content):
    assert isinstance(read(201, content=content), BatchUndelivered)


def test_413_is_about_the_size():
    assert isinstance(read(413, content=b"<html>"), BatchTooLarge)


@pytest.mark.parametrize("status", [400, 422])
def test_problem_says_which_items_are_bad_and_why(status):
    content = b"""{"detail": "2 bad", "errors": [
        {"index": 0, "field": "severity", "reason": "too long"}, {"index": 0, "field": "x", "reason": "y"}, {"index": 1}
    ]}"""

    answer = read(status, PROBLEM, content)

    assert answer == BatchRejected(
        f"answered {status} (2 bad)", {0: "severity: too long; x: y", 1: f"answered {status} (2 bad)"}
    )


@pytest.mark.parametrize(
    "content", [b"{}", b'{"errors": []}', b'{"errors": {"index": 0}}', b'{"index": 2}', b"not json"]
)
def test_problem_that_names_no_item_is_about_the_batch(content):
    answer = read(400, PROBLEM, content)

    assert isinstance(answer, BatchRejected)
    assert not answer.items


@pytest.mark.parametrize("content_type", ["application/json", "text/html", "application/problem+xml", ""])
def test_400_that_is_no_problem_json_is_no_verdict(content_type):
    assert isinstance(read(400, {"content-type": content_type}, b'{"index": 0}'), BatchUndelivered)


@pytest.mark.parametrize(
    "status", [200, 204, 206, 301, 302, 307, 401, 403, 404, 405, 408, 409, 415, 429, 500, 502, 503, 504]
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
