from datetime import UTC, datetime, timedelta

import orjson
import pytest

from signal_gateway.gateway.signals.kubernetes_event import KubernetesEventAdapter
from signal_gateway.gateway.signals.signal import InvalidPayload, InvalidSignal, RejectedSignal, Signal
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

    is_malformed = reason == "shape" or changes.get("lastTimestamp") == "yesterday"
    assert isinstance(item, InvalidSignal if is_malformed else RejectedSignal)
    assert item.reason == reason


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"kind": "Pod", "involvedObject": {}}', b'{"kind": "Event"}'])
def test_body_that_is_no_event_is_refused(body):
    with pytest.raises(InvalidPayload):
        ADAPTER.parse(body, received_at=NOW)


def events_v1(**changes):
    """Return an Event as the API `events.k8s.io/v1` has it."""
    made = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "api-7c9.17", "namespace": "prod"},
        "regarding": {"kind": "Pod", "name": "api-7c9", "namespace": "prod", "apiVersion": "v1"},
        "reason": "BackOff",
        "note": "it crashes",
        "type": "Warning",
        "reportingController": "kubelet",
        "eventTime": "2026-05-01T11:00:00.000000Z",
        "series": {"count": 9, "lastObservedTime": "2026-05-01T11:59:00.000000Z"},
        "deprecatedSource": {},
        "deprecatedFirstTimestamp": None,
        "deprecatedLastTimestamp": None,
    }
    return {key: value for key, value in (made | changes).items() if value is not ...}


def exported(**changes):
    """Return an Event as kubernetes-event-exporter sends it: a core/v1 Event with labels of its object."""
    return (
        event(
            kind=...,
            apiVersion=...,
            clusterName="prod-eu",
            involvedObject={
                "kind": "Pod",
                "name": "api-7c9",
                "namespace": "prod",
                "labels": {"app": "api"},
                "ownerReferences": [],
            },
        )
        | changes
    )


@pytest.mark.parametrize(
    "document",
    [
        events_v1(),
        events_v1(series=None, deprecatedLastTimestamp="2026-05-01T11:59:00Z"),
        events_v1(deprecatedSource={"component": "kubelet"}, reportingController=""),
        {"type": "ADDED", "object": events_v1()},
        {"type": "MODIFIED", "object": event(lastTimestamp="2026-05-01T11:59:00Z", firstTimestamp=...)},
        {
            "verb": "UPDATED",
            "event": event(lastTimestamp="2026-05-01T11:59:00Z", firstTimestamp=...),
            "old_event": event(),
        },
        exported(lastTimestamp="2026-05-01T11:59:00Z", firstTimestamp=None),
    ],
)
def test_event_of_each_form_becomes_the_same_signal(document):
    signal = parse(document)

    assert isinstance(signal, Signal)
    assert str(signal.target) == "prod/Pod/api-7c9"
    assert (signal.name, signal.severity, signal.annotations) == ("BackOff", "Warning", {"message": "it crashes"})
    assert signal.fired_at == datetime(2026, 5, 1, 11, 59, tzinfo=UTC)
    assert signal.labels["component"] == "kubelet"


@pytest.mark.parametrize("kind", ["List", "EventList"])
def test_list_of_events_is_parsed_event_by_event(kind):
    items = [
        event(),
        {"kind": "Pod"},
        events_v1(type="Normal"),
        "text",
        {"type": "ADDED", "object": event(reason="Failed")},
    ]

    results = ADAPTER.parse(orjson.dumps({"kind": kind, "items": items}), received_at=NOW)

    assert [type(result) for result in results] == [Signal, InvalidSignal, RejectedSignal, InvalidSignal, Signal]
    assert [result.name for result in results] == ["BackOff", None, "BackOff", None, "Failed"]


@pytest.mark.parametrize("change", ["DELETED", "BOOKMARK"])
def test_change_that_is_no_occurrence_is_rejected(change):
    item = parse({"type": change, "object": event()})

    assert isinstance(item, RejectedSignal)
    assert item.reason == "no_occurrence"


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "List", "items": []},
        {"kind": "List"},
        {"kind": "EventList", "items": {}},
        {"type": "ERROR", "object": {"kind": "Status", "code": 410}},
        {"type": "ADDED", "object": {"kind": "Pod"}},
        {"type": "ADDED", "object": None},
        {"verb": "ADDED", "event": []},
        {"kind": "Event", "regarding": "Pod"},
    ],
)
def test_body_without_an_event_is_refused(document):
    with pytest.raises(InvalidPayload):
        ADAPTER.parse(orjson.dumps(document), received_at=NOW)


def test_rejected_event_keeps_its_labels():
    item = parse(event(type="Normal"))

    assert item.labels["namespace"] == "prod"


def syslog(document):
    """Return a line of eventrouter's HTTP sink: the number of bytes, and a message of RFC 5424."""
    message = b"<24>1 2026-05-01T11:59:00Z node-1.example.com kubelet - - - " + orjson.dumps(document)
    return b"%d %s\n" % (len(message), message)


def glog(document):
    """Return a line of eventrouter's glog sink."""
    return b"I0501 11:59:00.123456       1 glogsink.go:42] " + orjson.dumps(document) + b"\n"


@pytest.mark.parametrize("frame", [syslog, glog])
def test_lines_of_eventrouter_are_parsed_event_by_event(frame):
    added = {"verb": "ADDED", "event": event(kind=..., apiVersion=...)}
    updated = {"verb": "UPDATED", "event": event(reason="Failed {x}"), "old_event": event(reason="BackOff")}

    results = ADAPTER.parse(frame(added) + frame(updated) + frame({"verb": "ADDED"}), received_at=NOW)

    assert [type(result) for result in results] == [Signal, Signal, InvalidSignal]
    assert [result.name for result in results] == ["BackOff", "Failed {x}", None]


def test_line_that_is_cut_off_does_not_take_the_others_with_it():
    whole = syslog({"verb": "ADDED", "event": event()})

    results = ADAPTER.parse(whole + whole[:-30] + b"\n" + b"99 no frame\n", received_at=NOW)

    assert [type(result) for result in results] == [Signal, InvalidSignal, InvalidSignal]
    assert [result.message for result in results[1:]] == [
        "Line 2 is not JSON after its frame.",
        "Line 3 is not a line of eventrouter: a syslog message of RFC 5424, or a line of glog.",
    ]


# bodies as published: the documentation of events.k8s.io, `kubectl get events -o json`, a watch with
# `allowWatchBookmarks`, and an exporter with its default layout
PUBLISHED = [
    events_v1(
        metadata={"name": "web-0.17", "namespace": "prod", "managedFields": [{"manager": "kube-scheduler"}]},
        regarding={"kind": "Pod", "namespace": "prod", "name": "web-0", "uid": "u", "resourceVersion": "17"},
        related={"kind": "Node", "name": "worker-1"},
        reason="FailedScheduling",
        action="Scheduling",
        reportingController="default-scheduler",
        reportingInstance="default-scheduler-master-0",
        series=None,
        eventTime="2026-05-01T11:59:00.123456Z",
    ),
    events_v1(regarding={"kind": "Node", "name": "worker-1", "uid": "worker-1"}, reason="NodeNotReady"),
    {"type": "ADDED", "object": event(involvedObject={"kind": "Pod", "name": "a", "fieldPath": "spec.containers{a}"})},
    {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": ""}, "items": [event(reason="Unhealthy")]},
    exported(eventTime=None, reportingComponent="", reportingInstance="", source={"component": "kubelet", "host": "n"}),
]


@pytest.mark.parametrize("document", PUBLISHED, ids=["scheduler", "node", "watch", "list", "exporter"])
def test_published_event_becomes_a_signal(document):
    [signal] = ADAPTER.parse(orjson.dumps(document), received_at=NOW)

    assert isinstance(signal, Signal), signal
