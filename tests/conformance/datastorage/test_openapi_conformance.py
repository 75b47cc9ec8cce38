"""DataStorage does what it says at /openapi.json: Schemathesis makes requests of it, right ones and wrong ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from tests.conformance.exploration import Exploration

pytestmark = pytest.mark.slow

BATCH = "/api/v1/audit/events/batch"
TOKEN = "operator-" * 5
EXAMPLES = 25
MakeEvent = Callable[..., dict[str, Any]]
Serve = Callable[..., httpx.Client]


@pytest.fixture(params=["open", "guarded"])
def client(
    request: pytest.FixtureRequest, serve: Serve, write_tokens: Callable[[str], Path], make_wire_event: MakeEvent
) -> httpx.Client:
    """A client of a DataStorage with events, without tokens and with one."""
    if request.param == "open":
        client = serve()
    else:
        client = serve(token_file=write_tokens(f"read,write {TOKEN}\n"))
        client.headers["Authorization"] = f"Bearer {TOKEN}"
    events = [make_wire_event(correlation_id=f"rr-{n % 5}", severity="high" if n % 2 else None) for n in range(60)]
    client.post(BATCH, json=events).raise_for_status()
    return client


def repeat_event_type(case: Case, _: st.DataObject) -> None:
    """Keep the one rule between two members that a schema can't tell."""
    body: Any = case.body
    for event in body if isinstance(body, list) else [body]:
        if "event_data" in event:  # the body about a hold is no event
            event["event_data"]["event_type"] = event["event_type"]


def test_every_answer_is_as_described(client: httpx.Client) -> None:
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    authorization = {name: value for name, value in client.headers.items() if name == "authorization"}

    with requests.Session() as session:
        url = str(client.base_url)
        exploration = Exploration(url, session=session, headers=authorization, examples=EXAMPLES)
        for path in schema:
            for operation in schema[path].values():
                exploration.explore(operation, GenerationMode.POSITIVE, repeat_event_type if operation.body else None)
                if operation.query or operation.body:
                    exploration.explore(operation, GenerationMode.NEGATIVE)

    exploration.assert_a_fifth_went_well()
    assert 400 in exploration.statuses
