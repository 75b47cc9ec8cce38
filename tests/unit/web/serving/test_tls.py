"""TLS of a server: which files are refused, and how connections end."""

import asyncio
import logging
import ssl

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.support.certificates import make_certificate

from signal_gateway.errors import ConfigurationError
from signal_gateway.web.serving.app_server import AppServer
from signal_gateway.web.serving.sockets import bind
from signal_gateway.web.serving.tls import server_tls


@pytest.fixture
def made(tmp_path):
    return make_certificate(tmp_path)


@pytest.fixture
def serving(made):
    """Return a server that speaks TLS and tells the scheme that a request came by."""

    def serving(*routes, grace=60.0):
        tls = server_tls(*made, prefix="server.tls.")
        app = Starlette(routes=[Route("/", scheme), *routes])
        return AppServer(app, sock=bind(), tls=tls, grace=grace)

    return serving


async def scheme(request):
    return PlainTextResponse(request.url.scheme)


def refusal(certificate, key):
    with pytest.raises(ConfigurationError) as refused:
        server_tls(certificate, key, prefix="server.tls.")
    return str(refused.value)


async def connect(server, made):
    """Open a TLS connection that is read only when its test reads it."""
    host, port = server.url.removeprefix("https://").split(":")
    return await asyncio.open_connection(host, int(port), ssl=made.trusted, server_hostname=host)


@pytest.mark.parametrize("which", ["certificate", "key"])
def test_file_that_is_missing_is_named_with_its_setting(made, which):
    path = getattr(made, which)
    path.unlink()

    assert refusal(*made) == f"server.tls.{which}: {path} can't be read: No such file or directory"


def test_file_that_is_a_directory_is_refused(made, tmp_path):
    assert refusal(made.certificate, tmp_path) == f"server.tls.key: {tmp_path} can't be read: Is a directory"


@pytest.mark.parametrize("content", [b"", b"no PEM at all", b"\xff\x00"])
def test_file_that_holds_something_else_is_refused(made, content):
    other = made.key.with_name("other.pem")
    other.write_bytes(content)

    assert f"server.tls.certificate: {other} holds no certificate as PEM" in refusal(other, made.key)
    assert f"server.tls.key: {other} holds no private key as PEM" in refusal(made.certificate, other)


def test_files_that_were_mixed_up_are_refused(made):
    assert f"{made.key} holds no certificate as PEM" in refusal(made.key, made.certificate)


def test_key_of_another_certificate_is_refused(made, tmp_path):
    another = make_certificate(tmp_path, "another")

    message = refusal(made.certificate, another.key)

    assert message == f"server.tls.key: {another.key} is not the key of the first certificate in {made.certificate}"


def test_key_that_is_encrypted_is_refused_and_nobody_is_asked_for_the_passphrase(tmp_path):
    encrypted = make_certificate(tmp_path, passphrase=b"hunter2")

    assert f"server.tls.key: {encrypted.key} is encrypted" in refusal(*encrypted)


@pytest.mark.asyncio
async def test_server_with_a_certificate_is_spoken_to_by_https_alone(serving, made):
    server = serving()
    await server.start()

    async with httpx.AsyncClient(verify=made.trusted, trust_env=False) as client:
        response = await client.get(server.url)
        with pytest.raises(httpx.TransportError):
            await client.get(server.url.replace("https://", "http://"))
    await server.stop()

    assert server.url.startswith("https://127.0.0.1:")
    assert response.text == "https"


@pytest.mark.asyncio
async def test_tls_is_1_2_or_newer(serving, made):
    least = made.trusted
    least.maximum_version = ssl.TLSVersion.TLSv1_2
    server = serving()
    await server.start()

    async with httpx.AsyncClient(verify=least, trust_env=False) as client:
        assert (await client.get(server.url)).text == "https"
    await server.stop()

    assert server_tls(*made, prefix="server.tls.").minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.asyncio
async def test_client_that_does_not_answer_the_end_of_its_idle_connection_does_not_hold_the_stop(serving, made, caplog):
    server = serving(grace=3600)
    await server.start()
    reader, writer = await connect(server, made)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\nhttps")
    writer.transport.pause_reading()

    async with asyncio.timeout(20):
        await server.stop()

    assert server.open_connections == 0
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    writer.transport.abort()


@pytest.mark.asyncio
async def test_client_that_never_shakes_hands_does_not_hold_the_stop(serving, caplog):
    server = serving(grace=3600)
    await server.start()
    host, port = server.url.removeprefix("https://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))

    async with asyncio.timeout(20):
        await server.stop()

    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    writer.close()
    await writer.wait_closed()


@pytest.mark.asyncio
async def test_answer_in_flight_reaches_a_client_that_reads_it_long_after_the_stop_has_begun(
    serving, made, monkeypatch
):
    monkeypatch.setattr("signal_gateway.web.serving.app_server._TLS_CLOSE_TIMEOUT", 0.0)
    has_begun, may_answer = asyncio.Event(), asyncio.Event()
    content = "x" * 16 * 1024 * 1024

    async def slow(_request):
        has_begun.set()
        await may_answer.wait()
        return PlainTextResponse(content)

    server = serving(Route("/slow", slow), grace=3600)
    await server.start()
    reader, writer = await connect(server, made)
    writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    await has_begun.wait()
    writer.transport.pause_reading()
    stop = asyncio.create_task(server.stop())
    may_answer.set()
    await server.wait_until_idle()
    for _ in range(100):
        await asyncio.sleep(0)  # the server's turn

    writer.transport.resume_reading()
    async with asyncio.timeout(20):
        answer = await reader.read()
        await stop
    writer.close()

    assert answer.endswith(b"\r\n\r\n" + content.encode())
