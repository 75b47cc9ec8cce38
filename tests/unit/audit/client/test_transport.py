"""Transport over real sockets, with servers that keep, cut or forge their connections."""

import http.client
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.support.certificates import make_certificate

from signal_gateway.audit.client.transport import ConnectError, ProtocolError, ReadError, ReadTimeout, Transport

DEADLINE = 60.0
RealSocket = socket.socket  # a test patches the name
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class RawServer:
    """Answers each request of a connection with the next bytes; closes the connection when they are used up."""

    def __init__(self, *connections: list[bytes], tls: ssl.SSLContext | None = None, family: int = socket.AF_INET):
        self.requests: list[bytes] = []
        self.ended = threading.Semaphore(0)
        self._connections = connections
        self._tls = tls
        self._listener = socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()
        self._thread.join(DEADLINE)

    def _serve(self) -> None:
        for answers in self._connections:
            sock = RealSocket(fileno=self._listener._accept()[0])  # type: ignore[attr-defined]
            sock.settimeout(DEADLINE)
            try:
                if self._tls is not None:
                    sock = self._tls.wrap_socket(sock, server_side=True)
                for answer in answers:
                    self.requests.append(read_request(sock))
                    sock.sendall(answer)
            except OSError:
                pass  # a client that does not trust the certificate
            finally:
                sock.close()
                self.ended.release()


def read_request(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            while len(body) < int(line.partition(b":")[2]):
                body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


@pytest.fixture
def serve() -> Iterator[Callable[..., RawServer]]:
    servers = []

    def serve(*connections, **settings):
        servers.append(RawServer(*connections, **settings))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


class _Trusting:
    def __init__(self, tls):
        self._tls = tls

    def context(self):
        return self._tls


@contextmanager
def transport_to(url, tls=None):
    transport = Transport(url, tls=None if tls is None else _Trusting(tls))
    try:
        yield transport
    finally:
        transport.close()


def exchange(transport, content=b"", timeout=DEADLINE):
    response = transport.send("POST", "/events?a=b", content=content, headers={"x-from": "test"}, timeout=timeout)
    try:
        return response.status_code, b"".join(response.chunks())
    finally:
        response.close()


def test_request_has_host_length_path_and_headers(serve):
    server = serve([OK])

    with transport_to(f"http://127.0.0.1:{server.port}/behind/") as transport:
        assert exchange(transport, b"[1]") == (200, b"ok")

    head, _, body = server.requests[0].lower().partition(b"\r\n\r\n")
    assert head.startswith(b"post /behind/events?a=b http/1.1\r\n")
    assert {b"host: 127.0.0.1:%d" % server.port, b"content-length: 3", b"x-from: test"} <= set(head.split(b"\r\n"))
    assert body == b"[1]"


def test_connection_is_used_again(serve):
    server = serve([OK, OK, OK])

    with transport_to(f"http://127.0.0.1:{server.port}") as transport:
        assert [exchange(transport) for _ in range(3)] == [(200, b"ok")] * 3


def test_connection_that_the_server_closed_is_replaced(serve):
    server = serve([OK], [OK])

    with transport_to(f"http://127.0.0.1:{server.port}") as transport:
        exchange(transport)
        assert server.ended.acquire(timeout=DEADLINE)

        assert exchange(transport) == (200, b"ok")


def test_large_request_arrives_whole(serve):
    content = bytes(range(256)) * 4096
    server = serve([OK])

    with transport_to(f"http://127.0.0.1:{server.port}") as transport:
        exchange(transport, content)

    assert server.requests[0].endswith(content)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
    ],
)
def test_each_form_of_a_body_is_read(serve, answer):
    server = serve([answer], [OK])

    with transport_to(f"http://127.0.0.1:{server.port}") as transport:
        assert exchange(transport) == (200, b"ok")
        assert server.ended.acquire(timeout=DEADLINE)
        assert exchange(transport) == (200, b"ok")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", ProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok", ProtocolError),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nok", ProtocolError),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", ProtocolError),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 100_000, (ProtocolError, ReadError)),
    ],
)
def test_response_that_is_cut_off_or_is_not_http_is_an_error(serve, answer, error):
    server = serve([answer])

    with transport_to(f"http://127.0.0.1:{server.port}") as transport, pytest.raises(error):
        exchange(transport)


def test_silent_server_is_a_time_out_with_the_seconds():
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        transport_to(f"http://127.0.0.1:{silent.getsockname()[1]}") as transport,
        pytest.raises(ReadTimeout, match=r"after 0\.2 s"),
    ):
        exchange(transport, timeout=0.2)


def test_patches_of_a_test_do_not_reach_the_calls(serve, monkeypatch):
    server = serve([OK])

    def refuse(*_args, **_kwargs):
        raise AssertionError("a patched function was called")

    for name in ("socket", "getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(select, "poll", refuse)
    monkeypatch.setattr(http.client.HTTPConnection, "request", refuse)

    transport = Transport(f"http://localhost:{server.port}", tls=None)
    answer = exchange(transport)
    transport.close()
    monkeypatch.undo()

    assert answer == (200, b"ok")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls_server(serve, certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)
    return serve([OK, OK], tls=context)


def test_https_reuses_its_connection(tls_server, certificate):
    with transport_to(f"https://127.0.0.1:{tls_server.port}", certificate.trusted) as transport:
        assert [exchange(transport, b"x" * 100_000), exchange(transport)] == [(200, b"ok")] * 2


def test_untrusted_certificate_is_a_refused_connection(tls_server):
    with (
        transport_to(f"https://127.0.0.1:{tls_server.port}", ssl.create_default_context()) as transport,
        pytest.raises(ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        exchange(transport)


def test_address_of_ip_version_6_is_called(serve):
    server = serve([OK], family=socket.AF_INET6)

    with transport_to(f"http://[::1]:{server.port}") as transport:
        assert exchange(transport) == (200, b"ok")

    assert b"host: [::1]:%d" % server.port in server.requests[0].lower()


def test_unknown_host_and_refused_connection_are_connect_errors():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", "http://host.invalid:80"):
        with transport_to(url) as transport, pytest.raises(ConnectError):
            exchange(transport)
