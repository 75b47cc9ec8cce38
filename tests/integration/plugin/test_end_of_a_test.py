"""The work of a test ends with its teardown: its events are delivered before the next test begins."""

import pytest

ALERT = 'assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201'

PENDING_AT_THE_START = """
import pytest
from signal_gateway.pytest_plugin import HARNESS

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    harness = item.config.stash.get(HARNESS, None)
    if harness is not None and harness._suite is not None and harness._suite._audit_store is not None:
        print(f"pending={harness._suite.audit_store.stats.pending}")
"""


def test_events_of_a_test_are_delivered_before_the_next_one_begins(suite):
    result = suite(
        "-rP",
        conftest=PENDING_AT_THE_START,
        test_it=f"""
        import pytest
        from signal_gateway.audit import AuditEvent

        @pytest.mark.parametrize("number", range(5))
        def test_gateway(gateway, number):
            {ALERT}

        def test_service_of_the_user(gateway_serve):
            def create(registry, audit_store):
                async def app(scope, receive, send):
                    if scope["type"] == "http":
                        audit_store.record(AuditEvent(
                            event_type="demo.order", event_category="demo", event_action="order",
                            event_outcome="success", correlation_id="c-1", event_data={{"event_type": "demo.order"}},
                        ))
                        await send({{"type": "http.response.start", "status": 200, "headers": []}})
                        await send({{"type": "http.response.body", "body": b""}})
                return app

            assert gateway_serve(create).client.get("/").status_code == 200

        def test_store_alone(gateway_audit_store):
            gateway_audit_store.record(AuditEvent(
                event_type="demo.order", event_category="demo", event_action="order",
                event_outcome="success", correlation_id="c-1", event_data={{"event_type": "demo.order"}},
            ))

        def test_nothing():
            pass
        """,
    )

    result.assert_outcomes(passed=8)
    pending = [line for line in result.outlines if line.startswith("pending=")]
    assert pending == ["pending=0"] * 7


def test_datastorage_that_is_down_delays_the_teardown_of_one_test(suite, failing_datastorage):
    """With the flush timeout in each teardown, this suite would take longer than its limit of two minutes."""
    result = suite(
        *("--gateway-datastorage-url", failing_datastorage(503), "-o", "gateway_flush_timeout=10"),
        test_it=f"""
        import pytest

        @pytest.mark.parametrize("number", range(15))
        def test_alert(gateway, number):
            {ALERT}
        """,
    )

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"passed": 15}
    result.stdout.fnmatch_lines(["gateway: 15 servers, 1 flusher, 30 events recorded, 0 delivered, 0 rejected, 30 *"])
