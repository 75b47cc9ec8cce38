import threading
import time

import httpx
import pytest

from signal_gateway.errors import ApiServerError
from signal_gateway.testing import EmbeddedCluster

PATH = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def cluster():
    with EmbeddedCluster() as cluster:
        yield cluster


@pytest.fixture
def http(cluster):
    with httpx.Client(base_url=cluster.url, timeout=10) as client:
        yield client


def create(http, name="a"):
    return http.post(PATH, json={"metadata": {"name": name}})


def names(http):
    return [item["metadata"]["name"] for item in http.get(PATH).json()["items"]]


@pytest.mark.parametrize(("when", "is_there"), [("before", False), ("after", True), ("during", True)])
def test_connection_is_dropped_before_during_and_after_the_write(cluster, http, when, is_there):
    fault = cluster.faults.drop_connection(when=when, verb="create", resource="configmaps", times=1)

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        create(http)

    assert fault.hits == 1
    assert names(http) == (["a"] if is_there else [])
    assert create(http, "b").status_code == 201


def test_dropped_request_is_in_the_log_with_what_became_of_it(cluster, http):
    cluster.faults.drop_connection(when="before", verb="create", times=1)
    cluster.faults.drop_connection(when="after", verb="create", times=1)

    for name in ("a", "b"):
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            create(http, name)

    assert [(entry.name, entry.code) for entry in cluster.log.select(verb="create")] == [("", 0), ("b", 201)]


@pytest.mark.parametrize("after", [False, True])
def test_delay_makes_the_request_or_its_answer_wait(cluster, http, after):
    with cluster.faults.delay(0.2, after=after, verb="create", resource="configmaps"):
        begin = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            http.post(PATH, json={"metadata": {"name": "late"}}, timeout=0.05)
        waited_for_nothing = time.monotonic() - begin
        assert create(http).status_code == 201

    assert waited_for_nothing < 0.2
    assert ("late" in names(http)) or not after


def test_delay_and_failure_add_up(cluster, http):
    cluster.faults.delay(0.05, verb="create")
    cluster.faults.fail(verb="create", status=503)
    begin = time.monotonic()

    assert create(http).status_code == 503
    assert time.monotonic() - begin >= 0.05


def test_partition_cuts_watches_and_requests_until_it_heals(cluster, http):
    create(http)
    with http.stream("GET", PATH, params={"watch": "true"}) as stream:
        lines = stream.iter_lines()
        next(lines)

        with cluster.faults.partition():
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                next(lines)
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                http.get(PATH)

    assert names(http) == ["a"]


def test_gateway_rides_out_a_partition(gateway):
    with gateway.cluster.faults.partition():
        refused = gateway.send_alert("X", namespace="prod", deployment="api")

    assert refused.status_code == 503
    assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201


def test_chance_is_the_same_in_each_run(http, cluster):
    def strikes(seed):
        with cluster.faults.fail(verb="list", status=503, probability=0.5, seed=seed):
            return [http.get(PATH).status_code for _ in range(20)]

    assert strikes(1) == strikes(1) != strikes(2)
    assert set(strikes(1)) == {200, 503}


def test_fault_means_a_namespace_and_a_name(http, cluster):
    create(http)
    cluster.faults.fail(namespace="default", name="a", status=500)

    assert http.get(f"{PATH}/a").status_code == 500
    assert http.get(f"{PATH}/b").status_code == 404
    assert http.get("/api/v1/namespaces/kube-system/configmaps/a").status_code == 404


def test_watch_can_be_made_to_fail_and_to_break_off(http, cluster):
    create(http)
    cluster.faults.fail(verb="watch", status=410, times=1)
    assert http.get(PATH, params={"watch": "true"}).status_code == 410

    cluster.faults.drop_connection(verb="watch", when="during", times=1)
    with (
        http.stream("GET", PATH, params={"watch": "true"}) as stream,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        stream.read()


def test_clear_ends_every_fault(cluster, http):
    cluster.faults.fail(status=500)
    cluster.faults.partition()

    cluster.faults.clear()

    assert names(http) == []


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda faults: faults.delay(0), "more than 0"),
        (lambda faults: faults.drop_connection(when="later"), "when='later' is not a moment"),
        (lambda faults: faults.fail(status=503, probability=0), "more than 0 and at most 1"),
        (lambda faults: faults.drop_connection(verb="read"), "Unknown Kubernetes verb 'read'"),
    ],
    ids=["delay", "moment", "probability", "verb"],
)
def test_fault_that_would_never_strike_is_refused(cluster, make, complaint):
    with pytest.raises(ApiServerError, match=complaint):
        make(cluster.faults)


def test_faults_may_be_set_from_any_thread(cluster, http):
    thread = threading.Thread(target=cluster.faults.fail, kwargs={"verb": "list", "status": 503})
    thread.start()
    thread.join()

    assert http.get(PATH).status_code == 503
