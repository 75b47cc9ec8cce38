"""DataStorage does what it says at /openapi.json: Schemathesis makes requests of it, right ones and wrong ones.

The same requests in every run: none is drawn anew.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

BATCH = "/api/v1/audit/events/batch"
TOKEN = "operator-" * 5
EXAMPLES = 15
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
MakeEvent = Callable[..., dict[str, Any]]
Serve = Callable[..., httpx.Client]


@pytest.fixture(params=["open", "guarded"])
def client(
    request: pytest.FixtureRequest, serve: Serve, write_tokens: Callable[[str], Path], make_event: MakeEvent
) -> httpx.Client:
    """A client of a DataStorage with events, without tokens and with one."""
    if request.param == "open":
        client = serve()
    else:
        client = serve(token_file=write_tokens(f"read,write {TOKEN}\n"))
        client.headers["Authorization"] = f"Bearer {TOKEN}"
    events = [make_event(correlation_id=f"rr-{n % 5}", severity="high" if n % 2 else None) for n in range(60)]
    client.post(BATCH, json=events).raise_for_status()
    return client


def repeat_event_type(body: Any) -> None:
    """Keep the one rule between two members that a schema can't tell."""
    for event in body if isinstance(body, list) else [body]:
        event["event_data"]["event_type"] = event["event_type"]


def test_every_answer_is_as_described(client: httpx.Client) -> None:
    description = client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(description)
    statuses: Counter[int] = Counter()
    authorization = {name: value for name, value in client.headers.items() if name == "authorization"}

    with requests.Session() as session:

        def explore(operation: Any, mode: GenerationMode) -> None:
            @settings(
                max_examples=EXAMPLES,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Case) -> None:
                if mode is GenerationMode.POSITIVE and operation.body:
                    repeat_event_type(case.body)
                response = case.call(base_url=str(client.base_url), session=session, headers=authorization)
                statuses[response.status_code] += 1
                case.validate_response(response, checks=CHECKS)

            ask()

        for path in schema:
            for operation in schema[path].values():
                explore(operation, GenerationMode.POSITIVE)
                if operation.query or operation.body:
                    explore(operation, GenerationMode.NEGATIVE)

    assert sum(count for status, count in statuses.items() if status < 300) >= sum(statuses.values()) / 5, statuses
    assert 400 in statuses
