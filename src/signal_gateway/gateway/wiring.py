"""build_pipeline(): assembles the parts that a request passes, from the middleware to the Kubernetes API."""

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from starlette.middleware import Middleware
from starlette.routing import Route

from signal_gateway.audit.stats import AuditStore
from signal_gateway.clock import Clock, SystemClock
from signal_gateway.concurrency import BackgroundTasks
from signal_gateway.gateway.audit.recorder import AuditRecorder
from signal_gateway.gateway.config import GatewayConfig
from signal_gateway.gateway.http.admission import AdmissionMiddleware, MemoryBudget, RequestMonitor
from signal_gateway.gateway.http.authentication import PROTECTION, Authenticator, SenderAuthenticator
from signal_gateway.gateway.http.endpoint import SignalEndpoint
from signal_gateway.gateway.http.health import health_routes
from signal_gateway.gateway.http.openapi import SIGNALS_PATH, description_route
from signal_gateway.gateway.lifecycle import Lifecycle
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.gateway.remediation.creation import Creation, CreationAudit
from signal_gateway.gateway.remediation.deduplication import Notifications
from signal_gateway.gateway.remediation.dispatcher import Dispatcher
from signal_gateway.gateway.remediation.occurrence import OccurrenceCounter
from signal_gateway.gateway.remediation.preparation import Preparation
from signal_gateway.gateway.remediation.requests import RemediationRequests
from signal_gateway.gateway.resilience import ApiCalls, CircuitBreaker
from signal_gateway.gateway.signals.adapter import Adapter
from signal_gateway.gateway.signals.registry import all_adapters
from signal_gateway.gateway.targets.cache import DiscoveryCache, ObjectCache
from signal_gateway.gateway.targets.resolver import Scope, TargetResolver
from signal_gateway.kubernetes import KubernetesClient
from signal_gateway.web.body import BodyLimitMiddleware
from signal_gateway.web.middleware.authentication import AuthenticationMiddleware
from signal_gateway.web.middleware.standard import StandardMiddleware
from signal_gateway.web.response_headers import NO_PAGES

__all__ = ["Pipeline", "build_pipeline"]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The parts of one gateway.

    Attributes:
        lifecycle: The state of the gateway.
        tasks: The requests in flight and the background tasks.
        recorder: Records audit events.
        requests: The RemediationRequests; open while the gateway runs.
        discovery: The kinds of the cluster; loaded at the start.
        startup_calls: Makes the calls of the start, without a circuit breaker.
        routes: The routes of the application.
        middleware: The middleware of the application, outermost first.
        management_routes: The routes for health and metrics.
        management_middleware: The middleware of a separate application for health and metrics.
    """

    lifecycle: Lifecycle
    tasks: BackgroundTasks
    recorder: AuditRecorder
    requests: RemediationRequests
    discovery: DiscoveryCache
    startup_calls: ApiCalls
    routes: Sequence[Route]
    middleware: Sequence[Middleware]
    management_routes: Sequence[Route]
    management_middleware: Sequence[Middleware]


def build_pipeline(
    config: GatewayConfig,
    *,
    kubernetes: KubernetesClient,
    audit_store: AuditStore,
    registry: CollectorRegistry,
    metrics: GatewayMetrics,
    clock: Clock,
    adapters: Sequence[Adapter],
    authenticator: Authenticator | None,
    separate_management: bool,
) -> Pipeline:
    """Assemble a gateway. Nothing starts or connects.

    Args:
        config: The settings.
        kubernetes: The client.
        audit_store: The audit store.
        registry: The registry of the metrics.
        metrics: The metrics.
        clock: The clock.
        adapters: Adapters beside the built-in ones.
        authenticator: Authenticates the senders of signals; None to accept every sender.
        separate_management: Whether the application leaves out the routes for health and metrics.

    Raises:
        ValueError: Two adapters have the same name, or a name is not valid in a path.
    """
    processing = config.processing
    lifecycle, tasks = Lifecycle(), BackgroundTasks()
    recorder = AuditRecorder(audit_store, metrics=metrics)

    # the Kubernetes API
    breaker = CircuitBreaker(processing.breaker, clock=clock, metrics=metrics)
    calls = ApiCalls(retry=processing.retry, breaker=breaker, clock=clock)
    requests = RemediationRequests(kubernetes, namespace=config.controller_namespace, calls=calls, observer=metrics)
    discovery = DiscoveryCache(kubernetes, clock=clock, tasks=tasks, observer=metrics)
    objects = ObjectCache(
        kubernetes, calls=calls, max_age=processing.cache_max_age, clock=clock, tasks=tasks, observer=metrics
    )

    # from a signal to its outcome
    audit = CreationAudit(recorder, requests=requests)
    preparation = Preparation(
        requests,
        resolver=TargetResolver(objects, discovery=discovery, metrics=metrics),
        scope=Scope(objects) if processing.scope.enabled else None,
        audit=audit,
        recorder=recorder,
        metrics=metrics,
        clock=clock,
    )
    dispatcher = Dispatcher(
        requests,
        preparation=preparation,
        creation=Creation(requests, audit=audit, recorder=recorder, metrics=metrics, clock=clock),
        counter=OccurrenceCounter(requests, clock=clock, tasks=tasks),
        audit=audit,
        recorder=recorder,
        metrics=metrics,
        clock=clock,
        tasks=tasks,
    )

    # HTTP
    authentication = []
    if authenticator is not None:
        senders = SenderAuthenticator(authenticator, deadline=processing.request_deadline)
        authentication.append(
            Middleware(AuthenticationMiddleware, authenticator=senders, protection=PROTECTION, failures=metrics)
        )
    notifications = Notifications(clock=clock)
    budget = MemoryBudget(processing.max_body_bytes)
    endpoints = [
        SignalEndpoint(
            adapter,
            dispatcher=dispatcher,
            notifications=notifications,
            budget=budget,
            metrics=metrics,
            tasks=tasks,
            clock=clock,
            request_deadline=processing.request_deadline,
        )
        for adapter in all_adapters(processing, adapters, discovery=discovery)
    ]
    management_routes = health_routes(
        registry=registry,
        kubernetes=kubernetes,
        audit_store=audit_store,
        lifecycle=lifecycle,
        requests=requests,
        observer=metrics,
    )
    routes = [
        *[Route(f"{SIGNALS_PATH}{it.adapter.name}", it.receive, methods=["POST"]) for it in endpoints],
        *([] if separate_management else management_routes),
        description_route(
            [endpoint.adapter for endpoint in endpoints],
            has_authenticator=authenticator is not None,
            has_management=not separate_management,
        ),
    ]
    return Pipeline(
        lifecycle=lifecycle,
        tasks=tasks,
        recorder=recorder,
        requests=requests,
        discovery=discovery,
        startup_calls=ApiCalls(retry=processing.retry, breaker=None, clock=SystemClock()),
        routes=routes,
        middleware=[
            *_outer_middleware(routes, tasks=tasks, metrics=metrics, clock=clock),
            # 504 for a slow body, as for everything that is slow: after a 408 Alertmanager does not retry
            Middleware(
                BodyLimitMiddleware,
                max_body_bytes=processing.max_body_bytes,
                max_seconds=processing.request_deadline,
                status_if_slow=504,
            ),
            Middleware(AdmissionMiddleware, lifecycle=lifecycle, max_requests=processing.max_concurrent_requests),
            *authentication,
        ],
        management_routes=management_routes,
        management_middleware=_outer_middleware(management_routes, tasks=tasks, metrics=metrics, clock=clock),
    )


def _outer_middleware(
    routes: Sequence[Route], *, tasks: BackgroundTasks, metrics: GatewayMetrics, clock: Clock
) -> list[Middleware]:
    observer = RequestMonitor(tasks=tasks, metrics=metrics, paths={route.path for route in routes})
    return [Middleware(StandardMiddleware, observer=observer, clock=clock, content_security_policy=NO_PAGES)]
