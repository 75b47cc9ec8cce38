"""The description at /openapi.json: complete, and true to the models."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from signal_gateway.audit.event import REQUIRED_ON_THE_WIRE, AuditEvent
from signal_gateway.datastorage import create_datastorage
from signal_gateway.datastorage.http.openapi import datastorage_openapi


@pytest.fixture
def database(tmp_path: Path) -> str:
    """SQLite is enough: the description is the same."""
    return f"sqlite:///{tmp_path}/audit.db"


@pytest.fixture
def description(client: httpx.Client) -> dict[str, Any]:
    answer = client.get("/openapi.json").raise_for_status()
    assert answer.headers["content-type"] == "application/json"
    document: dict[str, Any] = answer.json()
    return document


def test_every_route_of_the_api_is_described_and_nothing_else(database: str, description: dict[str, Any]) -> None:
    routes = [route for route in create_datastorage(database).app.routes if isinstance(route, Route)]
    served = {
        (route.path, method.lower())
        for route in routes
        for method in (route.methods or set()) - {"HEAD"}
        if route.path.startswith("/api/")
        or route.path.startswith("/health")
        or route.path in ("/readyz", "/metrics", "/openapi.json")
    }

    described = {(path, method) for path, operations in description["paths"].items() for method in operations}

    assert described == served
    assert len(described) == 17


def test_events_are_described_as_the_model_has_them(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]

    assert schemas["AuditEvent"]["properties"].keys() == AuditEvent.model_fields.keys()
    assert schemas["AuditEvent"]["required"] == list(REQUIRED_ON_THE_WIRE)
    assert schemas["AuditEvent"]["properties"]["event_type"]["maxLength"] == 100
    assert schemas["StoredEvent"]["properties"].keys() > AuditEvent.model_fields.keys()


def test_what_the_service_was_made_with_is_described() -> None:
    plain = datastorage_openapi(max_batch_events=7, has_tokens=False)
    guarded = datastorage_openapi(max_batch_events=7, has_tokens=True)
    batch = "/api/v1/audit/events/batch"

    assert plain["paths"][batch]["post"]["requestBody"]["content"]["application/json"]["schema"]["maxItems"] == 7
    assert "securitySchemes" not in plain["components"]
    assert "401" not in plain["paths"][batch]["post"]["responses"]
    assert guarded["paths"][batch]["post"]["security"] == [{"bearer": ["write"]}]
    assert guarded["paths"]["/api/v1/audit/events"]["get"]["security"] == [{"bearer": ["read"]}, {"basic": ["read"]}]
    assert guarded["paths"][batch]["post"]["responses"].keys() >= {"401", "403"}
    assert "security" not in guarded["paths"]["/healthz"]["get"]
