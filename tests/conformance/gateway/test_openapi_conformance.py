"""A gateway does what it says at /openapi.json: Schemathesis makes requests of it, right ones and wrong ones."""

from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from tests.conformance.exploration import Exploration

from signal_gateway import GatewayConfig

pytestmark = pytest.mark.slow

EXAMPLES = 40

TARGETS = [
    {"namespace": "prod", "deployment": "api"},
    {"namespace": "prod", "deployment": "gone"},
    {"namespace": "prod", "statefulset": "store"},
    {"namespace": "prod", "deployment": "legacy"},
    {"namespace": "dev", "pod": "shell"},
    {"node": "worker-1"},
    {"job": "no target"},
]
INVOLVED = [
    {"kind": "Deployment", "name": "api", "namespace": "prod", "apiVersion": "apps/v1"},
    {"kind": "Pod", "name": "shell", "namespace": "dev", "apiVersion": "v1"},
    {"kind": "Node", "name": "worker-1", "namespace": None},
]


@pytest.fixture
def gateway_config() -> GatewayConfig:
    return GatewayConfig()


@pytest.fixture
def populated(gateway: Any) -> Any:
    """A gateway over a cluster with workloads, some of them opted in."""
    gateway.cluster.workload("prod/Deployment/api", managed=True)
    gateway.cluster.workload("prod/Deployment/legacy", managed=False)
    gateway.cluster.workload("prod/StatefulSet/store", managed=True)
    gateway.cluster.workload("dev/Pod/shell")
    gateway.cluster.workload("Node/worker-1", managed=True)
    return gateway


def make_sense(case: Case, data: st.DataObject) -> None:
    """Give signals what a schema can't tell: objects that the cluster has, and times that aren't in the future."""
    body: Any = case.body
    if "alerts" not in body:
        for event in [it.get("object", it.get("event", it)) for it in body.get("items", [body])]:
            event[next(it for it in ("involvedObject", "regarding") if it in event)] |= data.draw(
                st.sampled_from(INVOLVED)
            )
            event |= {"type": "Warning", "reason": "BackOff", "lastTimestamp": datetime.now(UTC).isoformat()}
            event["firstTimestamp"] = event["eventTime"] = event["series"] = None
            event["deprecatedLastTimestamp"] = event["deprecatedFirstTimestamp"] = None
        return
    for alert in body["alerts"]:
        alert["labels"] |= {"alertname": "X"} | data.draw(st.sampled_from(TARGETS))
        alert["startsAt"] = "2026-01-01T00:00:00Z"


def test_every_answer_is_as_described(populated: Any) -> None:
    schema = schemathesis.openapi.from_dict(populated.client.get("/openapi.json").json())

    with requests.Session() as session:
        exploration = Exploration(populated.url, session=session, headers={}, examples=EXAMPLES)
        for path in schema:
            for operation in schema[path].values():
                exploration.explore(operation, GenerationMode.POSITIVE)
                if operation.body:
                    exploration.explore(operation, GenerationMode.POSITIVE, make_sense)
                    exploration.explore(operation, GenerationMode.NEGATIVE)

    exploration.assert_a_fifth_went_well()
    assert exploration.statuses.keys() >= {200, 201, 202, 207, 400}
