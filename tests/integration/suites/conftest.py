import re

import pytest

LOOK_FOR_LEFTOVERS = """
import os
import threading
from pathlib import Path

import pytest

FOLDER = Path.cwd()

def threads_and_descriptors():
    # trio keeps the threads of its thread pool for ten seconds
    found = {f"thread {thread.name}" for thread in threading.enumerate() if not thread.name.startswith("Trio thread")}
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:  # the one that listed them
            continue
        if target.startswith(("socket:", "anon_inode:")):
            found.add(target)
    return found

AT_START = threads_and_descriptors()

@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    worker = getattr(config, "workerinput", {}).get("workerid", "main")
    left = sorted(threads_and_descriptors() - AT_START)
    (FOLDER / f"left-by-{worker}.txt").write_text(", ".join(left))
"""

PLAIN = """
def test_plain(gateway):
    name = gateway.send_alert("X", namespace="prod", deployment="api").json()["remediationRequestName"]
    gateway.audit_trail.sequence("gateway.signal.received", "gateway.crd.created", correlation_id=name)
"""

UNITTEST = """
import unittest
import pytest

class TestUnit(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _gateway(self, gateway):
        self.gateway = gateway

    def test_unit(self):
        name = self.gateway.send_alert("X", namespace="prod", deployment="api").json()["remediationRequestName"]
        self.gateway.audit_trail.one("gateway.crd.created", correlation_id=name)
"""

SEND = """
from signal_gateway.testing import alert, alertmanager_webhook

WEBHOOK = alertmanager_webhook(alert("X", namespace="prod", deployment="api"))

async def send(gateway):
    response = await gateway.async_client.post("/api/v1/signals/prometheus", json=WEBHOOK)
    name = response.json()["remediationRequestName"]
    await gateway.audit_trail.aone("gateway.crd.created", correlation_id=name)
"""

ASYNCIO_STRICT = """
import pytest
import pytest_asyncio
from send import send

@pytest_asyncio.fixture
async def sent(gateway):
    await send(gateway)
    return gateway

@pytest.mark.asyncio
async def test_loop_of_its_own(gateway):
    await send(gateway)

@pytest.mark.asyncio
async def test_fixture_on_the_loop(sent):
    assert sent.metrics.value("gateway_crds_created_total", source_type="prometheus", status="created") == 1

@pytest.mark.asyncio(loop_scope="session")
async def test_first_on_the_loop_of_the_session(gateway):
    await send(gateway)

@pytest.mark.asyncio(loop_scope="session")
async def test_second_on_the_loop_of_the_session(gateway):
    await send(gateway)
"""

ANYIO = """
import pytest
from send import send

@pytest.mark.anyio
async def test_anyio(gateway):
    await send(gateway)
"""


@pytest.fixture
def kinds():
    """The files of a suite with one test of each kind. Each test starts one gateway, which records two events."""
    return {
        "test_plain": PLAIN,
        "test_unit": UNITTEST,
        "send": SEND,
        "test_asyncio_strict": ASYNCIO_STRICT,
        "test_anyio": ANYIO,
    }


@pytest.fixture
def clean_suite(suite, pytester, tmp_path_factory, monkeypatch):
    """Run the suite of a user, and check that no event, thread, socket, file or warning remains.

    `servers` is the expected number of servers, with two events each, and `late_events` the number of other events.
    """

    temporary_files = tmp_path_factory.mktemp("temporary-files")
    monkeypatch.setenv("TMPDIR", str(temporary_files))

    def run(*arguments, servers, late_events=0, processes=("main",), conftest="", **files):
        result = suite(*arguments, conftest=LOOK_FOR_LEFTOVERS + conftest, **files)

        left = {path.name: path.read_text() for path in pytester.path.glob("left-by-*")}
        assert left == {f"left-by-{process}.txt": "" for process in processes}
        assert list(temporary_files.glob("signal-gateway-*")) == []
        assert "warnings" not in result.parseoutcomes()
        assert not re.search("Warning|unraisable|Task was destroyed", result.stdout.str() + result.stderr.str())
        if servers:
            events = 2 * servers + late_events
            flushers = max(len(processes) - 1, 1)
            result.stdout.fnmatch_lines(
                [
                    f"gateway: {servers} server*, {flushers} flusher*, {events} events recorded, "
                    f"{events} delivered, 0 rejected, 0 pending"
                ]
            )
        else:
            result.stdout.no_fnmatch_line("gateway: *")
        return result

    return run
