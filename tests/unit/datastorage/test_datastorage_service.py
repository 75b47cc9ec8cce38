"""The service: where it listens, for whom, and how it ends."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from signal_gateway.datastorage.service import run_datastorage
from signal_gateway.errors import ConfigurationError, DataStorageError

TOKEN = "operator-" * 5


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


IPV6 = pytest.mark.skipif(not has_ipv6(), reason="needs IPv6: this machine has no ::1")


@pytest.fixture
def token_file(write_tokens: Callable[[str], Path]) -> Path:
    return write_tokens(f"read,write {TOKEN}\n")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Awaitable[int]]:
    """Run the service with these arguments and SIGTERM it as soon as it has answered; gives the answer's status."""

    async def run(listen: str, **settings: Any) -> int:
        started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        plain: dict[str, Any] = {"token_file": None, "allow_anonymous": False, "purge_interval": None}
        running = asyncio.create_task(
            run_datastorage(
                f"sqlite:///{tmp_path}/audit.db", listen=listen, on_start=started.set_result, **(plain | settings)
            )
        )
        running.add_done_callback(lambda _: started.cancel())
        try:
            url = await started
        except asyncio.CancelledError:
            await running
            raise
        url = url.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
        async with httpx.AsyncClient() as client:
            status = (await client.get(f"{url}/api/v1/audit/events")).status_code
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await running
        return status

    return run


@pytest.mark.asyncio
@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.8.9.1:0", "localhost:0", pytest.param("[::1]:0", marks=IPV6)])
async def test_loopback_needs_no_tokens_and_sigterm_ends_it(run: Callable[..., Awaitable[int]], listen: str) -> None:
    assert await run(listen) == 200


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "listen",
    ["0.0.0.0:0", "0:0", pytest.param("[::]:0", marks=IPV6), pytest.param("[::ffff:0.0.0.0]:0", marks=IPV6)],
)
async def test_beyond_loopback_it_refuses_to_be_open_to_everybody(
    run: Callable[..., Awaitable[int]], listen: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"--token-file FILE.*127\.0\.0\.1.*--allow-anonymous"):
        await run(listen)


@pytest.mark.asyncio
async def test_address_of_this_machine_is_not_loopback(run: Callable[..., Awaitable[int]]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: the system only chooses the address it would send from
        except OSError:
            pytest.skip("needs a network interface beside loopback: this machine has none")
        address = probe.getsockname()[0]

    with pytest.raises(ConfigurationError, match="can be reached from other machines"):
        await run(f"{address}:0")


@pytest.mark.asyncio
async def test_beyond_loopback_tokens_guard_it(run: Callable[..., Awaitable[int]], token_file: Path) -> None:
    assert await run("0.0.0.0:0", token_file=token_file) == 401


@pytest.mark.asyncio
async def test_beyond_loopback_it_can_be_open_if_that_is_said(run: Callable[..., Awaitable[int]]) -> None:
    assert await run("0.0.0.0:0", allow_anonymous=True) == 200


@pytest.mark.asyncio
async def test_tokens_guard_loopback_too(run: Callable[..., Awaitable[int]], token_file: Path) -> None:
    assert await run("127.0.0.1:0", token_file=token_file, purge_interval=3600.0) == 401


@pytest.mark.asyncio
async def test_tokens_and_anonymous_access_contradict_each_other(
    run: Callable[..., Awaitable[int]], token_file: Path
) -> None:
    with pytest.raises(ConfigurationError, match="choose one"):
        await run("127.0.0.1:0", token_file=token_file, allow_anonymous=True)


@pytest.mark.asyncio
async def test_bad_token_file_is_an_error_at_the_start(run: Callable[..., Awaitable[int]], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="token file"):
        await run("127.0.0.1:0", token_file=tmp_path / "nowhere")


@pytest.mark.asyncio
async def test_database_that_cannot_be_used_ends_it(run: Callable[..., Awaitable[int]], tmp_path: Path) -> None:
    (tmp_path / "audit.db").write_text("this is no database, and long enough to be told from one" * 100)

    with pytest.raises(DataStorageError):
        await run("127.0.0.1:0")
