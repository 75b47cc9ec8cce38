"""The incident as tests: what is per server is isolated, what is shared is shared once, nothing is lost.

They use the plugin's fixtures as they are. With --old-wiring the constructor of the incident makes the servers, and
each test fails with the symptom that it is about; test_old_wiring_fails.py holds them to it.
"""

import os
import threading

import pytest

from signal_gateway.audit import DataStorageClient, DataStorageUnavailable
from signal_gateway.errors import ConfigurationError

CREATED = {"source_type": "prometheus", "status": "created"}
SEQUENCE = ["gateway.signal.received", "gateway.crd.created"]
MANY = 12

own_registry = pytest.mark.old_wiring(registry="own")
one_server_for_all = pytest.mark.old_wiring(keep=True)


def alert_through(server, deployment="api", **more):
    """Send an alert and return its correlation id."""
    response = server.send_alert("HighLatency", namespace="prod", deployment=deployment, **more)
    assert response.status_code == 201, response.text
    return response.json()["remediationRequestName"]


def store_of(server):
    return server.gateway.audit_store


def flushers():
    return {thread for thread in threading.enumerate() if thread.name.startswith("audit-flusher")}


def threads():
    return sorted(thread.name for thread in threading.enumerate())


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_metrics_are_isolated(make_server):
    first, second = make_server(), make_server()

    alert_through(first)

    assert first.metrics.value("gateway_crds_created_total", **CREATED) == 1
    assert second.metrics.value("gateway_crds_created_total", **CREATED) == 0


@one_server_for_all
def test_gateway_instance_is_new(make_server):
    first = make_server()
    alert_through(first)
    first.stop()

    second = make_server()

    assert second is not first, "the server of the test before was handed out again, and it has stopped"
    assert second.metrics.value("gateway_crds_created_total", **CREATED) == 0
    alert_through(second, deployment="web")


@one_server_for_all
def test_configuration_is_per_server(make_server):
    generous = make_server()
    strict = make_server(processing={"max_body_bytes": 1000})
    long_story = {"annotations": {"description": "x" * 1000}}

    answers = {
        name: server.send_alert("HighLatency", namespace="prod", deployment="api", **long_story).status_code
        for name, server in {"generous": generous, "strict": strict}.items()
    }

    assert answers["generous"] == 201
    assert answers["strict"] == 413, f"the second server answered {answers['strict']}, by the settings of the first"


@own_registry
def test_events_are_told_apart_by_correlation_id(make_server, gateway_audit_trail):
    names = [alert_through(make_server(), deployment=f"api-{number}") for number in range(2)]

    trails = [[event.event_type for event in gateway_audit_trail.events(correlation_id=name)] for name in names]

    assert trails == [SEQUENCE, SEQUENCE], f"no barrier reaches the servers' own buffers: the trails are {trails}"


@own_registry
def test_audit_store_is_one_per_process(make_server, gateway_audit_store):
    servers = [make_server() for _ in range(3)]

    stores = {id(store_of(server)) for server in servers}

    assert len(stores) == 1, f"{len(stores)} audit stores for {len(servers)} servers"
    assert store_of(servers[0]) is gateway_audit_store


@own_registry
def test_flusher_is_continuous_across_server_teardown(make_server):
    first = make_server()
    alert_through(first)
    running = flushers()

    first.stop()

    ended = sorted(thread.name for thread in running if not thread.is_alive())
    assert not ended, f"cut off at server teardown: {ended}"
    alert_through(make_server(), deployment="web")
    assert flushers() == running


@pytest.mark.old_wiring(registry="own", url_is_set=False)
def test_datastorage_url_is_right_or_refused(make_server, gateway_datastorage, refusing_port):
    client = store_of(make_server()).client

    client.check()

    assert client.url == gateway_datastorage.url
    with pytest.raises(ConfigurationError, match="is missing"):
        DataStorageClient("")
    with pytest.raises(DataStorageUnavailable, match=rf"127\.0\.0\.1:{refusing_port} \(from a test\): ConnectError"):
        DataStorageClient(f"http://127.0.0.1:{refusing_port}", source="a test").check()


@own_registry
def test_every_event_is_delivered_after_its_server_is_gone(make_server, gateway_audit_trail):
    names = []
    for number in range(5):
        server = make_server()
        names.append(alert_through(server, deployment=f"api-{number}"))
        server.stop()

    delivered = [event for name in names for event in gateway_audit_trail.events(correlation_id=name)]

    recorded = len(SEQUENCE) * len(names)
    assert len(delivered) == recorded, f"{recorded - len(delivered)} of {recorded} events lost at server teardown"


@own_registry
def test_resources_are_constant_in_the_number_of_servers(make_server):
    one = make_server()
    alert_through(one, deployment="one")
    one.settle()
    threads_of_one, descriptors_of_one = threads(), descriptors()

    many = [make_server() for _ in range(MANY - 1)]
    for number, server in enumerate(many):
        alert_through(server, deployment=f"api-{number}")
        server.settle()
    flushers_of_many, threads_of_many = len(flushers()), threads()
    for server in many:
        server.stop()

    assert flushers_of_many == 1, f"{flushers_of_many} flusher threads for {MANY} servers"
    assert threads_of_many == threads_of_one
    assert descriptors() <= descriptors_of_one  # fewer if a connection of an earlier test was closed meanwhile
