"""Suites that run with other well-known plugins: what those do to a test harms no gateway, and no event."""

import os
import sys
from pathlib import Path

import pytest

from signal_gateway.audit import AuditTrail, DataStorageClient
from signal_gateway.testing import EmbeddedDataStorage

HANG = """
import threading

def test_hangs(gateway):
    assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201
    threading.Event().wait()
"""

QUICK = """
def test_quick(gateway):
    assert gateway.send_alert("X", namespace="prod", deployment="shop").status_code == 201
"""

FLAKY = """
from pathlib import Path

def test_fails_at_first(gateway):
    response = gateway.send_alert("X", namespace="prod", deployment="api")
    assert response.status_code == 201, "the gateway and its cluster are new in each attempt"
    attempts = Path("attempts")
    with attempts.open("a") as file:
        file.write("one\\n")
    assert len(attempts.read_text().splitlines()) == 3
"""

APPLICATION = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def greet(request):
    name = request.query_params.get("name")
    if name is None:
        return PlainTextResponse("who is there?", 400)
    return PlainTextResponse(f"hello {name}")


def create_app(registry, audit_store):
    return Starlette(routes=[Route("/", greet)])
"""

GREET = """
from application import create_app

def test_greeting(gateway_serve):
    service = gateway_serve(create_app)
    assert service.client.get("/", params={"name": "you"}).text == "hello you"
"""


@pytest.fixture
def stored():
    def ask(datastorage):
        client = DataStorageClient(datastorage.url)
        try:
            return sorted(event.event_type for event in AuditTrail(client, barrier=None).events())
        finally:
            client.close()

    return ask


def test_time_out_by_a_thread_ends_the_process_and_loses_no_event(suite, stored, tmp_path_factory):
    """pytest-timeout's thread method prints all stacks and calls os._exit: no fixture is torn down."""
    temporary_files = tmp_path_factory.mktemp("temporary-files")
    with pytest.MonkeyPatch.context() as patch, EmbeddedDataStorage() as datastorage:
        patch.setenv("TMPDIR", str(temporary_files))
        result = suite(
            *("--timeout", "5", "--timeout-method", "thread", "-o", "timeout_func_only=true"),
            *("-n", "1", "--max-worker-restart", "0", "--gateway-datastorage-url", datastorage.url),
            plugins=["timeout"],
            test_hang=HANG,
        )

        assert stored(datastorage) == ["gateway.crd.created", "gateway.signal.received"]

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["worker 'gw0' crashed while running 'test_hang.py::test_hangs'"])
    assert list(temporary_files.glob("signal-gateway-spool-*")) == []


def test_time_out_that_does_not_strike_is_not_noticed(clean_suite):
    result = clean_suite(
        *("--timeout", "100", "--timeout-method", "thread"), plugins=["timeout"], servers=1, test_quick=QUICK
    )

    result.assert_outcomes(passed=1)


def test_each_attempt_of_a_flaky_test_has_a_gateway_of_its_own(suite):
    result = suite("--reruns", "2", plugins=["rerunfailures"], test_flaky=FLAKY)

    result.stdout.fnmatch_lines(
        [
            "gateway: 3 servers, 1 flusher, 6 events recorded, 6 delivered, 0 rejected, 0 pending",
            "*1 passed, 2 rerun in *",
        ]
    )


def test_last_attempt_of_a_test_that_stays_red_tells_what_its_gateway_did(suite):
    result = suite("--reruns", "1", plugins=["rerunfailures"], test_red=FLAKY.replace("== 3", "== 4"))

    result.stdout.fnmatch_lines(["*1 failed, 1 rerun in *"])
    told = [line for line in result.stdout.lines if "last requests" in line]
    assert len(told) == 1


def test_code_that_a_server_runs_is_covered(pytester):
    """Servers run on a thread of the harness's, which coverage has to follow from its start."""
    pytester.makepyfile(application=APPLICATION, test_greet=GREET)
    run = [sys.executable, "-m", "coverage", "run", "--include", "application.py", "-m", "pytest"]
    result = pytester.run(*run)
    assert result.ret == pytest.ExitCode.OK, result.stdout.str() + result.stderr.str()

    report = pytester.run(sys.executable, "-m", "coverage", "report", "--show-missing")

    missing = APPLICATION.splitlines().index('        return PlainTextResponse("who is there?", 400)')
    report.stdout.fnmatch_lines([f"application.py * {missing}"])
    assert os.path.exists(Path(pytester.path) / ".coverage")
