"""Fixtures: one cluster and one controller per session, and the gateways of each test."""

import secrets
from collections.abc import Callable, Iterator

import pytest
from anyio.from_thread import start_blocking_portal
from controller import RemediationController
from lightkube import Client
from lightkube.types import PatchType
from phases import APPROVED
from progress import Progress
from prometheus_client import CollectorRegistry

from signal_gateway.audit import BufferedAuditStore
from signal_gateway.kubernetes.resources import RemediationRequest
from signal_gateway.testing import EmbeddedCluster


@pytest.fixture(scope="session")
def gateway_cluster() -> Iterator[EmbeddedCluster]:
    """Override the cluster of the plugin with session scope, because the controller needs one that stays."""
    with EmbeddedCluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def progress() -> Progress:
    """The phases of each RemediationRequest, as the controller reports them."""
    return Progress()


@pytest.fixture(scope="session", autouse=True)
def controller(
    gateway_cluster: EmbeddedCluster, gateway_audit_store: BufferedAuditStore, progress: Progress
) -> Iterator[RemediationController]:
    """The controller, on its own thread and event loop, from the first test to the last."""
    controller = RemediationController(
        gateway_cluster.url,
        gateway_cluster.async_lightkube(),
        namespace=gateway_cluster.namespace,
        registry=CollectorRegistry(),
        audit_store=gateway_audit_store,
        on_phase=progress.note,
    )
    with start_blocking_portal() as portal:
        running = portal.start_task_soon(controller.run)
        running.add_done_callback(lambda _: progress.end())
        yield controller
        portal.call(controller.stop)
        running.result()  # raises the error of the controller, if there is one


@pytest.fixture(scope="session")
def lightkube(gateway_cluster: EmbeddedCluster) -> Client:
    """One client for all tests: the cluster keeps each client until its end."""
    return gateway_cluster.lightkube()


@pytest.fixture
def workload() -> str:
    """A Deployment of this test only: all tests share the cluster and the controller."""
    return f"api-{secrets.token_hex(4)}"


@pytest.fixture
def approve(lightkube: Client, gateway_cluster: EmbeddedCluster) -> Callable[[str], None]:
    """Approve a critical RemediationRequest, as a person does."""

    def approve(name: str) -> None:
        lightkube.patch(
            RemediationRequest,
            name,
            {"metadata": {"annotations": {APPROVED: "true"}}},
            namespace=gateway_cluster.namespace,
            patch_type=PatchType.MERGE,
        )

    return approve
