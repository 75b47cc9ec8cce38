"""The command line."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.support.command_line import URL, one_line_mistake, run, running, send_alert

from signal_gateway.audit import AuditTrail, DataStorageClient
from signal_gateway.audit.wal.inspect import inspect_spool
from signal_gateway.datastorage import create_datastorage
from signal_gateway.testing.runtime.server import LiveServer


def test_demo_shows_the_main_job_and_ends_by_itself_leaving_nothing(tmp_path):
    result = run("demo", TMPDIR=str(tmp_path))

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
        "8 events recorded, 8 delivered, 0 rejected, 0 pending; until it is delivered, an event survives kill -9",
        "demo --keep",
    ):
        assert expected in result.stdout, expected
    assert result.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_demo_that_is_kept_answers_until_ctrl_c():
    with running("demo", "--keep", until="curl http") as (process, line):
        url = URL.search(line)[0]
        assert "gateway_crds_created_total" in httpx.get(f"{url}/metrics", trust_env=False).text

        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (0, "")


def test_service_delivers_its_events_after_sigterm_and_exits_with_0(config_file, trail, spool):
    with running("serve", "--config", config_file(), until="gateway on") as (process, line):
        name = send_alert(URL.search(line)[0])
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (0, "")
    trail.sequence("gateway.signal.received", "gateway.crd.created", correlation_id=name)
    assert list(spool.iterdir()) == []


def test_service_starts_while_datastorage_is_down_and_delivers_when_it_is_back(config_file, datastorage, trail, spool):
    datastorage.stop()
    with running("serve", "--config", config_file(), until="gateway on") as (process, line):
        name = send_alert(URL.search(line)[0])
        datastorage.start()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 0
    assert f"audit events wait in {spool} until DataStorage responds: no DataStorage at {datastorage.url}" in errors
    trail.one("gateway.crd.created", correlation_id=name)


@pytest.mark.parametrize(
    ("number", "deployments"), [(signal.SIGKILL, ["api", "web"]), (signal.SIGTERM, ["api"])], ids=["SIGKILL", "SIGTERM"]
)
def test_service_that_died_while_datastorage_was_down_has_lost_nothing(
    config_file, datastorage, trail, spool, number, deployments
):
    names = []
    path = config_file()
    datastorage.stop()
    for deployment in deployments:
        with running("serve", "--config", path, until="gateway on") as (process, line):
            names.append(send_alert(URL.search(line)[0], deployment))
            process.send_signal(number)
            process.communicate(timeout=60)
    left = inspect_spool(spool)

    datastorage.start()
    with running("serve", "--config", path, until="gateway on") as (process, _):
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)

    assert left.pending(alive=False) == 2 * len(deployments)
    assert (process.returncode, errors) == (0, "")
    for name in names:
        trail.sequence("gateway.signal.received", "gateway.crd.created", correlation_id=name)
    assert inspect_spool(spool).is_empty


def test_metrics_of_the_service_count_its_audit_events(config_file, datastorage):
    datastorage.stop()
    with running("serve", "--config", config_file(), until="gateway on") as (_, line):
        url = URL.search(line)[0]
        send_alert(url)
        metrics = httpx.get(f"{url}/metrics", trust_env=False).text.splitlines()

    assert "audit_events_recorded_total 2.0" in metrics
    assert "audit_events_pending 2.0" in metrics
    assert "audit_events_delivered_total 0.0" in metrics
    assert 'gateway_crds_created_total{source_type="prometheus",status="created"} 1.0' in metrics


def test_service_in_memory_loses_what_a_kill_meets_and_says_so_at_the_start(config_file, datastorage, trail, spool):
    path = config_file(audit={"datastorage_url": datastorage.url, "durability": "memory"})
    datastorage.stop()
    with running("serve", "--config", path, until="gateway on") as (process, line):
        name = send_alert(URL.search(line)[0])
        process.kill()
        _, errors = process.communicate(timeout=60)
    datastorage.start()

    assert "audit events wait in memory until DataStorage responds" in errors
    trail.none(correlation_id=name)
    assert not spool.exists()


def test_service_refuses_a_spool_directory_that_can_not_be_used(config_file, datastorage, tmp_path):
    (tmp_path / "file").touch()
    path = config_file(audit={"datastorage_url": datastorage.url, "spool_directory": str(tmp_path / "file")})

    errors = one_line_mistake(run("serve", "--config", path))

    assert f"spool_directory {str(tmp_path / 'file')!r} can't be used" in errors


def test_service_refuses_to_start_for_a_stranger_at_the_audit_url(config_file, cluster, spool):
    path = config_file(audit={"datastorage_url": cluster.url, "spool_directory": str(spool)})

    errors = one_line_mistake(run("serve", "--config", path))

    assert cluster.url in errors
    assert "audit.datastorage_url" in errors
    assert not spool.exists()


@pytest.fixture
def guarded(tmp_path):
    """Give the URL of a DataStorage that knows a token for writing and one for reading."""
    known = tmp_path / "known"
    known.write_text(f"write {'w' * 32}\nread {'r' * 32}\n")
    known.chmod(0o600)
    app = create_datastorage(f"sqlite:///{tmp_path / 'guarded.db'}", token_file=known).app
    with LiveServer(app, name="DataStorage", lifespan="on") as server:
        yield server.url


@pytest.fixture
def guarded_config(config_file, guarded, spool, tmp_path):
    """Write a configuration whose token file holds a token."""

    def write(token):
        path = tmp_path / "token"
        path.write_text(token)
        audit = {"datastorage_url": guarded, "spool_directory": str(spool), "token_file": str(path)}
        return config_file(audit=audit)

    return write


def test_service_delivers_with_a_token_that_is_good_for_writing_alone(guarded_config, guarded):
    with running("serve", "--config", guarded_config("w" * 32), until="gateway on") as (process, line):
        name = send_alert(URL.search(line)[0])
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (0, "")
    client = DataStorageClient(guarded, token="r" * 32)
    AuditTrail(client, barrier=None).one("gateway.crd.created", correlation_id=name)
    client.close()


@pytest.mark.parametrize(
    ("token", "expected"),
    [("r" * 32, "lacks the scope 'write'"), ("x" * 32, "refuses the token"), ("", "(from audit.token_file) is empty")],
)
def test_service_refuses_a_token_that_is_not_good_for_writing(guarded_config, token, expected):
    errors = one_line_mistake(run("serve", "--config", guarded_config(token)))

    assert expected in errors
    assert not token or token not in errors


def test_service_refuses_a_wrong_configuration_and_lists_every_mistake(config_file):
    path = config_file(procesing={}, audit={})

    result = run("serve", "--config", path)

    errors = result.stderr
    assert (result.returncode, result.stdout, "Traceback" in errors) == (2, "", False)
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
        _, errors = process.communicate(timeout=60)
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

    assert expected in errors


def test_unknown_correlation_id_is_an_error_that_names_it(datastorage):
    errors = one_line_mistake(run("audit", "show", "rr-nobody", "--datastorage", datastorage.url))

    assert "'rr-nobody'" in errors


def test_nothing_heavy_is_imported_before_a_command_runs():
    heavy = {"asyncio", "httpx", "lightkube", "orjson", "prometheus_client", "pydantic", "rich", "starlette", "uvicorn"}
    program = "import signal_gateway.cli, sys; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert heavy.isdisjoint(loaded.stdout.split())


def test_harness_example_runs_without_pytest():
    example = Path(__file__).parents[2] / "examples" / "harness" / "harness.py"

    result = subprocess.run(
        [sys.executable, "-W", "error", example], capture_output=True, text=True, timeout=60, check=False
    )

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("gateway.crd.created") == 2
    assert "delivered 4 of 4 events" in result.stdout
