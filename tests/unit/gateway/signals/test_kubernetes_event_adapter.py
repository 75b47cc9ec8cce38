from datetime import UTC, datetime, timedelta

import orjson
import pytest

from signal_gateway.gateway.signals.adapter import InvalidPayload
from signal_gateway.gateway.signals.kubernetes_event import KubernetesEventAdapter
from signal_gateway.gateway.signals.signal import InvalidSignal, RejectedSignal, Signal
from signal_gateway.testing import kubernetes_event

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ADAPTER = KubernetesEventAdapter(max_age=timedelta(minutes=5))


def event(**changes):
    made = kubernetes_event("BackOff", kind="Pod", name="api-7c9", namespace="prod", message="it crashes", at=NOW)
    return {key: value for key, value in (made | changes).items() if value is not ...}


def parse(document):
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    [item] = ADAPTER.parse(body, received_at=NOW)
    return item


def test_warning_becomes_a_signal_about_what_it_involves():
    signal = parse(event())

    assert isinstance(signal, Signal)
    assert (signal.name, signal.severity, signal.source) == ("BackOff", "Warning", "kubernetes-events")
    assert (signal.target.kind, signal.target.name, signal.target.namespace) == ("Pod", "api-7c9", "prod")
    assert signal.annotations == {"message": "it crashes"}
    assert signal.fired_at == NOW
    assert signal.payload["involvedObject"]["name"] == "api-7c9"


def test_cluster_scoped_object_has_no_namespace_and_its_own_fingerprint():
    document = kubernetes_event("NotReady", kind="Node", name="worker-node-1", namespace=None, at=NOW)

    signal = parse(document)

    assert signal.target.namespace is None
    assert signal.fingerprint == "54010c454af195aadec824d25dba6fa52adfcc717f0b3f0430e4111acddfe728"


def test_normal_event_is_rejected_and_is_no_error():
    item = parse(event(type="Normal"))

    assert isinstance(item, RejectedSignal)
    assert (item.reason, item.resource) == ("normal_event", "prod/Pod/api-7c9")


@pytest.mark.parametrize(
    "times",
    [
        {"lastTimestamp": "2026-05-01T11:59:00Z"},
        {"firstTimestamp": "2026-05-01T11:59:00Z"},
        {"eventTime": "2026-05-01T11:59:00.000000Z"},
        {"series": {"count": 3, "lastObservedTime": "2026-05-01T11:59:00.000000Z"}},
    ],
    ids=lambda times: next(iter(times)),
)
def test_time_is_taken_from_wherever_it_stands(times):
    without = {"lastTimestamp": ..., "firstTimestamp": ..., "eventTime": None}

    assert parse(event(**without | times)).fired_at == datetime(2026, 5, 1, 11, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "Strange"}, "severity"),
        ({"type": ...}, "severity"),
        ({"reason": ""}, "name"),
        ({"reason": "x" * 254}, "name"),
        ({"reason": 3}, "shape"),
        ({"involvedObject": {"kind": "Pod", "name": "Not A Name"}}, "no_target"),
        ({"involvedObject": {"kind": "", "name": "a"}}, "no_target"),
        ({"involvedObject": {"kind": "Pod", "name": "a", "namespace": "A_B"}}, "namespace"),
        ({"lastTimestamp": "yesterday"}, "time"),
        ({"lastTimestamp": ..., "firstTimestamp": ..., "eventTime": None}, "time"),
        ({"lastTimestamp": "2026-05-01T12:03:00Z"}, "from_the_future"),
        ({"lastTimestamp": "2026-05-01T11:54:00Z", "firstTimestamp": ...}, "too_old"),
        ({"message": "a\0b"}, "unrepresentable"),
    ],
)
def test_event_that_can_not_become_a_signal_says_why(changes, reason):
    item = parse(event(**changes))

    assert isinstance(item, InvalidSignal)
    assert item.reason == reason


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"kind": "Pod", "involvedObject": {}}', b'{"kind": "Event"}'])
def test_body_that_is_no_event_is_refused(body):
    with pytest.raises(InvalidPayload):
        ADAPTER.parse(body, received_at=NOW)
