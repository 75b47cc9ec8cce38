"""DataStorage over TLS: a CA of one's own, certificates of clients, and files that change while both sides run."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from tests.support.certificates import Certificate, make_certificate

from signal_gateway.audit import AuditEvent, DataStorageClient
from signal_gateway.audit.client.tls import TlsFiles
from signal_gateway.audit.client.token import ClientToken
from signal_gateway.audit.errors import DataStorageUnavailable, TokenRefused
from signal_gateway.errors import ConfigurationError

pytestmark = pytest.mark.slow

Serve = Callable[..., str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Run `signal-gateway datastorage`; returns its URL."""
    with ExitStack() as stack:

        def start(*options: object) -> str:
            command = [sys.executable, "-m", "signal_gateway", "datastorage", "--listen", "127.0.0.1:0"]
            process = stack.enter_context(
                subprocess.Popen(
                    [*command, "--database", f"sqlite:///{tmp_path}/a.db", *map(str, options)],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )
            stack.callback(process.terminate)
            assert process.stdout is not None
            return process.stdout.readline().split()[2].rstrip(",")

        yield start


def event() -> bytes:
    made = AuditEvent(
        event_type="t.x",
        event_category="t",
        event_action="a",
        event_outcome="success",
        correlation_id="c",
        event_data={"event_type": "t.x"},
    )
    return b"[" + made.to_wire() + b"]"


def delivers(client: DataStorageClient) -> bool:
    return type(client.deliver(event(), 1)).__name__ == "BatchAccepted"


def replace(old: Certificate, new: Certificate) -> None:
    """Replace the files of a certificate as Kubernetes does: each appears whole."""
    for to, source in zip(old, new, strict=True):
        copy = to.with_suffix(".new")
        shutil.copy(source, copy)
        copy.replace(to)


def test_client_trusts_the_ca_file_alone(serve: Serve, tmp_path: Path) -> None:
    server, other = make_certificate(tmp_path, "server"), make_certificate(tmp_path, "other")
    url = serve("--tls-certificate", server.certificate, "--tls-key", server.key)

    assert url.startswith("https://")
    with (
        closing(DataStorageClient(url, tls=TlsFiles(ca_file=server.certificate))) as trusting,
        closing(DataStorageClient(url, tls=TlsFiles(ca_file=other.certificate))) as distrusting,
        closing(DataStorageClient(url)) as plain,
    ):
        assert delivers(trusting)
        assert trusting.query().total == 1
        for client in (distrusting, plain):
            with pytest.raises(DataStorageUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
                client.check()


def test_client_trusts_ssl_cert_file(serve: Serve, tmp_path: Path) -> None:
    server = make_certificate(tmp_path, "server")
    url = serve("--tls-certificate", server.certificate, "--tls-key", server.key)

    done = subprocess.run(
        [sys.executable, "-m", "signal_gateway", "audit", "list", "--datastorage", url],
        env=os.environ | {"SSL_CERT_FILE": str(server.certificate)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_server_takes_clients_with_a_certificate_of_its_ca_alone(serve: Serve, tmp_path: Path) -> None:
    server, mine, other = (make_certificate(tmp_path, name) for name in ("server", "client", "other"))
    url = serve("--tls-certificate", server.certificate, "--tls-key", server.key, "--client-ca", mine.certificate)

    for files, is_taken in [
        (TlsFiles(server.certificate, mine.certificate, mine.key), True),
        (TlsFiles(server.certificate, other.certificate, other.key), False),
        (TlsFiles(server.certificate), False),
    ]:
        with closing(DataStorageClient(url, tls=files)) as client:
            assert delivers(client) is is_taken


def test_certificates_and_ca_of_both_sides_change_without_a_restart(serve: Serve, tmp_path: Path) -> None:
    server, client = make_certificate(tmp_path, "server"), make_certificate(tmp_path, "client")
    ca_file, client_ca = tmp_path / "ca.crt", tmp_path / "client-ca.crt"
    shutil.copy(server.certificate, ca_file)
    shutil.copy(client.certificate, client_ca)
    url = serve("--tls-certificate", server.certificate, "--tls-key", server.key, "--client-ca", client_ca)
    (tmp_path / "new").mkdir()
    new_server, new_client = (make_certificate(tmp_path / "new", name) for name in ("server", "client"))

    with closing(DataStorageClient(url, tls=TlsFiles(ca_file, client.certificate, client.key))) as running:
        assert delivers(running)

        replace(server, new_server)
        running.close()
        assert not delivers(running)  # it does not trust the new one yet
        shutil.copy(new_server.certificate, ca_file)
        assert delivers(running)

        shutil.copy(new_client.certificate, client_ca)
        running.close()
        assert not delivers(running)
        replace(client, new_client)
        running.close()
        assert delivers(running)


def test_half_written_certificate_leaves_the_one_before_in_use(serve: Serve, tmp_path: Path) -> None:
    server = make_certificate(tmp_path, "server")
    ca_file = tmp_path / "ca.crt"
    shutil.copy(server.certificate, ca_file)
    url = serve("--tls-certificate", server.certificate, "--tls-key", server.key)

    with closing(DataStorageClient(url, tls=TlsFiles(ca_file))) as client:
        server.certificate.write_text("-----BEGIN CERTIFICATE-----\nMII")
        ca_file.write_text("")

        assert delivers(client)


def test_rotated_token_is_sent_with_the_next_call(serve: Serve, tmp_path: Path) -> None:
    tokens, mine = tmp_path / "tokens", tmp_path / "token"
    tokens.touch(mode=0o600)
    tokens.write_text(f"read,write {'a' * 32}\n")
    mine.write_text("a" * 32)
    url = serve("--token-file", tokens)

    with closing(DataStorageClient(url, token=ClientToken(mine, source="test"))) as client:
        assert delivers(client)
        tokens.write_text(f"read,write {'b' * 32}\n")
        with pytest.raises(TokenRefused):
            client.check()
        mine.write_text("b" * 32)
        assert delivers(client)
        mine.write_text("")
        assert delivers(client)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--tls-certificate", "server.crt"], "--tls-certificate and --tls-key belong together"),
        (["--client-ca", "server.crt"], "--client-ca needs HTTPS"),
        (["--tls-certificate", "server.crt", "--tls-key", "missing"], "--tls-key: missing can't be read"),
        (["--tls-certificate", "server.crt", "--tls-key", "server.key", "--client-ca", "server.key"], "--client-ca"),
    ],
)
def test_files_that_do_not_fit_are_refused_at_the_start(tmp_path: Path, options: list[str], problem: str) -> None:
    make_certificate(tmp_path, "server")
    command = [sys.executable, "-m", "signal_gateway", "datastorage", "--database", "sqlite:///a.db", *options]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert problem in done.stderr


def test_client_refuses_files_that_are_not_valid(tmp_path: Path) -> None:
    made, other = make_certificate(tmp_path), make_certificate(tmp_path, "other")
    secret = make_certificate(tmp_path, "secret", passphrase=b"x")
    for files in [
        TlsFiles(ca_file=tmp_path / "missing"),
        TlsFiles(ca_file=made.key),
        TlsFiles(certificate=made.certificate, key=other.key),
        TlsFiles(certificate=secret.certificate, key=secret.key),
    ]:
        with pytest.raises(ConfigurationError, match="TLS file for DataStorage"):
            DataStorageClient("https://127.0.0.1:1", tls=files)
