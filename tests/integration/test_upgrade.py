"""A request with `Upgrade: h2c`, as Java's HTTP client and `curl --http2` send it, is handled with its body."""

import http.client
import json
from urllib.parse import urlsplit

import pytest

from signal_gateway.audit import AuditEvent
from signal_gateway.testing import alert, alertmanager_webhook

UPGRADE = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}


def post(url, path, body):
    """Post a JSON body with an Upgrade; return the status and the decoded response."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname, place.port)
    connection.request("POST", path, body, {"Content-Type": "application/json", **UPGRADE})
    response = connection.getresponse()
    answer = response.status, json.loads(response.read())
    connection.close()
    return answer


def test_gateway_handles_a_webhook_with_an_upgrade(gateway):
    webhook = alertmanager_webhook(alert("X", namespace="prod", deployment="api"))

    status, answer = post(gateway.url, "/api/v1/signals/prometheus", json.dumps(webhook))

    assert (status, answer["status"]) == (201, "created")


def test_datastorage_stores_a_batch_with_an_upgrade(datastorage, trail):
    event = AuditEvent(
        event_type="gateway.signal.received",
        event_category="gateway",
        event_action="received",
        event_outcome="success",
        correlation_id="upgrade",
        event_data={},
    )

    status, _ = post(datastorage.url, "/api/v1/audit/events/batch", f"[{event.model_dump_json(exclude_none=True)}]")

    assert status == 201
    assert trail.one(correlation_id="upgrade").event_id == event.event_id


@pytest.mark.parametrize("path", ["/api/v1/namespaces", "/api/v1/namespaces/default/configmaps"])
def test_embedded_api_server_creates_an_object_with_an_upgrade(cluster, path):
    kind = "ConfigMap" if path.endswith("configmaps") else "Namespace"

    status, answer = post(cluster.url, path, json.dumps({"kind": kind, "apiVersion": "v1", "metadata": {"name": "a"}}))

    assert (status, answer["metadata"]["name"]) == (201, "a")
