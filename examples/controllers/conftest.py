"""One cluster and one controller for the session; each test still has gateways of its own."""

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
    """Override the plugin's cluster, which is a test's own: the controller needs one that stays."""
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
    """The controller, on a loop and a thread of its own, from the first test to the last."""
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
        running.result()  # raises what it died of, if it did


@pytest.fixture(scope="session")
def lightkube(gateway_cluster: EmbeddedCluster) -> Client:
    """One client for all tests: the cluster stays, and would keep the clients of each."""
    return gateway_cluster.lightkube()


@pytest.fixture
def workload() -> str:
    """A Deployment that no other test has alerts about: the cluster is everybody's, and so is the controller."""
    return f"api-{secrets.token_hex(4)}"


@pytest.fixture
def approve(lightkube: Client, gateway_cluster: EmbeddedCluster) -> Callable[[str], None]:
    """Let a critical RemediationRequest go on, as a person does."""

    def approve(name: str) -> None:
        lightkube.patch(
            RemediationRequest,
            name,
            {"metadata": {"annotations": {APPROVED: "true"}}},
            namespace=gateway_cluster.namespace,
            patch_type=PatchType.MERGE,
        )

    return approve
