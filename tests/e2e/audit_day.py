"""A day of a small cluster as audit events: what the viewer is tried and shown with."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2026, 3, 14, 15, 32, 8, tzinfo=UTC)
SHOWN = "rr-payment-api-5f2a91c7"
CROWDED = "rr-orders-db/disk:full-Ω"
UNWIELDY = "x" * 255

_TARGETS = (
    ("HighLatency", "critical", "Deployment", "payment-api"),
    ("DiskFull", "warning", "StatefulSet", "orders-db"),
    ("PodCrashLooping", "critical", "Deployment", "checkout"),
    ("NodePressure", "warning", "Node", "worker-node-3"),
    ("CertificateExpiry", "info", "Ingress", "shop"),
)

_ALERTMANAGER = {"actor_type": "external", "actor_id": "alertmanager"}
_CLUSTER_SCOPED = ("Node",)


def _event(
    at: datetime, event_type: str, correlation_id: str, outcome: str = "success", **members: Any
) -> dict[str, Any]:
    category, action = event_type.partition(".")[0], event_type.rpartition(".")[2]
    data = {"event_type": event_type} | members.pop("data", {})
    return {
        "version": "1.0",
        "event_type": event_type,
        "event_timestamp": at.isoformat(),
        "event_category": category,
        "event_action": action,
        "event_outcome": outcome,
        "correlation_id": correlation_id,
        "event_data": data,
    } | members


def _by_gateway(severity: str, kind: str, target: str) -> dict[str, Any]:
    """The envelope of each event of the gateway about a workload."""
    where = {} if kind in _CLUSTER_SCOPED else {"namespace": "prod"}
    path = "/".join([*where.values(), target])
    return {**_ALERTMANAGER, "severity": severity, "resource_type": kind, "resource_id": path, **where}


def _signal(name: str, severity: str, kind: str, target: str) -> dict[str, Any]:
    return {
        "signal_type": "alert",
        "signal_name": name,
        "severity": severity,
        "namespace": "" if kind in _CLUSTER_SCOPED else "prod",
        "resource_kind": kind,
        "resource_name": target,
        "signal_labels": {"alertname": name, "severity": severity, "namespace": "prod", kind.lower(): target},
        "signal_annotations": {"summary": f"{name} on {target} for more than 5 minutes"},
    }


def shown(*, now: datetime = NOW) -> Iterator[dict[str, Any]]:
    """One remediation from the alert to its end, with a failure, something sensitive and a wrong clock."""
    start = now - timedelta(seconds=170)
    signal = _signal("HighLatency", "critical", "Deployment", "payment-api")
    alert = _by_gateway("critical", "Deployment", "payment-api")
    request = {"resource_type": "RemediationRequest", "resource_id": f"kubernaut-system/{SHOWN}"}
    workload = {"resource_type": "Deployment", "resource_id": "prod/payment-api", "namespace": "prod"}
    rollout = {"actor_id": "executor-controller", **workload}
    approval: dict[str, Any] = {
        "actor_type": "user",
        "actor_id": "mira.okafor",
        "actor_ip": "10.4.17.9",
        "is_sensitive": True,
    }
    conflict: dict[str, Any] = {
        "error_code": "Conflict",
        "error_message": "Operation cannot be fulfilled on deployments.apps “payment-api”: the object has been "
        "modified; please apply your changes to the latest version and try again",
    }

    def after(seconds: float, event_type: str, outcome: str = "success", **members: Any) -> dict[str, Any]:
        return _event(start + timedelta(seconds=seconds), event_type, SHOWN, outcome, **members)

    yield after(0, "gateway.signal.received", data=signal, **alert)
    yield after(0.018, "gateway.crd.created", data=signal, duration_ms=14, **alert)
    yield after(1.24, "remediation.analysis.started", "pending", actor_id="analysis-controller", **request)
    yield after(
        9.31, "remediation.plan.approved", data={"ticket": "OPS-2217", "code": "one-time"}, **approval, **request
    )
    attempts = [{"attempt": n, "strategy": "rolling", "resource_version": str(881200 + 3 * n)} for n in (1, 2)]
    failed: dict[str, Any] = {"duration_ms": 2710, **conflict}
    yield after(12.05, "remediation.rollout.restarted", "failure", data=attempts[0], **failed, **rollout)
    yield after(14.9, "remediation.rollout.restarted", data=attempts[1], duration_ms=1480, **rollout)
    yield after(151, "gateway.signal.resolved", data=signal, **alert)
    fast = {"note": "this machine's clock is two hours ahead"}
    yield after(7980, "remediation.report.written", actor_id="report-writer", data=fast, **request)


def day(*, now: datetime = NOW, seed: int = 7) -> list[dict[str, Any]]:
    """Several hundred events of the last day, without those that are `shown`."""
    choose = random.Random(seed)
    events = []
    for n in range(230):
        name, severity, kind, target = choose.choice(_TARGETS)
        correlation_id = f"rr-{target}-{choose.getrandbits(32):08x}"
        hours = choose.betavariate(1.2, 2.2) * 24 if n % 4 else choose.gauss(6.2, 0.35)
        at = now - timedelta(hours=abs(hours), seconds=choose.random() * 60 + 20)
        signal = _signal(name, severity, kind, target)
        common = _by_gateway(severity, kind, target)
        where = {"resource_type": "RemediationRequest", "resource_id": f"kubernaut-system/{correlation_id}"}
        events.append(_event(at, "gateway.signal.received", correlation_id, data=signal, **common))
        if choose.random() < 0.12:
            events.append(
                _event(
                    at + timedelta(seconds=0.2),
                    "gateway.crd.failed",
                    correlation_id,
                    "failure",
                    error_code="Timeout",
                    error_message="the Kubernetes API did not answer within 5 s",
                    data=signal,
                    **common,
                )
            )
            continue
        events.append(
            _event(at + timedelta(seconds=0.02), "gateway.crd.created", correlation_id, data=signal, **common)
        )
        for repeat in range(choose.randrange(3)):
            late = at + timedelta(seconds=30 * (repeat + 1))
            events.append(_event(late, "gateway.signal.deduplicated", correlation_id, data=signal, **common))
        if choose.random() < 0.25:
            late = at + timedelta(seconds=2)
            events.append(_event(late, "remediation.analysis.started", correlation_id, "pending", **where))
    return [
        event for event in events if event["correlation_id"] == SHOWN or event["event_timestamp"] <= now.isoformat()
    ]


def crowd(count: int, *, now: datetime = NOW) -> list[dict[str, Any]]:
    """Many events of one correlation id, whose name needs care in a URL."""
    return [
        _event(now - timedelta(minutes=count - n), "gateway.signal.deduplicated", CROWDED, data={"occurrence_count": n})
        for n in range(count)
    ]


def unwieldy(*, now: datetime = NOW) -> dict[str, Any]:
    """An event whose every part is as long as it may be, without a place to break a line."""
    return _event(
        now - timedelta(hours=3),
        "x" * 100,
        UNWIELDY,
        "failure",
        event_category="x" * 50,
        event_action="x" * 50,
        actor_type="x" * 50,
        actor_id=UNWIELDY,
        resource_type="x" * 100,
        resource_id=UNWIELDY,
        namespace="x" * 253,
        severity="x" * 20,
        error_code="x" * 50,
        error_message="x" * 2000,
        data={"x" * 300: "x" * 3000},
    )
