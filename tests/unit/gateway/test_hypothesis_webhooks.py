"""Whatever has roughly the shape of a webhook or an Event: each signal is decided, in order, and nothing breaks.

The same payloads in every run; for a wider search set EXAMPLES higher and `derandomize` to False.
"""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signal_gateway.kubernetes import crd_manifest
from signal_gateway.kubernetes.resources import RemediationRequest

pytestmark = pytest.mark.slow

WEBHOOK = "/api/v1/signals/prometheus"
EVENT = "/api/v1/signals/kubernetes-event"
JSON = {"Content-Type": "application/json"}
EXAMPLES = 150
SUMMED = {
    "created": "created",
    "duplicate": "deduplicated",
    "rejected": "rejected",
    "invalid": "rejected",
    "resolved": "resolved",
    "failed": "failed",
}

search = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

# what texts of senders have been seen to break elsewhere: ends of lines, marks of order
odd = st.sampled_from(["\x85", "\u2028", "\u202e", "\ufeff", "\ufffe", "\U0010ffff", "\x00", "\x1b[31m", "é" * 300])
texts = st.text(max_size=30) | odd | st.text(min_size=250, max_size=300)
numbers = st.integers() | st.integers(10**18, 10**300) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)
names = st.sampled_from(["api", "a-b.c", "x" * 253, "x" * 254, "Api", "-", "", "payment_api", "café"]) | texts
extremes = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999999999Z",
    "9999-12-31T23:59:59-23:59",
    "2026-02-30T00:00:00Z",
    "2016-12-31T23:59:60Z",
    "2026-01-01t00:00:00.123456789123456789z",
    "\uff12026-01-01T00:00:00Z",
    "2026-01-01",
]
times = (
    st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
    | st.sampled_from(extremes)
    | st.timedeltas(-timedelta(minutes=10), timedelta(minutes=10)).map(lambda by: (datetime.now(UTC) + by).isoformat())
)
label_names = (
    st.sampled_from(["deployment", "pod", "node", "statefulset", "exported_pod", "cronjob", "job", "namespace"])
    | st.sampled_from(["exported_namespace", "severity", "cluster", "alertname", "persistentvolumeclaim"])
    | texts
)
string_maps = st.dictionaries(label_names, names, max_size=6)


def slightly_odd(good, members):
    """Make what is good but for a few members."""
    changes = st.fixed_dictionaries({}, optional=members)
    few = changes.map(lambda changes: dict(list(changes.items())[:2]))
    return st.builds(lambda good, few: {**good, **few}, good, st.just({}) | few)


good_labels = st.fixed_dictionaries(
    {"alertname": st.just("X"), "namespace": st.sampled_from(["prod", "dev"])},
    optional={"deployment": st.sampled_from(["api", "web", "db"]), "node": st.just("n-1"), "severity": texts},
)
odd_labels = st.builds(lambda good, odd: {**good, **odd}, good_labels, string_maps)
alerts = slightly_odd(
    st.fixed_dictionaries(
        {
            "status": st.sampled_from(["firing", "firing", "resolved"]),
            "labels": good_labels | odd_labels,
            "annotations": string_maps,
            "startsAt": st.just("2026-01-01T00:00:00Z"),
        }
    ),
    {
        "status": st.sampled_from(["Firing", ""]) | values,
        "labels": values,
        "annotations": string_maps | values,
        "startsAt": times | values,
        "endsAt": times | values,
        "generatorURL": texts,
        "fingerprint": values,
    },
)
mostly_alerts = st.integers(0, 5).flatmap(lambda n: alerts if n else values)
payloads = st.fixed_dictionaries(
    {
        "version": st.just("4"),
        "alerts": st.lists(st.integers(0, 5).flatmap(lambda n: alerts if n else values), min_size=1, max_size=6),
    },
    optional={"commonLabels": odd_labels, "commonAnnotations": string_maps, "receiver": values, "status": values},
)
involved = slightly_odd(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["Pod", "Deployment"]),
            "name": st.sampled_from(["a", "b"]),
            "namespace": st.just("dev"),
        }
    ),
    {
        "kind": st.sampled_from(["Thing", "pod", ""]) | texts,
        "name": names,
        "namespace": names | st.none(),
        "apiVersion": texts | st.sampled_from(["v1", "apps/v1"]),
    },
)
events = slightly_odd(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["Warning", "Error", "Normal"]),
            "reason": st.just("BackOff") | texts,
            "involvedObject": involved,
            "lastTimestamp": st.builds(lambda: datetime.now(UTC).isoformat()),
        }
    ),
    {
        "type": values,
        "reason": values,
        "involvedObject": values,
        "kind": st.just("Event"),
        "message": texts | values,
        "lastTimestamp": times | st.none(),
        "firstTimestamp": times | values,
        "eventTime": times | st.none(),
        "series": st.fixed_dictionaries({"lastObservedTime": times | values, "count": numbers}) | values,
        "reportingComponent": texts,
        "source": st.fixed_dictionaries({"component": texts | values}),
        "metadata": values,
    },
)


@pytest.fixture
def gateway(gateway_factory):
    return gateway_factory(processing={"multi_cluster": True})


@pytest.fixture
def outcomes():
    """Count what became of signals, so that a test can insist that it saw something of all."""
    return Counter()


def post(gateway, path, payload):
    return gateway.client.post(path, content=json.dumps(payload), headers=JSON)


def assert_single(response, outcomes):
    assert response.status_code in (200, 201, 202, 400), response.text
    status = response.json()["status"]
    allowed = {200: ("resolved", "rejected"), 201: ("created",), 202: ("duplicate",), 400: (400,)}
    assert status in allowed[response.status_code]
    assert response.headers["content-type"] == f"application/{'problem+' if status == 400 else ''}json"
    outcomes[status] += 1


def assert_batch(response, total, outcomes):
    assert response.status_code == 207, response.text
    body = response.json()
    statuses = Counter(result["status"] for result in body["results"])
    counted = Counter(dict.fromkeys(SUMMED.values(), 0))
    for status, count in statuses.items():
        counted[SUMMED[status]] += count
    assert len(body["results"]) == total
    assert body["summary"] == {"total": total, **counted}
    assert "failed" not in statuses
    assert all((result["error"] is not None) == (result["status"] == "invalid") for result in body["results"])
    outcomes.update(statuses)


def assert_all_valid(gateway):
    """Hold every RemediationRequest against the CRD's schema, with a validator that isn't ours."""
    [version] = crd_manifest()["spec"]["versions"]
    validator = jsonschema_rs.validator_for(version["schema"]["openAPIV3Schema"], validate_formats=True)
    created = list(gateway.cluster.lightkube().list(RemediationRequest, namespace=gateway.cluster.namespace))
    for request in created:
        validator.validate(request.to_dict())
    return len(created)


def test_any_webhook_is_decided_alert_by_alert(gateway, outcomes):
    @search
    @given(payload=payloads)
    def check(payload):
        response = post(gateway, WEBHOOK, payload)
        if len(payload["alerts"]) == 1:
            assert_single(response, outcomes)
        else:
            assert_batch(response, len(payload["alerts"]), outcomes)

    check()

    assert outcomes.keys() >= {"created", "duplicate", "resolved", "invalid", 400}, outcomes
    assert assert_all_valid(gateway) == outcomes["created"] > 2


def test_results_are_in_the_order_of_the_alerts(gateway):
    places = st.lists(alerts.map(lambda odd: (None, odd)) | st.integers(0, 5).map(lambda n: (n, None)), min_size=2)

    def good(number):
        labels = {"alertname": "Good", "namespace": "prod", "deployment": f"d-{number}"}
        return {"status": "firing", "labels": labels, "startsAt": "2026-01-01T00:00:00Z"}

    @search
    @given(places=places)
    def check(places):
        payload = {"version": "4", "alerts": [odd if number is None else good(number) for number, odd in places]}
        results = post(gateway, WEBHOOK, payload).json()["results"]
        for (number, _), result in zip(places, results, strict=True):
            if number is not None:
                assert result["fingerprint"] == sha256(f"prod:Deployment:d-{number}".encode()).hexdigest()
                assert result["status"] in ("created", "duplicate")

    check()

    assert assert_all_valid(gateway) >= 6


def test_any_event_is_decided(gateway, outcomes):
    @search
    @given(event=events)
    def check(event):
        assert_single(post(gateway, EVENT, event), outcomes)

    check()

    assert outcomes.keys() >= {"created", "duplicate", "rejected", 400}, outcomes
    assert assert_all_valid(gateway) == outcomes["created"] > 2
