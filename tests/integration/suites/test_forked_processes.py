"""Runners that fork for each test: the children end by os._exit, and the parent reports their events."""

import pytest

from signal_gateway.testing import EmbeddedDataStorage

ALERT = 'assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201'

FOUR = f"""
import pytest

@pytest.mark.parametrize("number", range(4))
def test_alert(gateway, number):
    {ALERT}
"""

# like pytest-forked, which pytest 9.2 breaks: it cannot marshal the node id in a report
RUNNER = """
import json
import os
import warnings
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

REPORTS = Path("reports.json").absolute()

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    if "in_parent" in item.name:
        return None
    hook, reports = item.ihook, Path(f"{REPORTS}-{os.getpid()}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python 3.12, about threads
        child = os.fork()
    if not child:
        made = runtestprotocol(item, log=False)
        data = [hook.pytest_report_to_serializable(config=item.config, report=report) for report in made]
        reports.write_text(json.dumps(data), encoding="utf-8")
        os._exit(0)
    os.waitpid(child, 0)
    if reports.exists():
        for data in json.loads(reports.read_text(encoding="utf-8")):
            hook.pytest_runtest_logreport(report=hook.pytest_report_from_serializable(config=item.config, data=data))
        reports.unlink()
    else:
        call = pytest.CallInfo.from_call(lambda: pytest.fail("the child died"), "call")
        hook.pytest_runtest_logreport(report=pytest.TestReport.from_item_and_call(item, call))
    return True
"""

RECORD = (
    RUNNER
    + """
def record(store, number):
    from signal_gateway.audit import AuditEvent

    for _ in range(number):
        store.record(AuditEvent(
            event_type="demo.order", event_category="demo", event_action="order", event_outcome="success",
            correlation_id="c-1", event_data={"event_type": "demo.order"},
        ))

def stop_delivery(store):
    import threading

    store.client.deliver = lambda body, count: threading.Event().wait()
"""
)


@pytest.fixture
def temporary_files(tmp_path_factory, monkeypatch):
    """The folder for the temporary files of a suite, such as spools."""
    path = tmp_path_factory.mktemp("temporary-files")
    monkeypatch.setenv("TMPDIR", str(path))
    return path


@pytest.mark.parametrize("arguments", [[], ["-n", "2"]], ids=["one process", "xdist"])
def test_events_of_forked_tests_are_delivered_and_counted(suite, temporary_files, arguments):
    result = suite(*arguments, conftest=RUNNER, test_it=FOUR)

    result.assert_outcomes(passed=4)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        ["gateway: 4 servers, 4 flushers, 8 events recorded, 8 delivered, 0 rejected, 0 pending"]
    )
    assert list(temporary_files.glob("signal-gateway-*")) == []


def test_forked_test_among_others_is_counted(suite, temporary_files):
    result = suite(
        conftest=RUNNER,
        test_it=f"""
        def test_before_in_parent(gateway):
            {ALERT}

        def test_forked(gateway):
            {ALERT}

        def test_after_in_parent(gateway):
            {ALERT}
        """,
    )

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["gateway: 3 servers, 2 flushers, 6 events recorded, 6 delivered, 0 rejected, 0 *"])
    assert list(temporary_files.glob("signal-gateway-*")) == []


@pytest.mark.parametrize("death", ["os._exit(0)", "os._exit(1)", "os.kill(os.getpid(), 9)"])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "after another"])
def test_events_of_a_forked_test_that_dies_are_recovered(suite, temporary_files, death, is_first):
    with EmbeddedDataStorage() as datastorage:
        result = suite(
            *("--gateway-datastorage-url", datastorage.url),
            conftest=RECORD,
            test_it=f"""
            import os

            import pytest
            from conftest import record, stop_delivery

            @pytest.mark.skipif({is_first}, reason="the first test is forked")
            def test_before_in_parent(gateway_audit_store):
                record(gateway_audit_store, 1)

            def test_dies(gateway_audit_store):
                stop_delivery(gateway_audit_store)
                record(gateway_audit_store, 3)
                {death}
            """,
        )

    events = 3 if is_first else 4
    result.stdout.fnmatch_lines([f"gateway: 0 servers, * {events} events recorded, {events} delivered, *, 3 adopted *"])
    if is_first:
        result.stdout.fnmatch_lines(["gateway: forked process * crashed (*): * delivered 3 audit events *"])
    assert list(temporary_files.glob("signal-gateway-*")) == []


def test_events_of_a_forked_test_that_cannot_be_delivered_fail_the_session(suite, temporary_files):
    result = suite(
        *("-o", "gateway_flush_timeout=0.5"),
        conftest=RECORD
        + """
import os
from signal_gateway.testing import EmbeddedDataStorage

DATASTORAGE = EmbeddedDataStorage()
DATASTORAGE.start()
os.environ["PYTEST_GATEWAY_DATASTORAGE_URL"] = DATASTORAGE.url

def pytest_runtest_logreport(report):
    DATASTORAGE.stop()

def pytest_unconfigure(config):
    DATASTORAGE.close()
""",
        test_it="""
        from conftest import record, stop_delivery

        def test_alert(gateway_audit_store):
            stop_delivery(gateway_audit_store)
            record(gateway_audit_store, 3)
        """,
    )

    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    (spool,) = temporary_files.glob("signal-gateway-spool-*")
    result.stdout.fnmatch_lines(
        [
            f"gateway: forked process * 3 audit events not delivered within 0.5 s; *{spool}*",
            "gateway: 0 servers, 1 flusher, 3 events recorded, 0 delivered, 0 rejected, 3 pending, 3 adopted *",
        ]
    )


@pytest.mark.parametrize("death", ["os._exit(1)", "os.kill(os.getpid(), 9)"])
def test_events_of_forked_tests_are_recovered_though_their_worker_dies_too(suite, temporary_files, death):
    with EmbeddedDataStorage() as datastorage:
        result = suite(
            *("-n", "1", "--gateway-datastorage-url", datastorage.url),
            conftest=RECORD,
            test_it=f"""
            import os

            from conftest import record, stop_delivery

            def test_delivers(gateway_audit_store):
                record(gateway_audit_store, 2)

            def test_dies(gateway_audit_store):
                stop_delivery(gateway_audit_store)
                record(gateway_audit_store, 3)
                {death}

            def test_worker_dies_in_parent(gateway_audit_store):
                stop_delivery(gateway_audit_store)
                record(gateway_audit_store, 4)
                {death}
            """,
        )

    result.stdout.fnmatch_lines(
        ["gateway: 0 servers, 3 flushers, 9 events recorded, 9 delivered, 0 rejected, 0 pending, 7 adopted *"]
    )
    result.stdout.fnmatch_lines(["gateway: forked process * crashed (*): pytest delivered 3 audit events *"])
    result.stdout.fnmatch_lines(["gateway: gw0 crashed (*): pytest delivered 4 audit events *"])
    assert list(temporary_files.glob("signal-gateway-*")) == []


def test_events_of_forked_tests_are_recovered_if_their_worker_dies_without_a_store(suite, temporary_files):
    result = suite(
        *("-n", "1"),
        conftest=RECORD,
        test_it="""
        import os

        from conftest import record, stop_delivery

        def test_dies(gateway_audit_store):
            stop_delivery(gateway_audit_store)
            record(gateway_audit_store, 3)
            os._exit(0)

        def test_worker_dies_in_parent():
            os._exit(1)
        """,
    )

    result.stdout.fnmatch_lines(
        [
            "gateway: forked process * crashed (*): pytest delivered 3 audit events *",
            "gateway: 0 servers, 1 flusher, 3 events recorded, 3 delivered, 0 rejected, 0 pending, 3 adopted *",
        ]
    )
    assert list(temporary_files.glob("signal-gateway-*")) == []


def test_child_with_the_store_of_a_worker_that_dies_loses_no_event(suite, temporary_files):
    result = suite(
        *("-n", "1"),
        conftest=RECORD,
        test_it="""
        import os
        import warnings

        from conftest import record, stop_delivery

        def test_both_die_in_parent(gateway_audit_store):
            stop_delivery(gateway_audit_store)
            record(gateway_audit_store, 2)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of Python 3.12, about threads
                child = os.fork()
            if not child:
                record(gateway_audit_store, 3)
                os.kill(os.getpid(), 9)
            os.waitpid(child, 0)
            os.kill(os.getpid(), 9)
        """,
    )

    result.stdout.fnmatch_lines(
        [
            "gateway: gw0 crashed (*): pytest delivered 5 audit events *",
            "gateway: *, 5 events recorded, 5 delivered, 0 rejected, 0 pending, 5 adopted *",
        ]
    )
    assert list(temporary_files.glob("signal-gateway-*")) == []
