import tempfile

import pytest

from signal_gateway.audit import AuditEvent, AuditStore
from signal_gateway.errors import HarnessError
from signal_gateway.gateway.config import GatewayConfig
from signal_gateway.testing import EmbeddedCluster, Outage


def record(store: AuditStore, correlation_id: str, action: str) -> None:
    store.record(
        AuditEvent(
            event_type=f"demo.{action}",
            event_category="demo",
            event_action=action,
            event_outcome="success",
            correlation_id=correlation_id,
            event_data={"event_type": f"demo.{action}"},
        )
    )


def test_gateway_answers_through_an_outage_and_its_events_arrive_after_it(gateway_outage):
    gateway = gateway_outage.gateway_factory()
    gateway_outage.datastorage.stop()

    response = gateway.send_alert("X", namespace="prod", deployment="api")
    during = gateway_outage.audit_store.flush(timeout=0)
    gateway_outage.datastorage.start()

    assert response.status_code == 201
    assert (during.ok, during.pending) == (False, 2)
    name = response.json()["remediationRequestName"]
    gateway.audit_trail.sequence("gateway.signal.received", "gateway.crd.created", correlation_id=name)


def test_order_of_a_correlation_is_kept_over_an_outage(gateway_outage):
    record(gateway_outage.audit_store, "c-1", "before")
    assert gateway_outage.audit_store.flush().ok
    gateway_outage.datastorage.stop()
    for action in ("first", "second", "third"):
        record(gateway_outage.audit_store, "c-1", action)
    gateway_outage.datastorage.start()
    record(gateway_outage.audit_store, "c-1", "after")

    events = gateway_outage.audit_trail.events(correlation_id="c-1")

    actions = ["before", "first", "second", "third", "after"]
    assert [event.event_type for event in events] == [f"demo.{action}" for action in actions]


def test_shared_store_is_untouched_by_an_outage(gateway_outage, gateway_audit_store, gateway_audit_trail):
    before = gateway_audit_store.stats
    gateway_outage.datastorage.stop()

    gateway_outage.gateway_factory().send_alert("X", namespace="prod", deployment="api")
    record(gateway_audit_store, "c-of-the-shared-store", "meanwhile")

    assert gateway_audit_store.flush().ok
    assert gateway_audit_store.stats.recorded == before.recorded + 1
    gateway_audit_trail.one(correlation_id="c-of-the-shared-store")
    assert gateway_outage.audit_store.stats.pending == 2


def test_end_of_an_outage_without_pytest_delivers_what_is_left(monkeypatch, temporary_files, spools):
    monkeypatch.setattr(tempfile, "tempdir", str(temporary_files))
    with EmbeddedCluster() as cluster:
        config = GatewayConfig(processing={"scope": {"enabled": False}})
        with Outage(cluster=cluster, config=config) as outage:
            outage.datastorage.stop()
            outage.gateway_factory().send_alert("X", namespace="prod", deployment="api")

        assert outage.audit_store.stats.delivered == 2
        assert outage.audit_store.closed
        assert spools() == []


def test_end_of_an_outage_that_can_not_deliver_names_the_count_and_the_spool(monkeypatch, temporary_files, spools):
    monkeypatch.setattr(tempfile, "tempdir", str(temporary_files))
    with EmbeddedCluster() as cluster:
        outage = Outage(cluster=cluster, flush_timeout=0)
        outage.datastorage.close()
        record(outage.audit_store, "c-1", "lost")

        (spool,) = spools()
        with pytest.raises(HarnessError, match=rf"1 audit event not delivered within 0 s; .*; kept, .* {spool} "):
            outage.close()


def test_lost_outage_is_an_error_of_that_very_test_and_not_of_the_session(suite, spools):
    result = suite(
        "-o",
        "gateway_flush_timeout=0.1",
        test_it="""
        def test_never_ending_outage(gateway_outage):
            gateway = gateway_outage.gateway_factory()
            gateway_outage.datastorage.close()
            assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201

        def test_that_is_not_to_blame(gateway):
            assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201
        """,
    )

    result.assert_outcomes(passed=2, errors=1)
    (spool,) = spools()
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_never_ending_outage*",
            f"*HarnessError*gateway-outage: 2 audit events not delivered within 0.1 s; *; kept, * {spool} *",
            "gateway: 2 servers, 1 flusher, 2 events recorded, 2 delivered, 0 rejected, 0 pending",
        ]
    )
    result.stdout.no_fnmatch_line("gateway: main: *")
