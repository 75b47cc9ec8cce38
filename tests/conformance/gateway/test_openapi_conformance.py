"""A gateway does what it says at /openapi.json: Schemathesis makes requests of it, right ones and wrong ones.

The same requests in every run: none is drawn anew.
"""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from signal_gateway import GatewayConfig

EXAMPLES = 40
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

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


def make_sense(body: Any, data: st.DataObject) -> None:
    """Give signals what a schema can't tell: objects that the cluster has, and times that aren't in the future."""
    if "alerts" not in body:
        body["involvedObject"] |= data.draw(st.sampled_from(INVOLVED))
        body["lastTimestamp"] = datetime.now(UTC).isoformat()
        body["firstTimestamp"] = body["eventTime"] = body["series"] = None
        return
    for alert in body["alerts"]:
        alert["labels"] |= {"alertname": "X"} | data.draw(st.sampled_from(TARGETS))
        alert["startsAt"] = "2026-01-01T00:00:00Z"


def test_every_answer_is_as_described(populated: Any) -> None:
    description = populated.client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(description)
    statuses: Counter[int] = Counter()

    with requests.Session() as session:

        def explore(operation: Any, mode: GenerationMode, *, has_sense: bool = False) -> None:
            @settings(
                max_examples=EXAMPLES,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
            def ask(case: Case, data: st.DataObject) -> None:
                if has_sense:
                    make_sense(case.body, data)
                response = case.call(base_url=populated.url, session=session)
                statuses[response.status_code] += 1
                case.validate_response(response, checks=CHECKS)

            ask()

        for path in schema:
            for operation in schema[path].values():
                explore(operation, GenerationMode.POSITIVE)
                if operation.body:
                    explore(operation, GenerationMode.POSITIVE, has_sense=True)
                    explore(operation, GenerationMode.NEGATIVE)

    assert sum(count for status, count in statuses.items() if status < 300) >= sum(statuses.values()) / 5, statuses
    assert statuses.keys() >= {200, 201, 202, 207, 400}
