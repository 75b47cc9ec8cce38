import json
from datetime import UTC, datetime

import pytest

from signal_gateway.errors import HarnessError
from signal_gateway.testing import alert, alertmanager_webhook, kubernetes_event
from signal_gateway.testing.gateway.captured import read_captured

THEN = datetime(2024, 3, 1, 12, tzinfo=UTC)
NOW = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)
WEBHOOK = alertmanager_webhook(
    alert("X", namespace="prod", pod="a", starts_at=THEN),
    alert("X", namespace="prod", pod="b", status="resolved", starts_at=THEN, ends_at=THEN.replace(minute=5)),
)
EVENT = kubernetes_event("BackOff", kind="Pod", name="a", namespace="prod", at=THEN)


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        (json.dumps(WEBHOOK, indent=2), ["prometheus"]),
        (json.dumps(EVENT), ["kubernetes-event"]),
        (json.dumps([WEBHOOK, EVENT]), ["prometheus", "kubernetes-event"]),
        (f"{json.dumps(EVENT)}\n\n{json.dumps(WEBHOOK)}\n", ["kubernetes-event", "prometheus"]),
    ],
    ids=["document", "event", "array", "lines"],
)
def test_file_has_a_document_or_many(tmp_path, text, sources):
    path = tmp_path / "captured"
    path.write_text(text)

    assert [source for source, _ in read_captured(path)] == sources


def test_newest_time_becomes_now_and_the_others_keep_their_distance(tmp_path):
    path = tmp_path / "captured.json"
    path.write_text(json.dumps(WEBHOOK))

    [(_, payload)] = read_captured(path, now=NOW)

    firing, resolved = payload["alerts"]
    assert resolved["endsAt"] == "2026-07-01T09:30:00Z"
    assert firing["startsAt"] == resolved["startsAt"] == "2026-07-01T09:25:00Z"
    assert firing["endsAt"] == "0001-01-01T00:00:00Z"


def test_times_are_kept_without_a_now(tmp_path):
    path = tmp_path / "captured.json"
    path.write_text(json.dumps(EVENT))

    [(_, payload)] = read_captured(path)

    assert payload == EVENT


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "cannot replay .*/captured: "),
        ("[]", "the file is empty"),
        ("{half a", "cannot replay .*/captured: "),
        (json.dumps([WEBHOOK, {"kind": "Pod"}]), "document 2 is neither an Alertmanager webhook"),
    ],
    ids=["empty", "nothing", "broken", "something else"],
)
def test_file_with_something_else_is_refused_by_its_name(tmp_path, text, complaint):
    path = tmp_path / "captured"
    path.write_text(text)

    with pytest.raises(HarnessError, match=complaint):
        read_captured(path)


def test_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(HarnessError, match=r"cannot replay .*missing\.json"):
        read_captured(tmp_path / "missing.json")


def test_gateway_takes_a_replayed_webhook(gateway, tmp_path):
    path = tmp_path / "captured.json"
    path.write_text(json.dumps(alertmanager_webhook(alert("X", namespace="prod", pod="a", starts_at=THEN))))

    [response] = gateway.replay(path)

    assert response.json()["status"] == "created"
