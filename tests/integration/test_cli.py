"""The command line, as a user runs it: in a process of its own."""

import contextlib
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from signal_gateway.audit import AuditTrail, DataStorageClient
from signal_gateway.testing import EmbeddedCluster, EmbeddedDataStorage, alert, alertmanager_webhook

COMMAND = [sys.executable, "-m", "signal_gateway"]
PATH = "/api/v1/signals/prometheus"
URL = re.compile(r"http://127\.0\.0\.1:\d+")


def run(*arguments, cwd=None):
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, cwd=cwd)


@contextlib.contextmanager
def running(*arguments, until):
    """Run a command that goes on until it is told to end; give the process and the line that it was waited for."""
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = next((line for line in process.stdout if until in line), None)
            assert line is not None, process.stderr.read()
            yield process, line
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture
def cluster():
    with EmbeddedCluster() as cluster:
        yield cluster


@pytest.fixture
def datastorage():
    with EmbeddedDataStorage() as datastorage:
        yield datastorage


@pytest.fixture
def config_file(tmp_path, cluster, datastorage):
    def write(**changes):
        settings = {
            "server": {"listen": "127.0.0.1:0"},
            "audit": {"datastorage_url": datastorage.url, "durability": "memory"},
            "kubernetes": {"kubeconfig": str(cluster.kubeconfig)},
        }
        path = tmp_path / "gateway.yaml"
        path.write_text(yaml.safe_dump(settings | changes))
        return str(path)

    return write


def one_line_mistake(result):
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def test_demo_shows_the_main_job_and_ends_by_itself():
    result = run("demo")

    assert result.returncode == 0, result.stderr
    for expected in (
        "-> 207",
        "-> 202",
        "-> 200",
        "-> 201",
        "gateway.crd.created",
        "gateway.signal.deduplicated",
        "gateway.signal.resolved",
        "Completed",
        "8 events recorded, 8 delivered, 0 rejected, 0 pending",
        "demo --keep",
    ):
        assert expected in result.stdout, expected
    assert result.stderr == ""


def test_demo_that_is_kept_answers_until_ctrl_c():
    with running("demo", "--keep", until="curl http") as (process, line):
        url = URL.search(line)[0]
        assert "gateway_crds_created_total" in httpx.get(f"{url}/metrics", trust_env=False).text

        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)

    assert (process.returncode, errors) == (0, "")


def test_service_delivers_its_events_after_sigterm_and_exits_with_0(config_file, datastorage):
    with running("serve", "--config", config_file(), until="gateway on") as (process, line):
        url = URL.search(line)[0]
        webhook = alertmanager_webhook(alert("X", namespace="prod", deployment="api"))
        response = httpx.post(f"{url}{PATH}", json=webhook, trust_env=False)
        assert response.status_code == 201

        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)

    assert (process.returncode, errors) == (0, "")
    client = DataStorageClient(datastorage.url)
    trail = AuditTrail(client, barrier=None)
    name = response.json()["remediationRequestName"]
    trail.sequence("gateway.signal.received", "gateway.crd.created", correlation_id=name)
    client.close()


def test_service_starts_while_datastorage_is_down_and_delivers_when_it_is_back(config_file, datastorage):
    datastorage.stop()
    with running("serve", "--config", config_file(), until="gateway on") as (process, line):
        webhook = alertmanager_webhook(alert("X", namespace="prod", deployment="api"))
        response = httpx.post(f"{URL.search(line)[0]}{PATH}", json=webhook, trust_env=False)
        datastorage.start()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)

    assert process.returncode == 0
    assert f"no DataStorage at {datastorage.url} (from audit.datastorage_url)" in errors
    client = DataStorageClient(datastorage.url)
    trail = AuditTrail(client, barrier=None)
    trail.one("gateway.crd.created", correlation_id=response.json()["remediationRequestName"])
    client.close()


def test_service_refuses_to_start_for_a_stranger_at_the_audit_url(config_file, cluster):
    path = config_file(audit={"datastorage_url": cluster.url, "durability": "memory"})

    errors = one_line_mistake(run("serve", "--config", path))

    assert cluster.url in errors
    assert "audit.datastorage_url" in errors


def test_service_refuses_a_wrong_configuration_and_lists_every_mistake(config_file):
    path = config_file(procesing={}, audit={"durability": "memory"})

    errors = one_line_mistake(run("serve", "--config", path))

    assert path in errors
    assert "procesing" in errors
    assert "audit.datastorage_url" in errors


def test_service_refuses_a_missing_configuration_file(tmp_path):
    missing = tmp_path / "nowhere.yaml"

    assert str(missing) in one_line_mistake(run("serve", "--config", str(missing)))


def test_service_refuses_a_port_that_is_taken(config_file, datastorage):
    taken = datastorage.url.removeprefix("http://")

    assert taken in one_line_mistake(run("serve", "--config", config_file(server={"listen": taken})))


def test_datastorage_keeps_its_events_when_it_is_started_again(tmp_path):
    database = f"sqlite:///{tmp_path / 'audit.db'}"
    event = {
        "version": "1.0",
        "event_type": "demo.kept",
        "event_timestamp": "2026-01-31T12:00:00Z",
        "event_category": "demo",
        "event_action": "kept",
        "event_outcome": "success",
        "correlation_id": "c-1",
        "event_data": {"event_type": "demo.kept", "answer": 42},
    }
    arguments = ["datastorage", "--database", database, "--listen", "127.0.0.1:0"]

    with running(*arguments, until="DataStorage on") as (process, line):
        response = httpx.post(f"{URL.search(line)[0]}/api/v1/audit/events", json=event, trust_env=False)
        assert response.status_code == 201
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")

    with running(*arguments, until="DataStorage on") as (_, line):
        url = URL.search(line)[0]
        listed = run("audit", "list", "--datastorage", url)
        shown = run("audit", "show", "c-1", "--datastorage", url)

    assert listed.returncode == shown.returncode == 0
    assert "demo.kept" in listed.stdout
    assert "1 of 1 events" in listed.stdout
    assert '"answer": 42' in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["datastorage", "--database", "mysql://x"], "mysql://"),
        (["datastorage", "--database", "sqlite:////nowhere/audit.db"], "/nowhere"),
        (["datastorage", "--database", "sqlite:///x.db", "--listen", "8080"], "'8080'"),
        (["audit", "list", "--datastorage", "http://127.0.0.1:1"], "http://127.0.0.1:1"),
        (["audit", "list", "--datastorage", "127.0.0.1:8080"], "127.0.0.1:8080"),
    ],
    ids=["wrong database", "no such folder", "no host", "nobody there", "no scheme"],
)
def test_mistake_is_one_clear_line_and_exit_status_2(arguments, expected, tmp_path):
    errors = one_line_mistake(run(*arguments, cwd=tmp_path))

    assert errors.count("\n") == 1
    assert expected in errors


def test_unknown_correlation_id_is_an_error_that_names_it(datastorage):
    errors = one_line_mistake(run("audit", "show", "rr-nobody", "--datastorage", datastorage.url))

    assert "'rr-nobody'" in errors


def test_harness_example_runs_without_pytest():
    example = Path(__file__).parents[2] / "examples" / "harness" / "harness.py"

    result = subprocess.run(
        [sys.executable, "-W", "error", example], capture_output=True, text=True, timeout=60, check=False
    )

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("gateway.crd.created") == 2
    assert "delivered 4 of 4 events" in result.stdout
