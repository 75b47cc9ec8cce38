"""Hundreds of gateways in one process: what is per server is isolated, what is shared is shared once."""

import pytest

from signal_gateway.kubernetes.resources import RemediationRequest

MANY_TESTS = """
import os
import threading
import pytest

COUNT = 300
SEEN = []

def descriptors():
    return len(os.listdir("/proc/self/fd"))

@pytest.mark.parametrize("number", range(COUNT))
def test_gateway(gateway, number):
    response = gateway.send_alert("X", namespace="prod", deployment="api")
    assert response.status_code == 201
    assert gateway.metrics.value("gateway_crds_created_total", source_type="prometheus", status="created") == 1

    names = sorted(thread.name for thread in threading.enumerate())
    SEEN.append((names, descriptors(), response.json()["remediationRequestName"]))

def test_threads_and_descriptors_are_constant():
    threads = [names for names, _, _ in SEEN[20:]]
    assert all(names == threads[0] for names in threads)
    assert sum("flusher" in name for name in threads[0]) <= 1

    counts = [count for _, count, _ in SEEN[20:]]
    assert max(counts) - min(counts) <= 2, counts

def test_every_event_of_every_finished_gateway_is_in_datastorage(gateway_audit_trail, gateway_audit_store):
    for _, _, name in SEEN:
        gateway_audit_trail.sequence("gateway.signal.received", "gateway.crd.created", correlation_id=name)
    assert len({name for _, _, name in SEEN}) == len(SEEN)
    stats = gateway_audit_store.stats
    assert (stats.recorded, stats.delivered, stats.rejected, stats.pending) == (2 * len(SEEN), 2 * len(SEEN), 0, 0)
"""


@pytest.mark.parametrize(
    ("arguments", "flushers"), [([], "1 flusher"), (["-n", "2", "--dist", "load"], "2 flushers")], ids=["one", "xdist"]
)
def test_300_tests_with_a_live_gateway_each(suite, arguments, flushers):
    result = suite(*arguments, test_many=MANY_TESTS)

    assert result.ret == 0, result.stdout.str()[-3000:]
    result.stdout.fnmatch_lines(
        [f"gateway: 300 servers, {flushers}, 600 events recorded, 600 delivered, 0 rejected, 0 pending"]
    )


def test_two_gateways_side_by_side_count_only_their_own(gateway_factory):
    first, second = gateway_factory(), gateway_factory()

    first.send_alert("X", namespace="prod", deployment="one")
    first.send_alert("X", namespace="prod", deployment="two")
    second.send_alert("X", namespace="prod", deployment="three")

    created = {"source_type": "prometheus", "status": "created"}
    assert first.metrics.value("gateway_crds_created_total", **created) == 2
    assert second.metrics.value("gateway_crds_created_total", **created) == 1
    assert first.registry is not second.registry


def test_gateways_on_one_cluster_share_what_is_being_handled(gateway_factory):
    first, second = gateway_factory(), gateway_factory()
    created = first.send_alert("X", namespace="prod", deployment="api").json()

    repeat = second.send_alert("Y", namespace="prod", deployment="api")

    assert repeat.status_code == 202
    assert repeat.json()["remediationRequestName"] == created["remediationRequestName"]
    requests = list(first.cluster.lightkube().list(RemediationRequest, namespace=first.cluster.namespace))
    assert len(requests) == 1


def test_store_delivers_what_a_gateway_recorded_that_is_gone(gateway_factory, gateway_audit_store, gateway_audit_trail):
    live = gateway_factory()
    name = live.send_alert("X", namespace="prod", deployment="api").json()["remediationRequestName"]

    live.stop()

    assert gateway_audit_store.accepting
    gateway_audit_trail.sequence("gateway.signal.received", "gateway.crd.created", correlation_id=name)
