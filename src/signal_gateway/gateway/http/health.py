"""health_routes: the endpoints for liveness, readiness and metrics."""

import asyncio
import logging

import orjson
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signal_gateway.audit.stats import AuditStore
from signal_gateway.audit.store import BufferedAuditStore
from signal_gateway.gateway.http.responses import RETRY_AFTER_SECONDS
from signal_gateway.gateway.lifecycle import Lifecycle
from signal_gateway.gateway.remediation.requests import RemediationRequests
from signal_gateway.kubernetes import CallObserver, KubernetesClient, KubernetesError
from signal_gateway.web.metrics_page import metrics_response
from signal_gateway.web.problem import Problem

__all__ = ["health_routes"]

_log = logging.getLogger(__name__)

_PING_TIMEOUT = 2.0
_MIN_FREE_BYTES = 1024 * 1024


def health_routes(
    *,
    registry: CollectorRegistry,
    kubernetes: KubernetesClient,
    audit_store: AuditStore,
    lifecycle: Lifecycle,
    requests: RemediationRequests,
    observer: CallObserver,
) -> list[Route]:
    """Return the routes `/healthz`, `/readyz` and `/metrics`.

    Args:
        registry: What `/metrics` shows.
        kubernetes: Asked for a sign of life by `/readyz`.
        audit_store: Must be taking events, and have room for more than a few, to be ready. How many wait is shown.
        lifecycle: The state of the gateway. If it is not ready, nothing else is checked.
        requests: The RemediationRequests, whose index must be up to date.
        observer: Observes the calls to the Kubernetes API.
    """

    async def healthz(_: Request) -> Response:
        return _json({"status": "ok"})

    async def readyz(_: Request) -> Response:
        obstacle = lifecycle.readiness_obstacle
        if obstacle is not None:
            raise _not_ready(obstacle, checks={"gateway": obstacle})
        checks = {
            "index": None if requests.is_alive else "the index of RemediationRequests is not up to date",
            "kubernetes": None if await _answers(kubernetes, observer) else "the Kubernetes API does not answer",
            "audit_store": _audit_obstacle(audit_store),
        }
        shown = {name: obstacle or "ok" for name, obstacle in checks.items()} | _delivery(audit_store)
        obstacles = [obstacle for obstacle in checks.values() if obstacle is not None]
        if obstacles:
            raise _not_ready(f"Not ready: {'; '.join(obstacles)}.", checks=shown)
        return _json({"status": "ready", "checks": shown})

    async def metrics(request: Request) -> Response:
        return metrics_response(registry, request.headers)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


def _audit_obstacle(store: AuditStore) -> str | None:
    if not store.accepting:
        reason = store.stats.flusher_down if isinstance(store, BufferedAuditStore) else None
        return "the audit store does not accept events" + (f": {reason}" if reason else "")
    if isinstance(store, BufferedAuditStore) and store.free_bytes < _MIN_FREE_BYTES:
        return "the audit store has less than 1 MiB left"
    return None


def _delivery(store: AuditStore) -> dict[str, str]:
    """Return the state of the delivery. It does not affect readiness: the store keeps events during an outage."""
    if not isinstance(store, BufferedAuditStore):
        return {}
    stats = store.stats
    waiting = stats.pending + stats.recovered.pending
    if not waiting:
        return {"datastorage": "ok"}
    events = "1 event waits" if waiting == 1 else f"{waiting} events wait"
    state = f"{events} for delivery, the oldest of this process for {stats.oldest_pending_age:.0f} s"
    return {"datastorage": f"{state}: {stats.delivery_failure}" if stats.delivery_failure else state}


async def _answers(kubernetes: KubernetesClient, observer: CallObserver) -> bool:
    try:
        async with asyncio.timeout(_PING_TIMEOUT):
            await kubernetes.ping(observer=observer)
    except (KubernetesError, TimeoutError) as exc:
        _log.warning("not ready: the Kubernetes API does not respond: %s", exc)
        return False
    return True


def _not_ready(detail: str, *, checks: dict[str, str]) -> Problem:
    return Problem(503, detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)}, members={"checks": checks})


def _json(body: dict[str, object]) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
