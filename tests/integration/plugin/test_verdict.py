import xml.etree.ElementTree as ET

import pytest

from signal_gateway.audit import RecoveryCounts
from signal_gateway.testing import EmbeddedDataStorage

BRIEF = ("-o", "gateway_flush_timeout=0.1")

TWO_EVENTS = """
def test_alert(gateway):
    assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201
"""

DATASTORAGE_OF_ITS_OWN = """
import os
from signal_gateway.testing import EmbeddedDataStorage

DATASTORAGE = EmbeddedDataStorage()
DATASTORAGE.start()
os.environ["PYTEST_GATEWAY_DATASTORAGE_URL"] = DATASTORAGE.url

def pytest_unconfigure():
    DATASTORAGE.close()
"""

LATE_EVENT = """
import pytest
from signal_gateway.audit import AuditEvent

@pytest.fixture(scope="session")
def late(gateway_audit_store):
    yield
    gateway_audit_store.record(AuditEvent(
        event_type="demo.late", event_category="demo", event_action="late", event_outcome="success",
        correlation_id="c-1", event_data={"event_type": "demo.late"},
    ))
"""


def test_datastorage_that_dies_in_mid_run_fails_the_session_and_no_test(suite, pytester, spools):
    result = suite(
        "--color=yes",
        "--junit-xml=junit.xml",
        *BRIEF,
        conftest=DATASTORAGE_OF_ITS_OWN,
        test_it="""
        from conftest import DATASTORAGE

        def test_before(gateway):
            assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201
            gateway.audit_trail.one("gateway.crd.created")

        def test_death(gateway_datastorage):
            DATASTORAGE.stop()

        def test_after(gateway):
            assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201
        """,
    )

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"passed": 3}
    (spool,) = spools()
    where = "DataStorage at http://127.0.0.1:* (from environment variable PYTEST_GATEWAY_DATASTORAGE_URL)"
    result.stdout.fnmatch_lines(
        [
            f"*[[]31mgateway: main: 2 audit events not delivered within 0.1 s; {where}: ConnectError*; "
            f"kept, to deliver them: signal-gateway audit spool deliver {spool} --datastorage URL*",
            "gateway: 2 servers, 1 flusher, 4 events recorded, 2 delivered, 0 rejected, 2 pending",
        ]
    )
    junit = ET.parse(pytester.path / "junit.xml").getroot()[0]
    properties = {each.get("name"): each.get("value") or "" for each in junit.iter("property")}
    assert properties["gateway_lost_events"].startswith("main: 2 audit events not delivered")
    assert properties["gateway_audit_events"].endswith("2 pending")
    assert (junit.get("tests"), junit.get("failures"), junit.get("errors")) == ("3", "0", "0")


def test_each_worker_that_lost_events_is_named_with_its_spool(suite, failing_datastorage, spools):
    url = failing_datastorage(503)

    result = suite("-n", "2", "--gateway-datastorage-url", url, *BRIEF, test_one=TWO_EVENTS, test_two=TWO_EVENTS)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"passed": 2}
    for worker in ("gw0", "gw1"):
        (spool,) = [spool for spool in spools() if spool.name.endswith(f"-{worker}")]
        result.stdout.fnmatch_lines(
            [
                f"gateway: {worker}: 2 audit events not delivered within 0.1 s; DataStorage at {url} (from "
                f"--gateway-datastorage-url): answered 503 (no events today); kept, * {spool} *"
            ]
        )
    result.stdout.fnmatch_lines(
        ["gateway: 2 servers, 2 flushers, 4 events recorded, 0 delivered, 0 rejected, 4 pending"]
    )


def test_events_that_were_not_delivered_are_there_for_another_time(suite, failing_datastorage, spools, deliver):
    suite("--gateway-datastorage-url", failing_datastorage(503), *BRIEF, test_it=TWO_EVENTS)
    (spool,) = spools()

    with EmbeddedDataStorage() as datastorage:
        adopted = deliver(spool, datastorage.url)

    assert adopted == RecoveryCounts(delivered=2)


def test_rejected_events_fail_the_session_and_are_kept(suite, failing_datastorage, spools):
    result = suite("--gateway-datastorage-url", failing_datastorage(422), test_it=TWO_EVENTS)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    (spool,) = spools()
    assert len((spool / "rejected.jsonl").read_text().splitlines()) == 2
    assert result.parseoutcomes() == {"passed": 1}
    result.stdout.fnmatch_lines(
        [
            "gateway: main: 2 audit events rejected by DataStorage; DataStorage at *: *no events today*; "
            f"kept in {spool}",
            "gateway: 1 server, 1 flusher, 2 events recorded, 0 delivered, 2 rejected, 0 pending",
        ]
    )


def test_refused_events_fail_the_session(suite, spools):
    result = suite(
        test_it="""
        import pytest
        from signal_gateway.audit import InvalidAuditEvent

        def test_no_event(gateway_audit_store):
            with pytest.raises(InvalidAuditEvent):
                gateway_audit_store.record("no event")
        """,
    )

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"passed": 1}
    result.stdout.fnmatch_lines(
        [
            "gateway: main: 1 audit event refused by the store (record raised); DataStorage at * (from embedded)",
            "gateway: 0 servers, 1 flusher, 0 events recorded, 0 delivered, 0 rejected, 0 pending, 1 refused",
        ]
    )
    assert spools() == []


@pytest.mark.parametrize(("choice", "complaints"), [("warn", 1), ("ignore", 0)])
def test_lost_events_are_what_the_setting_says(suite, failing_datastorage, choice, complaints):
    url = failing_datastorage(422)

    result = suite("--gateway-datastorage-url", url, "-o", f"gateway_lost_events={choice}", test_it=TWO_EVENTS)

    assert result.ret == pytest.ExitCode.OK
    assert sum("gateway: main: 2 audit events rejected" in line for line in result.outlines) == complaints
    result.stdout.fnmatch_lines(["gateway: *2 rejected, 0 pending"])


@pytest.mark.parametrize(
    ("arguments", "body", "status"),
    [
        (["-x"], "assert False", pytest.ExitCode.TESTS_FAILED),
        ([], "raise KeyboardInterrupt", pytest.ExitCode.INTERRUPTED),
        (["-x", "-n", "2"], "assert False", pytest.ExitCode.INTERRUPTED),
    ],
    ids=["-x", "Ctrl-C", "-x in workers"],
)
def test_session_that_ends_early_keeps_its_status_and_tells_what_the_last_fixtures_lost(
    suite, failing_datastorage, arguments, body, status
):
    result = suite(
        *arguments,
        "--gateway-datastorage-url",
        failing_datastorage(503),
        *BRIEF,
        conftest=LATE_EVENT,
        test_it=f"def test_stop_here(late): {body}",
    )

    assert result.ret == status
    result.stdout.fnmatch_lines(["gateway: *: 1 audit event not delivered within 0.1 s; *"])
    result.stdout.fnmatch_lines(["gateway: *1 event recorded, 0 delivered, 0 rejected, 1 pending"])


def test_verdict_is_told_where_there_is_no_summary(suite, failing_datastorage):
    result = suite(
        "--gateway-datastorage-url",
        failing_datastorage(422),
        conftest="""
        import pytest

        @pytest.fixture(scope="session")
        def leftover():
            yield
            raise RuntimeError("raised by a leftover fixture")
        """,
        test_it="""
        def test_alert(gateway, leftover):
            assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201
            raise KeyboardInterrupt
        """,
    )

    assert result.ret != pytest.ExitCode.OK
    result.stderr.fnmatch_lines(["gateway: main: 2 audit events rejected by DataStorage; *", "gateway: 1 server, *"])
    result.stderr.fnmatch_lines(["*raised by a leftover fixture"])


def test_harness_that_does_not_stop_fails_the_session_and_no_test(suite):
    result = suite(
        test_it="""
        import asyncio
        from signal_gateway.testing.runtime import loops as _loops, running_loop as _running_loop

        _running_loop.STOP_TIMEOUT = 0.1

        async def stay():
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    pass

        def test_alert(gateway):
            loop = _loops.DEPENDENCIES.acquire()
            loop.submit(stay())
            loop.release()
        """
    )

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"passed": 1}
    result.stdout.fnmatch_lines(["gateway: main: *the loop 'gateway-dependencies' did not end within 0.1 s: *"])


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("gateway_flush_timeout", "soon", "a number of seconds, 0 or more, such as 5"),
        ("gateway_flush_timeout", "-1", "a number of seconds, 0 or more, such as 5"),
        ("gateway_lost_events", "eror", "one of error, warn, ignore"),
    ],
)
def test_wrong_setting_stops_the_session_before_the_first_test(suite, monkeypatch, name, value, allowed):
    variable = f"PYTEST_{name.upper()}"
    monkeypatch.setenv(variable, value)

    result = suite(test_it="def test_nothing(): pass")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {name} is '{value}' (from environment variable {variable}): give {allowed}"])
