"""GatewayMetrics: the metrics of one gateway, in its own registry."""

from collections.abc import Mapping
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from signal_gateway._version import __version__

__all__ = ["OTHER", "GatewayMetrics"]

OTHER = "other"

_MAX_UNKNOWN_SEVERITIES = 20
_MAX_KINDS = 50
_KNOWN_SEVERITIES = frozenset({"critical", "error", "warning", "info", "none", "unknown"})
_BREAKER_STATES = {"closed": 0, "half_open": 1, "open": 2}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class GatewayMetrics:
    """The collectors of one gateway. The number of label values is bounded, also for labels that a sender chooses.

    Runs on one event loop, like the gateway.

    Args:
        registry: The registry for the collectors. Two gateways cannot share a registry.

    Raises:
        ValueError: The registry already has collectors with these names.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, documentation: str, *labels: str) -> Counter:
            return Counter(name, documentation, labels, registry=registry)

        self._signals_received = counter(
            "gateway_signals_received_total", "Signals received, valid or not.", "source_type", "severity"
        )
        self._signals_deduplicated = counter(
            "gateway_signals_deduplicated_total", "Signals counted on an existing RemediationRequest.", "source_type"
        )
        self._signals_rejected = counter("gateway_signals_rejected_total", "Signals rejected or invalid.", "reason")
        self._signals_resolved = counter("gateway_signals_resolved_total", "Resolved signals.", "source_type")
        self._alerts_truncated = counter(
            "gateway_alerts_truncated_total", "Alerts that a sender left out of its requests.", "source_type"
        )
        self._crds_created = counter(
            "gateway_crds_created_total", "RemediationRequests created.", "source_type", "status"
        )
        self._crd_creation_errors = counter(
            "gateway_crd_creation_errors_total", "Failed attempts to create a RemediationRequest.", "error_type"
        )
        self._active_conflicts = counter(
            "gateway_active_conflicts_total", "Problems found with several active RemediationRequests."
        )
        self._owner_resolutions = counter(
            "gateway_owner_resolution_total", "Look-ups of the target of a signal and its owner.", "kind", "outcome"
        )
        self._kubernetes_requests = counter(
            "gateway_kubernetes_requests_total", "Calls to the Kubernetes API.", "verb", "resource", "code"
        )
        self._audit_events = counter(
            "gateway_audit_events_total", "Audit events passed to the store, by outcome.", "outcome"
        )
        self._authentication_failures = counter(
            "gateway_authentication_failures_total",
            "Requests that failed authentication.",
            "reason",
        )
        self._http_request_duration = Histogram(
            "gateway_http_request_duration_seconds",
            "Time from the head of a request to the end of its response.",
            ("endpoint", "method", "status"),
            registry=registry,
        )
        self._breaker_state = Gauge(
            "gateway_circuit_breaker_state",
            "State of the circuit breaker: 0 closed, calls pass; 1 half-open, a few pass; 2 open, none passes.",
            ("name",),
            registry=registry,
        )
        self.note_breaker_state("closed")
        build_info = Gauge("gateway_build_info", "Always 1; the version is a label.", ("version",), registry=registry)
        build_info.labels(version=__version__).set(1)
        self._severities = _Bounded(_MAX_UNKNOWN_SEVERITIES, known=_KNOWN_SEVERITIES)
        self._kinds = _Bounded(_MAX_KINDS)

    def count_received(self, *, source: str, severity: str) -> None:
        """Count a received signal."""
        self._signals_received.labels(source_type=source, severity=self._severities.bounded(severity)).inc()

    def count_deduplicated(self, *, source: str) -> None:
        """Count a duplicate, after its occurrence is written."""
        self._signals_deduplicated.labels(source_type=source).inc()

    def count_rejected(self, *, reason: str) -> None:
        """Count a rejected or invalid signal; `reason` comes from a fixed list."""
        self._signals_rejected.labels(reason=reason).inc()

    def count_truncated(self, number: int, *, source: str) -> None:
        """Count the alerts that a sender left out of a request."""
        self._alerts_truncated.labels(source_type=source).inc(number)

    def count_resolved(self, *, source: str) -> None:
        """Count a resolved signal."""
        self._signals_resolved.labels(source_type=source).inc()

    def count_created(self, *, source: str) -> None:
        """Count a RemediationRequest that this gateway created."""
        self._crds_created.labels(source_type=source, status="created").inc()

    def count_creation_error(self, *, error_type: str) -> None:
        """Count a failed attempt to create a RemediationRequest; `error_type` comes from a fixed list."""
        self._crd_creation_errors.labels(error_type=error_type).inc()

    def count_active_conflict(self) -> None:
        """Count a problem with several active RemediationRequests, which is an error."""
        self._active_conflicts.inc()

    def count_owner_resolution(self, kind: str | None, outcome: str) -> None:
        """Count a target look-up; `kind` is None if the cluster lacks it, `outcome` comes from a fixed list."""
        self._owner_resolutions.labels(kind=self._kinds.bounded(kind) if kind else OTHER, outcome=outcome).inc()

    def observe_call(self, verb: str, resource: str, code: str) -> None:
        """Count one call to the Kubernetes API; implements `CallObserver`."""
        self._kubernetes_requests.labels(verb=verb, resource=resource, code=code).inc()

    def note_breaker_state(self, state: Literal["closed", "half_open", "open"]) -> None:
        """Set the state of the circuit breaker around the Kubernetes API."""
        self._breaker_state.labels(name="kubernetes").set(_BREAKER_STATES[state])

    def count_audit_event(self, *, outcome: str) -> None:
        """Count an audit event, either `recorded` or `refused` by the store."""
        self._audit_events.labels(outcome=outcome).inc()

    def count_authentication_failure(self, *, reason: str) -> None:
        """Count a request that failed authentication; `reason` comes from a fixed list."""
        self._authentication_failures.labels(reason=reason).inc()

    def observe_request(
        self, *, endpoint: str | None, method: str, status: int, seconds: float, ids: Mapping[str, str] | None = None
    ) -> None:
        """Record the duration of a request.

        Args:
            endpoint: The template of its route; None if no route matched.
            method: Its HTTP method.
            status: HTTP status of its response.
            seconds: Its duration.
            ids: The labels of the exemplar, at most 128 characters together, such as `request_id`.
        """
        self._http_request_duration.labels(
            endpoint=endpoint or OTHER, method=method if method in _METHODS else OTHER, status=str(status)
        ).observe(seconds, dict(ids) if ids else None)


class _Bounded:
    """The first label values up to a limit; every further value becomes `other`."""

    def __init__(self, limit: int, *, known: frozenset[str] = frozenset()) -> None:
        self._limit = limit
        self._known = known
        self._seen: set[str] = set()

    def bounded(self, value: str) -> str:
        if value in self._known or value in self._seen:
            return value
        if len(self._seen) >= self._limit:
            return OTHER
        self._seen.add(value)
        return value
