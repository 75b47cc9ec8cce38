"""`signal-gateway serve` in a process of its own: its listeners, and how it ends."""

import json
import os
import re
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest
from tests.support.command_line import PATH, URL, one_line_mistake, run, running, running_until_it_asks, send_alert

from signal_gateway.audit.wal.inspect import inspect_spool
from signal_gateway.testing import alert, alertmanager_webhook


def get(url):
    return httpx.get(url, trust_env=False)


def line_with(text, stream):
    """Read on until a line has a text in it."""
    line = next((line for line in stream if text in line), None)
    assert line is not None, f"the process ended without saying {text!r}"
    return line


def begin_request(url, body):
    """Send the head of a request with signals; return the connection when the gateway waits for the body."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    head = f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    connection.sendall(f"{head}Expect: 100-continue\r\nConnection: close\r\n\r\n".encode())
    assert b"100 Continue" in connection.recv(1000)
    return connection


def test_health_and_metrics_have_a_listener_of_their_own_if_that_is_said(config_file):
    path = config_file(management={"listen": "127.0.0.1:0"})
    with running("serve", "--config", path, until="gateway on") as (_, line):
        signals, management = URL.findall(line)
        send_alert(signals)

        there = [get(f"{management}{path}").status_code for path in ("/healthz", "/readyz", "/metrics")]
        here = [get(f"{signals}{path}").status_code for path in ("/healthz", "/readyz", "/metrics")]
        metrics = get(f"{management}/metrics").text

    assert (there, here) == ([200, 200, 200], [404, 404, 404])
    assert 'gateway_crds_created_total{source_type="prometheus",status="created"} 1.0' in metrics
    assert "audit_events_recorded_total 2.0" in metrics


def test_service_refuses_a_management_port_that_is_taken(config_file, datastorage):
    taken = datastorage.url.removeprefix("http://")

    assert taken in one_line_mistake(run("serve", "--config", config_file(management={"listen": taken})))


def test_service_that_requires_a_datastorage_does_not_start_without_one(config_file, datastorage, spool):
    audit = {"datastorage_url": datastorage.url, "spool_directory": str(spool), "required": True}
    path = config_file(audit=audit)
    with running("serve", "--config", path, until="gateway on"):
        pass
    datastorage.stop()

    errors = one_line_mistake(run("serve", "--config", path))

    assert f"no DataStorage at {datastorage.url} (from audit.datastorage_url)" in errors
    assert "audit.required" in errors


def test_datastorage_that_is_down_is_shown_by_readiness_and_metrics_of_a_service_that_is_ready(
    config_file, datastorage
):
    datastorage.stop()
    with running("serve", "--config", config_file(), until="gateway on") as (_, line):
        url = URL.search(line)[0]
        send_alert(url)
        ready, metrics = get(f"{url}/readyz"), get(f"{url}/metrics").text.splitlines()

    assert ready.status_code == 200
    assert ready.json()["checks"]["datastorage"].startswith("2 events wait for delivery")
    assert "audit_events_pending 2.0" in metrics


def test_service_takes_signals_in_its_drain_delay_and_a_second_sigterm_ends_it_at_once(
    config_file, datastorage, spool, trail
):
    path = config_file(server={"listen": "127.0.0.1:0", "drain_delay": 600}, logging={"level": "info"})
    datastorage.stop()
    with running("serve", "--config", path, until="gateway on") as (process, line):
        url = URL.search(line)[0]
        process.send_signal(signal.SIGTERM)
        line_with("shutting down", process.stderr)
        ready = get(f"{url}/readyz")
        name = send_alert(url)
        process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=60)
    datastorage.start()

    assert ready.status_code == 503
    assert ready.json()["checks"] == {"gateway": "The gateway is shutting down."}
    assert status == 128 + signal.SIGTERM
    assert inspect_spool(spool).pending(alive=False) == 2
    assert run("audit", "spool", "deliver", spool, "--datastorage", datastorage.url).returncode == 0
    trail.sequence("gateway.signal.received", "gateway.crd.created", correlation_id=name)


def test_service_stops_accepting_finishes_what_is_in_flight_delivers_it_and_exits_with_0(config_file, spool, trail):
    body = json.dumps(alertmanager_webhook(alert("X", namespace="prod", deployment="api"))).encode()
    path = config_file(management={"listen": "127.0.0.1:0"}, logging={"level": "info"})
    with running("serve", "--config", path, until="gateway on") as (process, line):
        signals, management = URL.findall(line)
        with begin_request(signals, body) as connection:
            process.send_signal(signal.SIGTERM)
            line_with("no requests are accepted any more", process.stderr)
            ready = get(f"{management}/readyz")
            with pytest.raises(httpx.ConnectError):
                get(signals)
            connection.sendall(body)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        line_with("no request is in flight any more", process.stderr)
        process.communicate(timeout=60)

    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201 ")
    assert ready.status_code == 503
    assert process.returncode == 0
    trail.sequence(
        "gateway.signal.received", "gateway.crd.created", correlation_id=json.loads(content)["remediationRequestName"]
    )
    assert list(spool.iterdir()) == []


def test_drain_delay_ends_by_itself(config_file):
    path = config_file(server={"listen": "127.0.0.1:0", "drain_delay": 0.01}, logging={"level": "info"})
    with running("serve", "--config", path, until="gateway on") as (process, _):
        process.send_signal(signal.SIGTERM)
        line_with("signals are accepted for another 0.01 s", process.stderr)
        line_with("no requests are accepted any more", process.stderr)
        process.communicate(timeout=60)

    assert process.returncode == 0


def test_sigterm_ends_a_service_that_still_waits_for_the_kubernetes_api(config_file, cluster, tmp_path, spool):
    silent = socket.create_server(("127.0.0.1", 0))
    kubeconfig = tmp_path / "silent.yaml"
    address = f"http://127.0.0.1:{silent.getsockname()[1]}"
    kubeconfig.write_text(cluster.kubeconfig.read_text().replace(cluster.url, address))
    path = config_file(kubernetes={"kubeconfig": str(kubeconfig)}, management={"listen": "127.0.0.1:0"})

    with silent, running_until_it_asks("serve", "--config", path, of=silent) as process:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)

    assert (process.returncode, output) == (0, "")
    assert list(spool.iterdir()) == []


def test_service_lets_in_only_senders_whose_token_is_in_the_file(config_file, tmp_path):
    token = "a-token-that-nobody-guesses-0123456789"
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{token} alertmanager\n")
    tokens.chmod(0o600)
    path = config_file(server={"listen": "0.0.0.0:0"}, auth={"mode": "token", "token_file": str(tokens)})
    webhook = alertmanager_webhook(alert("X", namespace="prod", deployment="api"))

    with running("serve", "--config", path, until="gateway on") as (_, line):
        port = re.search(r":(\d+)", line.partition("http://")[2])[1]
        url = f"http://127.0.0.1:{port}{PATH}"
        without = httpx.post(url, json=webhook, trust_env=False)
        known = httpx.post(url, json=webhook, headers={"Authorization": f"Bearer {token}"}, trust_env=False)

    assert [without.status_code, known.status_code] == [401, 201]


def test_service_does_not_listen_beyond_loopback_before_it_is_said_who_may_send(config_file):
    result = run("serve", "--config", config_file(server={"listen": "0.0.0.0:0"}))

    assert result.returncode == 2
    assert "auth.mode must be set" in result.stderr


def test_source_of_ones_own_is_served_when_the_configuration_names_it(config_file, monkeypatch):
    folder = Path(__file__).parents[2] / "examples/custom_source"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
    event = {
        "rule": "Terminal shell in container",
        "priority": "Critical",
        "time": "2026-01-31T12:00:00Z",
        "output_fields": {"k8s.ns.name": "prod", "k8s.pod.name": "falco-0"},
    }
    with running("serve", "--config", config_file(adapters=["falco:FalcoAdapter"]), until="gateway on") as (_, line):
        response = httpx.post(f"{URL.search(line)[0]}/api/v1/signals/falco", json=event, trust_env=False)

    assert response.status_code == 201
