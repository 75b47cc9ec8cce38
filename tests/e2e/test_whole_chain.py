"""From a rule of Prometheus into the audit trail, while each part on the way is killed and comes back."""

from collections import Counter

import pytest
from tests.e2e.chain import Chain

RECEIVED, CREATED = "gateway.signal.received", "gateway.crd.created"


@pytest.fixture
def chain(program, postgres_programs, tmp_path):  # noqa: ARG001 - it skips where there are none
    with Chain(
        prometheus=program("prometheus"), alertmanager=program("prometheus-alertmanager"), directory=tmp_path
    ) as chain:
        yield chain


def outages(chain):
    """Name each part that dies, it, and how to wait until that has been felt."""
    first, second = chain.gateways
    yield "alertmanager", chain.alertmanager, chain.wait_until_all_fires
    yield "gateway-1", first, chain.wait_until_refused
    yield "gateway-2", second, chain.wait_until_refused
    yield "kubernetes-front", chain.kubernetes_front, chain.wait_until_refused
    yield "datastorage", chain.datastorage, chain.wait_until_handled
    yield "postgres", chain.postgres, chain.wait_until_handled
    yield "prometheus", chain.prometheus, chain.wait_until_counted


def test_nothing_that_fires_is_missed_doubled_or_unrecorded_whichever_part_is_killed(chain):
    chain.break_workloads("before")
    chain.wait_until_handled()
    for name, part, wait_until_felt in outages(chain):
        chain.wait_until_recorded()
        chain.remediate()
        part.kill()
        chain.break_workloads(f"without-{name}")
        wait_until_felt()
        part.start()
        chain.wait_until_handled()

    chain.wait_until_counted()
    chain.wait_until_recorded()
    senders = [part.stop() for part in (chain.prometheus, chain.alertmanager)]
    gateways = [part.stop() for part in chain.gateways]
    chain.history.catch_up()
    events = chain.events()

    assert (senders, gateways) == ([0, 0], [0, 0])
    assert [list(spool.iterdir()) for spool in chain.spools] == [[], []]
    assert chain.history.moments_with_two() == []
    assert len(chain.history.requests) > len(chain.firing)
    assert len({event["event_id"] for event in events}) == len(events)
    recorded = Counter((event["event_type"], event["correlation_id"]) for event in events)
    for name, request in chain.history.requests.items():
        assert recorded[RECEIVED, name] == recorded[CREATED, name] == 1, name
        assert recorded["gateway.signal.deduplicated", name] < request.occurrence_count, name
    assert {name for kind, name in recorded if kind == CREATED} == chain.history.requests.keys()
