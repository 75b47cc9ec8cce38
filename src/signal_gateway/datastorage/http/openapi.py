"""The OpenAPI 3.1 description of DataStorage, generated from its event and response models."""

from collections.abc import Mapping
from typing import Literal

from signal_gateway.audit.event import MAX_EVENT_DATA_BYTES, MAX_EVENT_DATA_DEPTH, REQUIRED_ON_THE_WIRE, AuditEvent
from signal_gateway.datastorage.http.export import CSV, FORMATS, NDJSON, PAGING
from signal_gateway.datastorage.http.response_models import (
    BatchStored,
    CasesResponse,
    EventStored,
    HoldItem,
    HoldRequest,
    HoldsResponse,
    ItemError,
    LimitsResponse,
    Pagination,
    PlacedHoldItem,
    ReleaseRequest,
    StatusResponse,
    VerificationResponse,
)
from signal_gateway.datastorage.query import (
    COUNT_LIMIT,
    CURSOR,
    DEFAULT_LIMIT,
    MAX_LIMIT,
    MAX_OFFSET,
    PARAMETERS,
    RELATIVE,
    ZONELESS,
)
from signal_gateway.web.body import JSON
from signal_gateway.web.metrics_page import METRICS_TYPES
from signal_gateway.web.openapi import REFERENCE, Schema, first_paragraph, operation, ref, response_schemas
from signal_gateway.web.problem import PROBLEM_SCHEMA

__all__ = ["datastorage_openapi"]

Access = Literal["open", "read", "write"]

_RESPONSES = (
    BatchStored,
    CasesResponse,
    EventStored,
    HoldItem,
    HoldRequest,
    HoldsResponse,
    ItemError,
    LimitsResponse,
    Pagination,
    PlacedHoldItem,
    ReleaseRequest,
    StatusResponse,
    VerificationResponse,
)

# the model checks these with functions, which its JSON Schema does not show
_FORMATS = {"event_id": ("uuid",), "parent_event_id": ("uuid",), "actor_ip": ("ipv4", "ipv6")}

_BAD_REQUEST = {400: "The request is not valid; `errors` has the reasons, if they belong to a parameter or an event."}
_UNREADY = {503: "The database is not available; nothing was stored."}
_ON_HOLD = {409: "The case is on hold for another reason or by another person; `hold` is that hold. Release it first."}
_BODY_ERRORS = {
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not JSON.",
}
_ACCESS_ERRORS = {401: "A valid token is missing.", 403: "The token does not have the scope."}


def datastorage_openapi(*, max_batch_events: int, has_tokens: bool) -> Schema:
    """Describe the API.

    Args:
        max_batch_events: The most events of a batch.
        has_tokens: Whether requests need a token.
    """
    api = _Operations(has_tokens)
    document: Schema = {
        "openapi": "3.1.0",
        "info": {
            "title": "signal-gateway DataStorage",
            "version": AuditEvent.model_fields["version"].default,
            "description": "Stores audit events and finds them again.",
        },
        "paths": {
            "/api/v1/audit/events": {
                "get": api.operation(
                    "findEvents",
                    "Read a page of events, newest first by default.",
                    "read",
                    responses={200: (JSON, ref("Page"), "A page.")},
                    problems=_BAD_REQUEST | _UNREADY,
                    parameters=[_parameter(name) for name in PARAMETERS],
                ),
                "post": api.operation(
                    "storeEvent",
                    "Store one event.",
                    "write",
                    responses={201: (JSON, ref("EventStored"), "The event is stored.")},
                    problems=_BAD_REQUEST | _BODY_ERRORS | _UNREADY,
                    body=ref("AuditEvent"),
                ),
            },
            "/api/v1/audit/events/batch": {
                "post": api.operation(
                    "storeEvents",
                    "Store all events of the batch, or none if one is not valid.",
                    "write",
                    responses={201: (JSON, ref("BatchStored"), "The events are stored.")},
                    problems=_BAD_REQUEST | _BODY_ERRORS | _UNREADY,
                    body={
                        "type": "array",
                        "items": ref("AuditEvent"),
                        "minItems": 1,
                        "maxItems": max_batch_events,
                    },
                )
            },
            "/api/v1/audit/export": {"get": _export(api)},
            "/api/v1/audit/cases": {
                "get": api.operation(
                    "findCases",
                    "Read a page of cases with an event that matches: one row for each correlation id, described by "
                    "all of its events. In descending order a case has the place of its last event that matches.",
                    "read",
                    responses={200: (JSON, ref("CasesResponse"), "A page.")},
                    problems=_BAD_REQUEST | _UNREADY,
                    parameters=[_parameter(name) for name in PARAMETERS],
                )
            },
            "/api/v1/audit/limits": {
                "get": api.operation(
                    "getLimits",
                    "Read the limits of a request.",
                    "read",
                    responses={200: (JSON, ref("LimitsResponse"), "The limits.")},
                )
            },
            **_integrity_paths(api),
            "/healthz": {
                "get": api.operation(
                    "isAlive",
                    "Check that the service runs.",
                    "open",
                    responses={200: (JSON, ref("StatusResponse"), "The service runs.")},
                )
            },
            "/readyz": {
                "get": api.operation(
                    "isReady",
                    "Check that events can be stored now.",
                    "open",
                    responses={200: (JSON, ref("StatusResponse"), "Events can be stored.")},
                    problems=_UNREADY,
                )
            },
            "/health": {
                "get": api.operation(
                    "isAliveAsOriginal",
                    "Check that the service runs.",
                    "open",
                    responses={200: (JSON, ref("StatusResponse"), "The service runs.")},
                )
            },
            "/health/live": {
                "get": api.operation(
                    "isLive",
                    "Check that the service runs.",
                    "open",
                    responses={200: (JSON, ref("StatusResponse"), "The service runs.")},
                )
            },
            "/health/ready": {
                "get": api.operation(
                    "isReadyAsOriginal",
                    "Check that events can be stored now.",
                    "open",
                    responses={200: (JSON, ref("StatusResponse"), "Events can be stored.")},
                    problems=_UNREADY,
                )
            },
            "/metrics": {
                "get": api.operation(
                    "getMetrics",
                    "Read the metrics of this service for Prometheus.",
                    "open",
                    responses={200: (METRICS_TYPES[0], {"type": "string"}, "The metrics.")},
                )
            },
            "/openapi.json": {
                "get": api.operation(
                    "getDescription",
                    "Read this description.",
                    "read",
                    responses={200: (JSON, {"type": "object"}, "OpenAPI 3.1.")},
                )
            },
        },
        "components": {"schemas": _schemas()},
    }
    if has_tokens:
        document["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "description": "A token with the scope of the operation."},
            "basic": {"type": "http", "scheme": "basic", "description": "Any user name, and a token as password."},
        }
    return document


class _Operations:
    """Describes operations and the tokens that they need.

    Args:
        has_tokens: Whether operations need a token, unless they are open.
    """

    def __init__(self, has_tokens: bool) -> None:
        self._has_tokens = has_tokens

    def operation(
        self,
        name: str,
        summary: str,
        access: Access,
        *,
        responses: Mapping[int, tuple[str, Schema, str]],
        problems: Mapping[int, str] = {},
        parameters: list[Schema] | None = None,
        body: Schema | None = None,
    ) -> Schema:
        is_guarded = self._has_tokens and access != "open"
        security: list[Schema] = [{"bearer": [access]}, *([{"basic": [access]}] if access == "read" else [])]
        return operation(
            name,
            summary,
            responses=responses,
            problems={**problems, **(_ACCESS_ERRORS if is_guarded else {})},
            parameters=parameters,
            body=body,
            security=security if is_guarded else None,
        )


def _integrity_paths(api: _Operations) -> Schema:
    checkpoint = {
        "name": "checkpoint",
        "in": "query",
        "required": False,
        "schema": {"type": "string", "contentMediaType": JSON},
        "description": "The JSON of a checkpoint that the chain must contain.",
    }
    times = [
        _parameter(name) | {"description": f"The {which} time of a link, inclusive; forms as in a query."}
        for name, which in (("since", "earliest"), ("until", "latest"))
    ]
    return {
        "/api/v1/audit/verify": {
            "get": api.operation(
                "verifyEvents",
                "Verify that the stored events are complete and unaltered. All links are verified; the events of "
                "links within since and until are compared with them.",
                "read",
                responses={200: (JSON, ref("VerificationResponse"), "The result, also of an alteration.")},
                problems=_BAD_REQUEST | _UNREADY,
                parameters=[*times, checkpoint],
            )
        },
        "/api/v1/audit/holds": {
            "get": api.operation(
                "listHolds",
                "List the legal holds.",
                "read",
                responses={200: (JSON, ref("HoldsResponse"), "All holds.")},
                problems=_UNREADY,
            ),
            "post": api.operation(
                "placeHold",
                "Keep the events of a case from purges. The hold is an audit event of the case. A correlation id "
                "without events is refused, unless `allow_unknown` is true.",
                "write",
                responses={
                    201: (JSON, ref("PlacedHoldItem"), "The hold, and what it keeps."),
                    200: (JSON, ref("PlacedHoldItem"), "The hold existed, with this reason and person."),
                },
                problems=_BAD_REQUEST | _BODY_ERRORS | _UNREADY | _ON_HOLD,
                body=ref("HoldRequest"),
            ),
        },
        "/api/v1/audit/holds/release": {
            "post": api.operation(
                "releaseHold",
                "End a legal hold. The release is an audit event of the case.",
                "write",
                responses={200: (JSON, ref("HoldsResponse"), "The hold is released; the other holds.")},
                problems=_BAD_REQUEST | _BODY_ERRORS | _UNREADY,
                body=ref("ReleaseRequest"),
            )
        },
    }


def _schemas() -> Schema:
    schemas = response_schemas(_RESPONSES)
    sent, read = _sent_event(), _sent_event()
    sent["properties"] |= {name: _or_empty(name, schema) for name, schema in sent["properties"].items()}
    # a stored event has no nulls, and it has the defaults and the members of the server
    read["properties"] = {name: _without_null(schema) for name, schema in read["properties"].items()} | {
        "event_date": {"type": "string", "format": "date"},
        "sequence": {"type": "integer", "minimum": 1},
        "received_at": {"type": "string", "format": "date-time"},
        "clock_skew": {"const": True, "description": "The event_timestamp is more than an hour ahead of the arrival."},
    }
    read["required"] = [
        *read["required"],
        *("event_id", "actor_type", "actor_id", "resource_type", "resource_id", "event_date", "sequence"),
        "received_at",
    ]
    page = {
        "type": "object",
        "properties": {
            "data": {"type": "array", "items": ref("StoredEvent"), "maxItems": MAX_LIMIT},
            "pagination": ref("Pagination"),
        },
        "required": ["data", "pagination"],
    }
    error = schemas["ItemError"]
    # an error of a URL parameter has no index
    errors = {"type": "array", "items": error | {"required": ["field", "reason"]}}
    problem = {**PROBLEM_SCHEMA, "properties": PROBLEM_SCHEMA["properties"] | {"errors": errors}}
    del schemas["ItemError"]
    return schemas | {"AuditEvent": sent, "StoredEvent": read, "Page": page, "Problem": problem}


def _sent_event() -> Schema:
    """Describe an event on the wire, as `AuditEvent.from_wire` parses it."""
    schema = AuditEvent.model_json_schema(ref_template=REFERENCE)
    properties = {
        name: {key: value for key, value in member.items() if key not in ("default", "title")}
        for name, member in schema["properties"].items()
    }
    for name, formats in _FORMATS.items():
        choices = [{"type": "string", "format": format} for format in formats]
        is_nullable = "anyOf" in properties[name]
        properties[name] = {"anyOf": [*choices, *([{"type": "null"}] if is_nullable else [])]}
    properties["event_data"] |= {
        "description": f"Its event_type equals the outer one. At most {MAX_EVENT_DATA_BYTES} bytes of JSON, "
        f"{MAX_EVENT_DATA_DEPTH} levels deep.",
        "properties": {"event_type": properties["event_type"]},
        "required": ["event_type"],
    }
    return {
        "type": "object",
        "description": first_paragraph(schema["description"]),
        "properties": properties,
        "required": list(REQUIRED_ON_THE_WIRE),
    }


def _or_empty(name: str, schema: Schema) -> Schema:
    """Describe the forms of an optional member that generated clients send: empty if absent, a date-time for a date."""
    if {"type": "null"} not in schema.get("anyOf", ()):
        return schema
    date_time = [{"type": "string", "format": "date-time"}] if name == "parent_event_date" else []
    return {"anyOf": [*schema["anyOf"], *date_time, {"type": "string", "maxLength": 0}]}


def _without_null(schema: Schema) -> Schema:
    if "anyOf" not in schema:
        return schema
    choices = [choice for choice in schema["anyOf"] if choice != {"type": "null"}]
    return {"anyOf": choices}


def _export(api: _Operations) -> Schema:
    described: Schema = api.operation(
        "exportEvents",
        "Read every event that matches, oldest first by default, one JSON object per line, or as CSV. "
        "A response that ends without the end of its encoding is not complete.",
        "read",
        # no schema: a validator would read all lines as one document
        responses={200: (NDJSON, {}, "One StoredEvent object per line, or rows of CSV after a row of headings.")},
        problems=_BAD_REQUEST | _UNREADY,
        parameters=[
            *(_parameter(name, order="asc") for name in PARAMETERS if name not in PAGING),
            {
                "name": "format",
                "in": "query",
                "required": False,
                "schema": {"type": "string", "enum": list(FORMATS), "default": FORMATS[0]},
                "description": "ndjson has the events exactly; csv is for a spreadsheet.",
            },
        ],
    )
    described["responses"]["200"]["content"][CSV.partition(";")[0]] = {"schema": {}}
    return described


def _parameter(name: str, *, order: str = "desc") -> Schema:
    """Describe a query parameter.

    Raises:
        KeyError: The parameter has no description here, so a new one is not forgotten.
    """
    text: Schema = {"type": "string", "minLength": 1}
    time: Schema = {
        "anyOf": [
            {"type": "string", "format": "date-time"},
            {"type": "string", "format": "date"},
            {"type": "string", "pattern": f"^{ZONELESS.pattern}$"},
            {"type": "string", "pattern": f"^({RELATIVE.pattern})?$"},
        ]
    }
    optional: Schema = {"type": "string"}  # empty is as if left out
    outcomes = AuditEvent.model_json_schema()["properties"]["event_outcome"]["enum"]
    exact = "Exact match; an event without a value does not match."
    described: dict[str, tuple[Schema, str]] = {
        "correlation_id": (optional, exact),
        "event_type": (optional, exact),
        "event_category": (optional, exact),
        "event_outcome": ({"type": "string", "enum": ["", *outcomes]}, exact),
        "severity": (optional, exact),
        "resource_type": (
            optional,
            f"The kind of the resource, such as Deployment; also event_data.resource_kind. {exact}",
        ),
        "resource_id": (optional, f"The resource, such as prod/payment-api. {exact}"),
        "resource_name": (
            optional,
            "The part of resource_id after its last slash, such as payment-api, or event_data.resource_name; "
            "exact match.",
        ),
        "namespace": (
            optional,
            "The namespace; without it that of a resource_id such as prod/payment-api, or event_data.namespace. "
            f"{exact}",
        ),
        "actor_type": (optional, f"The type of the actor, such as user. {exact}"),
        "actor_id": (optional, exact),
        "text": (
            optional,
            "A part of resource_id, actor_id, correlation_id, event_data.signal_name or event_data.resource_name; "
            "A to Z match in both cases.",
        ),
        "since": (time, "The earliest event_timestamp, inclusive; 30m, 1h30m and 7d are relative to now."),
        "until": (time, "The latest event_timestamp, inclusive; same forms as since."),
        "detail_key": (text, "A top-level member of event_data; only with detail_value."),
        "detail_value": (text, "The value as text, or a number, boolean or null as JSON; only with detail_key."),
        "limit": (
            {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
            "The most events of the page.",
        ),
        "offset": (
            {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0},
            "The number of events to skip; not with cursor.",
        ),
        "order": ({"type": "string", "enum": ["asc", "desc"], "default": order}, "By event_timestamp, then sequence."),
        "cursor": (
            {"type": "string", "pattern": f"^{CURSOR.pattern}$"},
            "The next_cursor of the page before.",
        ),
        "total": (
            {"type": "string", "enum": ["bounded", "exact"], "default": "bounded"},
            f"bounded: a count ends after {COUNT_LIMIT} events, or half of them if no index alone can count them; "
            "exact: it counts all, which takes long for many.",
        ),
    }
    schema, description = described[name]
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}
