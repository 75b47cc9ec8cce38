"""`signal-gateway serve` is killed in the middle of what it does."""

import threading

import httpx
from tests.support.command_line import PATH, URL, running

from signal_gateway.kubernetes.resources import RemediationRequest
from signal_gateway.testing import alert, alertmanager_webhook

WEBHOOK = alertmanager_webhook(alert("X", namespace="prod", deployment="api"))


def post(url):
    return httpx.post(f"{url}{PATH}", json=WEBHOOK, trust_env=False, timeout=30)


def lose(url, lost):
    try:
        post(url)
    except httpx.RemoteProtocolError:
        lost.set()


def created(cluster):
    """Wait on a watch for a RemediationRequest, and return its name."""
    for _, request in cluster.lightkube().watch(RemediationRequest, namespace=cluster.namespace):
        return request.metadata.name


def test_creation_is_recorded_though_the_gateway_dies_before_it_hears_of_it(config_file, cluster, trail):
    lost = threading.Event()
    with (
        cluster.faults.delay(30, after=True, verb="create", resource="remediationrequests"),
        running("serve", "--config", config_file(), until="gateway on") as (process, line),
    ):
        sender = threading.Thread(target=lose, args=(URL.search(line)[0], lost))
        sender.start()
        name = created(cluster)
        process.kill()
        sender.join()
    with running("serve", "--config", config_file(), until="gateway on") as (process, line):
        again = post(URL.search(line)[0])
        process.terminate()
        process.communicate(timeout=60)

    assert lost.is_set()
    assert (again.status_code, process.returncode) == (202, 0)
    trail.sequence("gateway.signal.received", "gateway.crd.created", "gateway.signal.deduplicated", correlation_id=name)
