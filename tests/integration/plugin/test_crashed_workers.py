import pytest

from signal_gateway.audit import RecoveryCounts
from signal_gateway.testing import EmbeddedDataStorage

RECORD = """
import threading
import pytest
from signal_gateway.audit import AuditEvent

@pytest.fixture
def record(gateway_audit_store):
    def record(*correlation_ids):
        for correlation_id in correlation_ids:
            gateway_audit_store.record(AuditEvent(
                event_type="demo.step", event_category="demo", event_action="step", event_outcome="success",
                correlation_id=correlation_id, event_data={"event_type": "demo.step"},
            ))
    return record

@pytest.fixture
def no_delivery(gateway_audit_store):
    gateway_audit_store.client.deliver = lambda body, count: threading.Event().wait()
"""

DEATHS = {
    "os._exit": "import os; os._exit(0)",
    "SIGKILL": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "segfault": "import ctypes, faulthandler; faulthandler.disable(); ctypes.string_at(0)",
}

TEST_THAT_DIES = """
def test_death(no_delivery, record):
    record("c-1", "c-2", "c-3")
    {death}
"""

TEST_THAT_LIVES = """
def test_life(record):
    record("c-of-the-living")
"""

DATASTORAGE_OF_THE_CONTROLLER = """
import os

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        from signal_gateway.testing import EmbeddedDataStorage
        config.own_datastorage = EmbeddedDataStorage()
        config.own_datastorage.start()
        os.environ["PYTEST_GATEWAY_DATASTORAGE_URL"] = config.own_datastorage.url

def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        config.own_datastorage.close()

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    if hasattr(session.config, "workerinput"):
        os._exit(0)
"""

STOP_DATASTORAGE = """
def pytest_testnodedown(node):
    node.config.own_datastorage.stop()
"""


@pytest.fixture
def datastorage():
    with EmbeddedDataStorage() as datastorage:
        yield datastorage


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
def test_worker_that_dies_loses_no_event(suite, datastorage, stored, spools, death):
    result = suite(
        *("-n", "2", "--gateway-datastorage-url", datastorage.url),
        conftest=RECORD,
        test_death=TEST_THAT_DIES.format(death=death),
        test_life=TEST_THAT_LIVES,
    )

    result.assert_outcomes(passed=1, failed=1)
    assert sorted(stored(datastorage.url)) == ["c-1", "c-2", "c-3", "c-of-the-living"]
    result.stdout.fnmatch_lines(
        [
            "gateway: gw[01] crashed (Not properly terminated): pytest delivered 3 audit events that it had "
            "left in its spool",
            "gateway: 0 servers, 2 flushers, 4 events recorded, 4 delivered, 0 rejected, 0 pending, "
            "3 adopted from processes that died",
        ]
    )
    assert spools() == []


def test_embedded_datastorage_of_the_run_gets_what_a_crashed_worker_left(suite, spools):
    result = suite("-n", "1", conftest=RECORD, test_death=TEST_THAT_DIES.format(death=DEATHS["SIGKILL"]))

    result.stdout.fnmatch_lines(
        [
            "gateway: gw0 crashed (Not properly terminated): pytest delivered 3 audit events that *",
            "gateway: 0 servers, 1 flusher, 3 events recorded, 3 delivered, 0 rejected, 0 pending, 3 adopted from *",
        ]
    )
    assert spools() == []


def test_worker_in_place_of_a_crashed_one_has_a_spool_of_its_own(suite, datastorage, stored, spools):
    result = suite(
        *("-n", "1", "--gateway-datastorage-url", datastorage.url),
        conftest=RECORD,
        test_it="""
        import os
        import pytest

        @pytest.mark.parametrize("number", [1, 2])
        def test_death(no_delivery, record, number):
            record(f"c-{number}")
            os._exit(1)
        """,
    )

    result.assert_outcomes(failed=2)
    assert sorted(stored(datastorage.url)) == ["c-1", "c-2"]
    result.stdout.fnmatch_lines(
        [
            "gateway: gw0 crashed (*): pytest delivered 1 audit event that it had left in its spool",
            "gateway: gw1 crashed (*): pytest delivered 1 audit event that it had left in its spool",
        ]
    )
    assert spools() == []


@pytest.mark.parametrize(
    ("is_up", "status"), [(True, pytest.ExitCode.OK), (False, pytest.ExitCode.TESTS_FAILED)], ids=["up", "down"]
)
def test_crash_fails_a_session_without_failures_only_if_its_events_can_not_be_delivered(
    suite, datastorage, deliver, spools, is_up, status
):
    result = suite(
        *("-n", "1", "--max-worker-restart=0", "-o", "gateway_flush_timeout=0.5"),
        conftest=RECORD + DATASTORAGE_OF_THE_CONTROLLER + ("" if is_up else STOP_DATASTORAGE),
        test_it="""
        def test_passes(no_delivery, record):
            record("c-1", "c-2")
        """,
    )

    assert result.ret == status
    assert result.parseoutcomes() == {"passed": 1}
    if is_up:
        result.stdout.fnmatch_lines(["gateway: gw0 crashed (*): pytest delivered 2 audit events that *"])
        assert spools() == []
        return
    (spool,) = spools()
    result.stdout.fnmatch_lines(
        [
            "gateway: gw0 crashed (Not properly terminated): 2 audit events not delivered within 0.5 s; DataStorage at "
            "http://127.0.0.1:* (from environment variable PYTEST_GATEWAY_DATASTORAGE_URL): ConnectError*; "
            f"kept, to deliver them: signal-gateway audit spool deliver {spool} --datastorage URL",
            "gateway: *, 2 events recorded, 0 delivered, 0 rejected, 2 pending, 2 adopted from processes that died",
        ]
    )
    assert deliver(spool, datastorage.url) == RecoveryCounts(delivered=2)


def test_events_that_were_rejected_before_a_worker_died_are_counted(suite, failing_datastorage, spools):
    result = suite(
        *("-n", "1", "--gateway-datastorage-url", failing_datastorage(422)),
        conftest=RECORD,
        test_it="""
        import os

        def test_death(record, gateway_audit_store):
            record("c-1", "c-2")
            gateway_audit_store.flush()
            os._exit(1)
        """,
    )

    (spool,) = spools()
    result.stdout.fnmatch_lines(
        [
            f"gateway: gw0 crashed (*): 2 audit events rejected by DataStorage; DataStorage at *; kept in {spool}",
            "gateway: *, 2 events recorded, 0 delivered, 2 rejected, 0 pending*",
        ]
    )


def test_damage_in_a_crashed_workers_spool_is_reported_and_kept(suite, datastorage, stored, spools):
    result = suite(
        *("-n", "1", "--gateway-datastorage-url", datastorage.url),
        conftest=RECORD,
        test_it="""
        import os
        from pathlib import Path

        def test_damage(no_delivery, record, request):
            record("c-intact", "c-damaged", "c-behind")
            spool = Path(request.config.workerinput["gateway_spool_directory"])
            segment = next(path for path in spool.glob("*.segment") if b"c-damaged" in path.read_bytes())
            with segment.open("r+b") as file:
                file.seek(segment.read_bytes().index(b"c-damaged"))
                file.write(b"x-")
            os._exit(1)
        """,
    )

    (spool,) = spools()
    assert stored(datastorage.url) == ["c-intact", "c-behind"]
    assert list(spool.glob("corrupt/*"))
    result.stdout.fnmatch_lines(
        [f"gateway: gw0 crashed (*): 1 damaged spool file set aside; DataStorage at *; kept in {spool}"]
    )


def test_worker_that_crashed_without_an_audit_store_is_none_of_its_business(suite, spools):
    result = suite("-n", "1", test_it="import os\ndef test_crash(): os._exit(1)")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.no_fnmatch_line("gateway: *")
    assert spools() == []


def test_child_that_was_forked_and_killed_loses_no_event(suite, datastorage, stored, spools):
    result = suite(
        *("--gateway-datastorage-url", datastorage.url),
        conftest=RECORD,
        test_it="""
        import os
        import threading
        import warnings

        def test_fork(record, gateway_audit_store):
            record("c-of-the-parent")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of Python 3.12, about threads
                child = os.fork()
            if not child:
                gateway_audit_store.client.deliver = lambda body, count: threading.Event().wait()
                record("c-of-the-child")
                os._exit(0)
            os.waitpid(child, 0)
        """,
    )

    result.assert_outcomes(passed=1)
    assert sorted(stored(datastorage.url)) == ["c-of-the-child", "c-of-the-parent"]
    result.stdout.fnmatch_lines(["gateway: *2 events recorded, 2 delivered, *, 1 adopted from processes that died"])
    assert spools() == []


def test_single_process_that_is_killed_leaves_its_events_among_the_temporary_files(
    suite, datastorage, stored, deliver, spools
):
    suite(
        *("--gateway-datastorage-url", datastorage.url),
        conftest=RECORD,
        test_death=TEST_THAT_DIES.format(death=DEATHS["SIGKILL"]),
    )
    (spool,) = spools()

    adopted = deliver(spool, datastorage.url)

    assert adopted == RecoveryCounts(delivered=3)
    assert stored(datastorage.url) == ["c-1", "c-2", "c-3"]
    assert list(spool.iterdir()) == []
