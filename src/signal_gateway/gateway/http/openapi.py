"""gateway_openapi: the OpenAPI 3.1 description of a gateway, from its adapters and response models."""

from collections.abc import Sequence
from functools import cache
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signal_gateway._version import __version__
from signal_gateway.gateway.http.response_models import BatchResponse, HealthStatus, Readiness, SignalResponse
from signal_gateway.gateway.signals.adapter import Adapter
from signal_gateway.web.body import JSON
from signal_gateway.web.metrics_page import METRICS_TYPES
from signal_gateway.web.openapi import Schema, operation, ref, response_schemas
from signal_gateway.web.problem import PROBLEM_SCHEMA

__all__ = ["DESCRIPTION_PATH", "SIGNALS_PATH", "description_route", "gateway_openapi"]

SIGNALS_PATH: Final = "/api/v1/signals/"
DESCRIPTION_PATH: Final = "/openapi.json"

_UNAVAILABLE: Final = (
    "The gateway cannot process the request right now; send it again after Retry-After. For several signals the body "
    "has the outcome of each; the next request of the same notification takes over the outcomes of processed signals."
)
_REFUSALS: Final = {
    400: "The body is not a payload of the source, or its only signal is invalid.",
    413: "The body is too large.",
    415: "The body is not JSON, or compressed in another way than gzip and deflate.",
    500: "An internal error, or the Kubernetes API rejected the RemediationRequest of the only signal.",
    503: _UNAVAILABLE,
    504: "The request exceeded its deadline; its work continues in the background. Send it again.",
}
_ACCESS_REFUSALS: Final = {
    401: "The token is missing or not valid.",
    403: "The owner of the token may not send signals.",
}


def description_route(adapters: Sequence[Adapter], *, has_authenticator: bool, has_management: bool) -> Route:
    """Return the route that serves the description.

    Args:
        adapters: The adapters of the gateway.
        has_authenticator: Whether senders must authenticate.
        has_management: Whether the same listener serves health and metrics.
    """

    @cache
    def encoded() -> bytes:
        # built on the first request: it takes longer than a start, and most tests never request it
        document = gateway_openapi(adapters, has_authenticator=has_authenticator, has_management=has_management)
        return orjson.dumps(document)

    async def description(_: Request) -> Response:
        return Response(encoded(), media_type=JSON)

    return Route(DESCRIPTION_PATH, description)


def gateway_openapi(adapters: Sequence[Adapter], *, has_authenticator: bool, has_management: bool) -> Schema:
    """Return the OpenAPI description of a gateway.

    Args:
        adapters: The adapters, one path each. Without a `body_schema`, the description allows any JSON body.
        has_authenticator: Whether senders must authenticate.
        has_management: Whether the same listener serves health and metrics.
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
            "Return this description.",
            responses={200: (JSON, {"type": "object"}, "OpenAPI 3.1.")},
            problems=access_refusals,
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
            "description": "Accepts signals and creates one RemediationRequest per problem. Every response has an "
            "X-Request-ID. An unknown path is a 404 and an unknown method a 405, both as problem documents.",
        },
        "paths": paths,
        "components": components,
    }


def _receive(adapter: Adapter, access_refusals: dict[int, str], security: list[Schema] | None) -> Schema:
    signal, batch = (JSON, ref("SignalResponse")), (JSON, ref("BatchResponse"))
    return operation(
        f"receive-{adapter.name}",
        f"Accept signals of the source {adapter.name}.",
        responses={
            200: (*signal, "The only signal needs no remediation: it is resolved or rejected."),
            201: (*signal, "A RemediationRequest was created for the only signal."),
            202: (*signal, "The only signal is a duplicate: an active RemediationRequest handles its problem."),
            207: (*batch, "Each of several signals has an outcome."),
            503: (*batch, _UNAVAILABLE),
        },
        problems=_REFUSALS | access_refusals,
        body=dict(getattr(adapter, "body_schema", {})),
        security=security,
    )


def _management_paths() -> Schema:
    metrics = operation(
        "getMetrics",
        "Return the metrics of this gateway for Prometheus.",
        responses={200: (METRICS_TYPES[0], {"type": "string"}, "The metrics.")},
    )
    for content_type in METRICS_TYPES:
        metrics["responses"]["200"]["content"][content_type] = {"schema": {"type": "string"}}
    return {
        "/healthz": {
            "get": operation(
                "isAlive",
                "Report that the process runs.",
                responses={200: (JSON, ref("HealthStatus"), "The process runs.")},
            )
        },
        "/readyz": {
            "get": operation(
                "isReady",
                "Report whether the gateway can process signals.",
                responses={200: (JSON, ref("Readiness"), "The gateway can process signals.")},
                problems={503: "The gateway cannot process signals; `checks` gives the reason."},
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
    return response_schemas([SignalResponse, BatchResponse, HealthStatus, Readiness]) | {"Problem": problem}
