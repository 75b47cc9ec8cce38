"""Suites whose tests replace HTTP, sockets or the time: deliveries neither disturb them nor are disturbed."""

import pytest

FILES = {
    "conftest": """
import pytest

ALERT = dict(namespace="prod", deployment="api")

@pytest.fixture
def placed(gateway):
    '''The gateway after an alert, and the name of its RemediationRequest.'''
    response = gateway.send_alert("X", **ALERT)
    assert response.status_code == 201, response.text
    return gateway, response.json()["remediationRequestName"]
""",
}

TRAIL = """
    gateway.audit_trail.sequence("gateway.signal.received", "gateway.crd.created", correlation_id=name)
"""

PYTEST_HTTPX = """
import httpx
import pytest

def test_records_without_waiting(placed):
    pass

@pytest.mark.httpx_mock(should_mock=lambda request: request.url.host != "127.0.0.1")
def test_mock_of_everything_beyond_loopback(httpx_mock, placed):
    httpx_mock.add_response(url="http://shop/")
    assert httpx.get("http://shop/").status_code == 200
    gateway, name = placed
{trail}

def test_catch_all_mock_acknowledges_nothing(gateway_audit_store, httpx_mock, event):
    httpx_mock.add_response(status_code=202)
    gateway_audit_store.record(event("mocked"))
    assert gateway_audit_store.flush(30).ok
    assert httpx.post("http://shop/").status_code == 202
    assert len(httpx_mock.get_requests()) == 1

def test_events_of_the_mocked_test_are_stored(gateway_audit_trail):
    gateway_audit_trail.one(correlation_id="mocked")
"""

RESPX = """
import httpx
import respx

def test_catch_all_route_acknowledges_nothing_and_counts_no_delivery(gateway_audit_store, gateway_audit_trail, event):
    with respx.mock(assert_all_called=False) as router:
        router.route().respond(202)
        gateway_audit_store.record(event("mocked"))
        assert gateway_audit_store.flush(30).ok
        assert gateway_audit_trail.one(correlation_id="mocked").event_type == "order.placed"
        assert router.calls.call_count == 0
        assert httpx.get("http://shop/").status_code == 202
        assert router.calls.call_count == 1
"""

VCR = """
import pytest

@pytest.fixture(scope="module")
def vcr_config():
    return {"record_mode": "once"}

@pytest.mark.vcr
def test_cassette_has_no_delivery(gateway_audit_store, gateway_audit_trail, event, vcr):
    for number in range(3):
        gateway_audit_store.record(event(f"recorded-{number}"))
        assert gateway_audit_store.flush(30).ok
        gateway_audit_trail.one(correlation_id=f"recorded-{number}")
    assert len(vcr) == 0

@pytest.mark.block_network
def test_blocked_network_does_not_block_deliveries(gateway_audit_store, event):
    gateway_audit_store.record(event("blocked"))
    assert gateway_audit_store.flush(30).ok
"""

EVENTS = """
import pytest
from signal_gateway.audit import AuditEvent

@pytest.fixture
def event():
    def make(correlation_id):
        return AuditEvent(event_type="order.placed", event_category="order", event_action="placed",
                          event_outcome="success", correlation_id=correlation_id,
                          event_data={"event_type": "order.placed"})
    return make
"""

CAPLOG = """
import logging

def test_deliveries_are_not_in_the_log_of_a_test(caplog, gateway_audit_store, gateway_audit_trail, event):
    caplog.set_level(logging.DEBUG)
    gateway_audit_store.record(event("logged"))
    assert gateway_audit_store.flush(30).ok
    gateway_audit_trail.one(correlation_id="logged")
    assert [record for record in caplog.records if record.name.startswith(("httpx", "httpcore"))] == []
"""

CLOCKS = """
def test_first_gateway(placed):
    gateway, name = placed
{trail}

def test_clock_that_runs_out_in_a_test_without_a_gateway(mocker, gateway_audit_store):
    clock = mocker.patch("time.monotonic", side_effect=[10.0, 12.5])
    gateway_audit_store._flusher.wake()
    import time
    assert [time.monotonic(), time.monotonic()] == [10.0, 12.5]

def test_store_after_the_mocked_clock(gateway_audit_store, gateway_audit_trail, event):
    gateway_audit_store.record(event("afterwards"))
    assert gateway_audit_store.flush(30).ok
    gateway_audit_trail.one(correlation_id="afterwards")
"""

FREEZEGUN = """
import asyncio
import datetime as dt
import time
from freezegun import freeze_time

# a loop whose time jumps fires all its timers; this suite is about the events
asyncio.BaseEventLoop.time = lambda self, monotonic=time.monotonic: monotonic()

def test_first_gateway(placed):
    pass

@freeze_time("2026-01-31T12:00:00Z")
def test_alert_while_the_time_stands_still(gateway):
    response = gateway.send_alert("X", namespace="prod", deployment="api")
    assert response.status_code == 201, response.text
    name = response.json()["remediationRequestName"]
    found = gateway.audit_trail.events(correlation_id=name)
    assert [event.event_type for event in found] == ["gateway.signal.received", "gateway.crd.created"]
    assert {event.event_timestamp for event in found} == {dt.datetime(2026, 1, 31, 12, tzinfo=dt.timezone.utc)}
"""

TIME_MACHINE = """
import datetime as dt
import time_machine

def test_first_gateway(placed):
    pass

@time_machine.travel(dt.datetime(2026, 1, 31, 12, tzinfo=dt.timezone.utc), tick=False)
def test_alert_in_another_time(placed):
    gateway, name = placed
{trail}
"""


def suite_of(text):
    return {"conftest": FILES["conftest"] + EVENTS, "test_it": text.replace("{trail}", TRAIL)}


@pytest.mark.parametrize(
    ("plugins", "text", "passed"),
    [
        (["pytest_httpx"], PYTEST_HTTPX, 4),
        (["respx"], RESPX, 1),
        (["recording"], VCR, 2),
        ([], CAPLOG, 1),
        (["pytest_mock"], CLOCKS, 3),
        (["freezer"], FREEZEGUN, 2),
        (["time_machine"], TIME_MACHINE, 2),
    ],
    ids=["pytest-httpx", "respx", "vcrpy", "caplog", "mocked clocks", "freezegun", "time-machine"],
)
def test_mocks_and_deliveries_do_not_see_each_other(suite, plugins, text, passed):
    result = suite(plugins=plugins, **suite_of(text))

    result.assert_outcomes(passed=passed)
    assert any(" 0 rejected, 0 pending" in line for line in result.stdout.lines)
