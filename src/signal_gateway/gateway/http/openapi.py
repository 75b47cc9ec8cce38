"""The OpenAPI 3.1 description of a gateway, made from its adapters and from what it answers with."""

from collections.abc import Sequence
from functools import cache
from typing import Final

import orjson
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signal_gateway._version import __version__
from signal_gateway.gateway.http.response_models import BatchAnswer, Ready, SignalAnswer, Status
from signal_gateway.gateway.signals.adapter import Adapter
from signal_gateway.web.json_body import JSON
from signal_gateway.web.openapi import Schema, answer_schemas, operation, ref
from signal_gateway.web.problem import PROBLEM_SCHEMA

__all__ = ["DESCRIPTION_PATH", "SIGNALS_PATH", "description_route", "openapi_document"]

SIGNALS_PATH: Final = "/api/v1/signals/"
DESCRIPTION_PATH: Final = "/openapi.json"

_UNAVAILABLE: Final = (
    "Not now; Retry-After says when to send it again. With several signals it tells what became of each: those that "
    "were handled are duplicates the next time."
)
_REFUSALS: Final = {
    400: "It is not what the source sends, or its only signal is invalid.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    500: "A bug, or the Kubernetes API refuses the only signal for good.",
    503: _UNAVAILABLE,
    504: "It took too long; what it began goes on. Send it again.",
}
_ACCESS_REFUSALS: Final = {401: "It needs a token that is known.", 403: "The token's owner may not send signals."}


def description_route(adapters: Sequence[Adapter], *, has_authenticator: bool, has_management: bool) -> Route:
    """Return the route of the description.

    Args:
        adapters: What reads signals.
        has_authenticator: Whether senders are asked who they are.
        has_management: Whether health and metrics are served beside it.
    """

    @cache
    def encoded() -> bytes:
        # made when it is asked for: that takes longer than starting does, and most tests never ask
        document = openapi_document(adapters, has_authenticator=has_authenticator, has_management=has_management)
        return orjson.dumps(document)

    async def description(_: Request) -> Response:
        return Response(encoded(), media_type=JSON)

    return Route(DESCRIPTION_PATH, description)


def openapi_document(adapters: Sequence[Adapter], *, has_authenticator: bool, has_management: bool) -> Schema:
    """Describe a gateway.

    Args:
        adapters: What reads signals: each has a path. One without a `body_schema` takes any JSON as far as is known.
        has_authenticator: Whether senders are asked who they are.
        has_management: Whether health and metrics are served beside it.
    """
    security: list[Schema] | None = [{"bearer": []}] if has_authenticator else None
    access_refusals = _ACCESS_REFUSALS | {503: _UNAVAILABLE, 504: _REFUSALS[504]} if has_authenticator else {}
    paths: Schema = {
        f"{SIGNALS_PATH}{adapter.name}": {"post": _receive(adapter, access_refusals, security)} for adapter in adapters
    }
    if has_management:
        paths |= _management_paths()
    paths[DESCRIPTION_PATH] = {
        "get": operation(
            "getDescription",
            "Read this description.",
            answers={200: (JSON, {"type": "object"}, "OpenAPI 3.1.")},
            refusals=access_refusals,
            security=security,
        )
    }
    components: Schema = {"schemas": _schemas()}
    if has_authenticator:
        components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "signal-gateway",
            "version": __version__,
            "description": "Takes signals, and creates one RemediationRequest per problem. Every answer has an "
            "X-Request-ID. A path that is not described is a 404 and another method a 405, as problems like the rest.",
        },
        "paths": paths,
        "components": components,
    }


def _receive(adapter: Adapter, access_refusals: dict[int, str], security: list[Schema] | None) -> Schema:
    signal, batch = (JSON, ref("SignalAnswer")), (JSON, ref("BatchAnswer"))
    return operation(
        f"receive-{adapter.name}",
        f"Take signals of the source {adapter.name}.",
        answers={
            200: (*signal, "The only signal asks for nothing: it is resolved, or rejected."),
            201: (*signal, "A RemediationRequest was created for the only signal."),
            202: (*signal, "The only signal is a duplicate of one that is being handled."),
            207: (*batch, "Each of several signals is decided."),
            503: (*batch, _UNAVAILABLE),
        },
        refusals=_REFUSALS | access_refusals,
        body=dict(getattr(adapter, "body_schema", {})),
        security=security,
    )


def _management_paths() -> Schema:
    metrics = operation(
        "getMetrics",
        "Read the metrics of this gateway for Prometheus.",
        answers={200: (choose_encoder("")[1], {"type": "string"}, "The metrics.")},
    )
    open_metrics = choose_encoder("application/openmetrics-text")[1]
    metrics["responses"]["200"]["content"][open_metrics] = {"schema": {"type": "string"}}
    return {
        "/healthz": {
            "get": operation("isAlive", "Say that it runs.", answers={200: (JSON, ref("Status"), "It does.")})
        },
        "/readyz": {
            "get": operation(
                "isReady",
                "Say whether signals can be handled now.",
                answers={200: (JSON, ref("Ready"), "They can.")},
                refusals={503: "They can't; `checks` says why."},
            )
        },
        "/metrics": {"get": metrics},
    }


def _schemas() -> Schema:
    checks = {"type": "object", "additionalProperties": {"type": "string"}}
    problem = {
        **PROBLEM_SCHEMA,
        "properties": PROBLEM_SCHEMA["properties"] | {"checks": checks},
        "required": [*PROBLEM_SCHEMA["required"], "request_id"],
    }
    return answer_schemas([SignalAnswer, BatchAnswer, Status, Ready]) | {"Problem": problem}
