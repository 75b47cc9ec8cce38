import socket

import pytest

from signal_gateway.errors import ConfigurationError
from signal_gateway.web.serving.sockets import bind, parse_listen, reserve_port, url_of


def test_socket_is_listening_before_any_server_has_started():
    with bind() as sock, socket.create_connection(sock.getsockname(), timeout=60):
        assert url_of(sock) == f"http://127.0.0.1:{sock.getsockname()[1]}"


def test_socket_names_its_protocol_so_that_asyncio_sets_nodelay():
    with bind() as sock:
        assert sock.proto == socket.IPPROTO_TCP


def test_taken_port_is_an_error_that_names_it():
    with bind() as sock, pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{sock.getsockname()[1]}.*in use"):
        bind(port=sock.getsockname()[1])


def test_unknown_host_is_an_error_that_names_it():
    with pytest.raises(ConfigurationError, match=r"no-such-host\.invalid:80"):
        bind("no-such-host.invalid", 80)


def test_reserved_port_refuses_connections_until_it_is_listened_on():
    with reserve_port() as reservation:
        address = reservation.getsockname()

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=60)
        with bind(port=address[1], reuse_port=True), socket.create_connection(address, timeout=60):
            pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=60)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1:8080", ("127.0.0.1", 8080)), ("[::1]:0", ("::1", 0)), ("localhost:65535", ("localhost", 65535))],
)
def test_listen_address_is_split(address, expected):
    assert parse_listen(address) == expected


@pytest.mark.parametrize("address", ["8080", ":8080", "host:", "host:http", "host:65536", "host:-1", ""])
def test_wrong_listen_address_is_an_error_that_shows_the_form(address):
    with pytest.raises(ConfigurationError, match=r"host:port, such as 127\.0\.0\.1:8080"):
        parse_listen(address)
