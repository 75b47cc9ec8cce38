"""`signal-gateway serve` with a certificate, and with files that are none."""

import re
import signal
import ssl

import httpx
import pytest
from tests.support.certificates import make_certificate
from tests.support.command_line import PATH, one_line_mistake, run, running

from signal_gateway.testing import alert, alertmanager_webhook

HTTPS_URL = re.compile(r"https://127\.0\.0\.1:\d+")
HTTP_URL = re.compile(r"http://127\.0\.0\.1:\d+")


@pytest.fixture
def made(tmp_path):
    return make_certificate(tmp_path)


@pytest.fixture
def tls_config_file(config_file):
    """Write a configuration with some of the files of TLS."""

    def write(certificate=None, key=None, **changes):
        files = {"certificate": certificate, "key": key}
        tls = {name: str(path) for name, path in files.items() if path is not None}
        return config_file(server={"listen": "127.0.0.1:0", "tls": tls}, **changes)

    return write


def mistakes(path):
    """Insist that neither `config check` nor `serve` takes a configuration, for the same reason; return it."""
    checked, served = run("config", "check", path), run("serve", "--config", path)
    for result in (checked, served):
        assert (result.returncode, result.stdout) == (2, "")
        assert "Traceback" not in result.stderr
    assert checked.stderr == served.stderr
    return checked.stderr


def test_signals_are_taken_by_https_and_health_is_served_by_http_where_it_has_a_listener(tls_config_file, made):
    path = tls_config_file(*made, management={"listen": "127.0.0.1:0"})
    webhook = alertmanager_webhook(alert("X", namespace="prod", deployment="api"))

    with running("serve", "--config", path, until="gateway on") as (process, line):
        url, management = HTTPS_URL.search(line)[0], HTTP_URL.search(line)[0]
        with httpx.Client(verify=made.trusted, trust_env=False) as client:
            created = client.post(f"{url}{PATH}", json=webhook)
            with pytest.raises(httpx.TransportError):
                client.post(f"{url.replace('https', 'http')}{PATH}", json=webhook)
            alive = httpx.get(f"{management}/healthz", trust_env=False)
            process.send_signal(signal.SIGTERM)  # while a connection is open
            process.communicate(timeout=60)

    assert (created.status_code, alive.status_code) == (201, 200)
    assert process.returncode == 0


def test_health_is_served_by_https_beside_signals(tls_config_file, made):
    with (
        running("serve", "--config", tls_config_file(*made), until="gateway on") as (_, line),
        httpx.Client(verify=made.trusted, trust_env=False) as client,
    ):
        assert client.get(f"{HTTPS_URL.search(line)[0]}/readyz").status_code == 200


def test_sender_that_does_not_trust_the_certificate_sends_nothing(tls_config_file, made):
    with (
        running("serve", "--config", tls_config_file(*made), until="gateway on") as (_, line),
        httpx.Client(verify=ssl.create_default_context(), trust_env=False) as client,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.get(f"{HTTPS_URL.search(line)[0]}/readyz")


def test_configuration_with_a_good_certificate_is_fine(tls_config_file, made):
    result = run("config", "check", tls_config_file(*made))

    assert (result.returncode, result.stderr) == (0, "")


def test_certificate_without_a_key_and_key_without_a_certificate_are_refused(tls_config_file, made):
    assert "server.tls.key = None: it is required with server.tls.certificate" in mistakes(
        tls_config_file(certificate=made.certificate)
    )
    assert "has no effect without server.tls.certificate" in mistakes(tls_config_file(key=made.key))


def test_file_that_is_missing_is_refused(tls_config_file, made):
    made.key.unlink()

    assert f"server.tls.key: {made.key} can't be read: No such file" in mistakes(tls_config_file(*made))


def test_file_that_holds_no_key_is_refused(tls_config_file, made):
    made.key.write_text("a secret of another kind")

    message = mistakes(tls_config_file(*made))

    assert f"{made.key} holds no private key as PEM" in message
    assert "a secret of another kind" not in message


def test_key_of_another_certificate_is_refused(tls_config_file, made, tmp_path):
    another = make_certificate(tmp_path, "another")

    path = tls_config_file(certificate=made.certificate, key=another.key)

    assert f"{another.key} is not the key of the first certificate in {made.certificate}" in mistakes(path)


def test_refusal_is_one_line(tls_config_file, made, tmp_path):
    path = tls_config_file(certificate=tmp_path / "nowhere.crt", key=made.key)

    assert "nowhere.crt" in one_line_mistake(run("serve", "--config", path))
