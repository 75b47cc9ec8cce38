"""What `signal-gateway serve` logs: a line for each record, and nothing else on stderr."""

import json
import signal

import httpx
from tests.support.command_line import PATH, URL, run, running, send_alert

REQUEST, CREATION = "signal_gateway.gateway.http.admission", "signal_gateway.gateway.remediation.creation"


def serve_one_alert(path):
    """Serve, take an alert, end; return its RemediationRequest's name and all that was written to stderr."""
    with running("serve", "--config", path, until="gateway on") as (process, line):
        url = URL.search(line)[0]
        name = send_alert(url)
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    return name, errors


def test_logs_are_an_object_a_line_and_tell_which_request_made_what(config_file):
    name, errors = serve_one_alert(config_file(logging={"level": "info"}))

    entries = [json.loads(line) for line in errors.splitlines()]
    [request] = [entry for entry in entries if entry["logger"] == REQUEST]
    [creation] = [entry for entry in entries if entry["logger"] == CREATION]
    assert (request["method"], request["path"], request["status"]) == ("POST", PATH, 201)
    assert (creation["correlation_id"], creation["request_id"]) == (name, request["request_id"])
    assert {entry["level"] for entry in entries} == {"info"}


def test_logs_for_a_console_are_lines_for_people(config_file):
    name, errors = serve_one_alert(config_file(logging={"format": "console"}))

    [creation] = [line for line in errors.splitlines() if CREATION in line]
    assert f"[info     ] RemediationRequest kubernaut-system/{name} was created" in creation
    assert f"correlation_id={name}" in creation


def test_requests_have_no_lines_where_only_warnings_are_logged(config_file):
    _, errors = serve_one_alert(config_file(logging={"level": "warning"}))

    assert errors == ""


def test_warning_of_the_start_is_an_object_too(config_file, datastorage):
    datastorage.stop()
    with running("serve", "--config", config_file(), until="audit events wait", stream="stderr") as (_, line):
        entry = json.loads(line)

    assert (entry["level"], entry["logger"]) == ("warning", "signal_gateway.gateway.service.process")
    assert datastorage.url in entry["event"]


def test_format_that_there_is_not_is_refused(config_file):
    errors = run("config", "check", config_file(logging={"format": "xml"})).stderr

    assert "logging.format = 'xml'" in errors
    assert "'json' or 'console'" in errors
