import pytest

LATE_EVENTS = """
from signal_gateway.audit import AuditEvent

@pytest.fixture(scope="session", autouse=True)
def late(gateway_audit_store):
    yield
    for number in range(2):
        gateway_audit_store.record(AuditEvent(
            event_type="demo.late", event_category="demo", event_action="late", event_outcome="success",
            correlation_id="c-1", event_data={"event_type": "demo.late"},
        ))
"""

THREE_TESTS = """
import os
import signal
import pytest

def send(gateway):
    assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201

def test_first(gateway):
    send(gateway)
    {first}

def test_second(gateway):
    send(gateway)
    {second}

def test_third(gateway):
    send(gateway)
"""


@pytest.mark.parametrize(
    ("arguments", "first", "second", "status", "outcomes"),
    [
        (["-x"], "assert False", "pass", pytest.ExitCode.TESTS_FAILED, {"failed": 1}),
        (["--maxfail=2"], "assert False", "assert False", pytest.ExitCode.TESTS_FAILED, {"failed": 2}),
        ([], "pass", "raise KeyboardInterrupt", pytest.ExitCode.INTERRUPTED, {"passed": 1}),
        ([], "pass", "os.kill(os.getpid(), signal.SIGINT)", pytest.ExitCode.INTERRUPTED, {"passed": 1}),
    ],
    ids=["-x", "--maxfail", "KeyboardInterrupt", "Ctrl-C"],
)
def test_run_that_ends_early_delivers_what_its_last_fixtures_record(
    clean_suite, arguments, first, second, status, outcomes
):
    servers = 1 if arguments == ["-x"] else 2

    result = clean_suite(
        *arguments,
        servers=servers,
        late_events=2,
        conftest=LATE_EVENTS,
        test_it=THREE_TESTS.format(first=first, second=second),
    )

    assert result.ret == status
    assert result.parseoutcomes() == outcomes


def test_controller_that_is_interrupted_still_hears_its_workers_verdicts(clean_suite):
    result = clean_suite(
        *("-n", "1"),
        servers=1,
        processes=["main", "gw0"],
        test_it="""
        import os
        import signal

        def test_ctrl_c(gateway):
            assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201
            os.kill(os.getppid(), signal.SIGINT)
        """,
    )

    assert result.ret == pytest.ExitCode.INTERRUPTED
