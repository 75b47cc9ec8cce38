"""A gateway per test, a controller per session, an audit store per process."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from controller import RemediationController, event_type_of
from lightkube import Client
from lightkube.types import PatchType
from phases import PLAYBOOK
from progress import Progress

from signal_gateway.audit import AuditTrail, BufferedAuditStore
from signal_gateway.kubernetes.resources import RemediationRequest, RemediationRequestStatus
from signal_gateway.testing import EmbeddedCluster, GatewayFactory, LiveGateway, MetricsView

Approve = Callable[[str], None]

WAY_OF_A_CRITICAL_ONE = [
    "Pending",
    "Processing",
    "Analyzing",
    "AwaitingApproval",
    "Executing",
    "Verifying",
    "Completed",
]


def test_repeat_of_what_is_active_is_a_duplicate(gateway: LiveGateway, progress: Progress, workload: str) -> None:
    first = gateway.send_alert("HighLatency", severity="critical", namespace="prod", deployment=workload)
    name = first.json()["remediationRequestName"]
    progress.wait_for(name, "AwaitingApproval")

    second = gateway.send_alert("HighErrorRate", severity="critical", namespace="prod", deployment=workload)

    assert first.status_code == 201
    assert second.status_code == 202
    assert second.json()["remediationRequestName"] == name
    assert second.json()["metadata"]["count"] == 2


def test_next_alert_after_completed_makes_a_new_one(gateway: LiveGateway, progress: Progress, workload: str) -> None:
    first = gateway.send_alert("HighLatency", namespace="prod", deployment=workload).json()
    progress.wait_for(first["remediationRequestName"], "Completed")

    second = gateway.send_alert("HighLatency", namespace="prod", deployment=workload)

    assert second.status_code == 201
    assert second.json()["remediationRequestName"] != first["remediationRequestName"]
    progress.wait_for(second.json()["remediationRequestName"], "Completed")


def test_manual_review_holds_the_problem_back_from_every_gateway(
    gateway_factory: GatewayFactory, gateway_audit_trail: AuditTrail, progress: Progress, workload: str
) -> None:
    before = gateway_factory()
    first = before.send_alert("Strange", annotations={PLAYBOOK: "none"}, namespace="prod", deployment=workload).json()
    progress.wait_for(first["remediationRequestName"], "Failed")
    after = gateway_factory()

    repeats = [gateway.send_alert("Strange", namespace="prod", deployment=workload) for gateway in (before, after)]

    assert [repeat.status_code for repeat in repeats] == [202, 202]
    assert {repeat.json()["remediationRequestName"] for repeat in repeats} == {first["remediationRequestName"]}
    ended = gateway_audit_trail.one(event_type_of("Failed"), correlation_id=first["remediationRequestName"])
    assert ended.event_data["outcome"] == "ManualReviewRequired"


def test_cooldown_remembers_failures_across_remediations_and_gateways(
    gateway_factory: GatewayFactory,
    gateway_cluster: EmbeddedCluster,
    lightkube: Client,
    progress: Progress,
    workload: str,
) -> None:
    def fail_once() -> tuple[str, timedelta]:
        sent_at = datetime.now(UTC)
        response = gateway_factory().send_alert(
            "Stuck", annotations={PLAYBOOK: "broken"}, namespace="prod", deployment=workload
        )
        assert response.status_code == 201
        name: str = response.json()["remediationRequestName"]
        progress.wait_for(name, "Failed")
        ended = lightkube.get(RemediationRequest, name, namespace=gateway_cluster.namespace)
        allowed = datetime.fromisoformat(ended["status"]["routingStatus"]["nextAllowedExecution"])
        return name, allowed - sent_at

    def end_cooldown(name: str) -> None:
        over: dict[str, Any] = {"status": {"routingStatus": {"nextAllowedExecution": "2020-01-01T00:00:00Z"}}}
        lightkube.patch(
            RemediationRequestStatus, name, over, namespace=gateway_cluster.namespace, patch_type=PatchType.MERGE
        )

    first, first_cooldown = fail_once()
    held_back = gateway_factory().send_alert("Stuck", namespace="prod", deployment=workload)
    end_cooldown(first)
    _, second_cooldown = fail_once()

    assert held_back.status_code == 202
    assert held_back.json()["remediationRequestName"] == first
    assert timedelta(minutes=1) <= first_cooldown < timedelta(minutes=2) <= second_cooldown


def test_one_trail_tells_what_the_gateway_and_the_controller_did_in_order(
    gateway: LiveGateway, gateway_audit_trail: AuditTrail, progress: Progress, approve: Approve, workload: str
) -> None:
    response = gateway.send_alert("HighLatency", severity="critical", namespace="prod", deployment=workload)
    name = response.json()["remediationRequestName"]
    progress.wait_for(name, "AwaitingApproval")
    gateway.send_alert("HighErrorRate", namespace="prod", deployment=workload)
    approve(name)
    progress.wait_for(name, "Completed")
    gateway.settle()

    gateway_audit_trail.sequence(
        "gateway.signal.received",
        event_type_of("Pending"),
        event_type_of("AwaitingApproval"),
        "gateway.signal.deduplicated",
        event_type_of("Executing"),
        event_type_of("Completed"),
        correlation_id=name,
    )
    gateway.audit_trail.sequence("gateway.crd.created", "gateway.signal.deduplicated", correlation_id=name)
    of_controller = gateway_audit_trail.events(correlation_id=name, event_category="controller")
    assert [event.event_data["phase"] for event in of_controller] == WAY_OF_A_CRITICAL_ONE
    gateway.audit_trail.none(event_category="controller")  # this one has the events of the gateway alone


def test_controller_has_metrics_of_its_own_and_shares_the_store_and_its_flusher(
    gateway: LiveGateway,
    controller: RemediationController,
    gateway_audit_store: BufferedAuditStore,
    progress: Progress,
    workload: str,
) -> None:
    metrics = MetricsView(controller.registry)
    completed_before = metrics.value("controller_phases_total", phase="Completed")

    name = gateway.send_alert("HighLatency", namespace="prod", deployment=workload).json()["remediationRequestName"]
    progress.wait_for(name, "Completed")

    assert metrics.value("controller_phases_total", phase="Completed") == completed_before + 1
    assert not any(family.name.startswith("controller") for family in gateway.registry.collect())
    assert gateway.gateway.audit_store is controller.audit_store is gateway_audit_store
    flushers = [thread for thread in threading.enumerate() if thread.name == "audit-flusher-gateway"]
    assert len(flushers) == 1


def test_step_that_the_api_refuses_for_a_moment_is_taken_later(
    gateway: LiveGateway, gateway_cluster: EmbeddedCluster, progress: Progress, approve: Approve, workload: str
) -> None:
    response = gateway.send_alert("HighLatency", severity="critical", namespace="prod", deployment=workload)
    name = response.json()["remediationRequestName"]
    progress.wait_for(name, "AwaitingApproval")

    with gateway_cluster.faults.fail(
        verb="patch", resource="remediationrequests/status", name=name, status=503, times=1
    ) as fault:
        approve(name)
        entered = progress.wait_for(name, "Completed")

    assert fault.hits == 1
    assert entered == WAY_OF_A_CRITICAL_ONE
