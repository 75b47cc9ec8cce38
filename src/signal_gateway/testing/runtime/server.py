"""LiveServer: any ASGI app on a real socket of its own, for the length of a test."""

import asyncio
import contextvars
import socket
import threading
import weakref
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Literal, Self

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from signal_gateway._idle import IDLE_SECONDS
from signal_gateway._tls import tls_for_plain_http
from signal_gateway.errors import HarnessError
from signal_gateway.testing.runtime.cleanup import run_all
from signal_gateway.testing.runtime.exchanges import Exchange, ExchangeLog
from signal_gateway.testing.runtime.loops import SERVERS, LoopThread
from signal_gateway.web.serving.app_server import AppServer, OpenStreams
from signal_gateway.web.serving.sockets import bind, url_of

__all__ = ["LiveServer"]

CLIENT_TIMEOUT = 30.0

_owner: contextvars.ContextVar["weakref.WeakSet[asyncio.Task[Any]]"] = contextvars.ContextVar("owner of new tasks")


class LiveServer:
    """An ASGI app on a loopback socket, on a loop that all harness servers share.

    Use it as a context manager, or call `start` and `stop`. The URL is known before the start. It can be started
    once.

    Args:
        app: Any ASGI application.
        name: What to call it in errors.
        sock: A listening socket to serve on; by default one on a free loopback port.
        loop: The loop thread to run on.
        lifespan: `on` if the application must have a lifespan, `auto` if it may.
        websockets: Whether websocket upgrades are served.
        startup_timeout: Seconds that the application's start-up may take.
        stop_grace: Seconds that open requests may go on after the stop.
        streams: The responses that the application holds open; ended on the loop before the server drains.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        name: str = "server",
        sock: socket.socket | None = None,
        loop: LoopThread = SERVERS,
        lifespan: Literal["on", "auto"] = "auto",
        websockets: bool = False,
        startup_timeout: float = 10.0,
        stop_grace: float = 2.0,
        streams: OpenStreams | None = None,
    ) -> None:
        self.app = app
        self._exchanges = ExchangeLog(app)
        self._sock = sock or bind()
        self.url = url_of(self._sock)
        self._name = f"{name} at {self.url}"
        self._loop = loop
        self._startup_timeout = startup_timeout
        self._stop_grace = stop_grace
        self._answered = threading.Condition()
        self._server = AppServer(
            self._answer,
            sock=self._sock,
            lifespan=lifespan,
            websockets=websockets,
            grace=stop_grace,
            streams=streams,
        )
        self._state: Literal["new", "running", "stopped"] = "new"
        self._client: httpx.Client | None = None
        self._async_client: httpx.AsyncClient | None = None
        self._tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    def start(self) -> None:
        """Start serving; returns when requests are answered.

        Raises:
            Exception: The application's own, if its start-up failed.
            HarnessError: It took longer than the start-up timeout, or was started before.
        """
        if self._state != "new":
            raise HarnessError(f"{self._name} was started before: make a new one")
        self._state = "stopped"
        self._loop.acquire()
        try:
            self._loop.call(self._start(), timeout=self._startup_timeout, doing=f"the start of the {self._name}")
        except BaseException:
            self._sock.close()
            self._loop.release()
            raise
        self._state = "running"

    def stop(self) -> None:
        """Stop serving: close the clients, drain, shut down, check that nothing is left. Does nothing twice.

        Raises:
            HarnessError: A step failed or something was left; the other steps ran all the same.
        """
        if self._state != "running":
            self._sock.close()
            return
        self._state = "stopped"
        run_all(
            self._name,
            self._close_client,
            lambda: self._loop.call(
                self._stop(), timeout=4 * self._stop_grace + 1, doing=f"the stop of the {self._name}"
            ),
            self._loop.release,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def client(self) -> httpx.Client:
        """A ready client for this server; closed with it. Relative URLs are enough."""
        if self._client is None:
            self._client = httpx.Client(
                base_url=self.url,
                verify=tls_for_plain_http(),
                trust_env=False,
                timeout=CLIENT_TIMEOUT,
                limits=httpx.Limits(max_connections=100, keepalive_expiry=IDLE_SECONDS),
            )
        return self._client

    @property
    def async_client(self) -> httpx.AsyncClient:
        """A ready client for tests on any loop.

        It keeps no idle connections: one kept from a loop that has ended would fail the next test.
        """
        if self._async_client is None:
            self._async_client = httpx.AsyncClient(
                base_url=self.url,
                verify=tls_for_plain_http(),
                trust_env=False,
                timeout=CLIENT_TIMEOUT,
                limits=httpx.Limits(max_keepalive_connections=0),
            )
        return self._async_client

    def is_idle(self, timeout: float) -> None:
        """Return as soon as no request is being answered.

        Args:
            timeout: Seconds to wait at the most.

        Raises:
            HarnessError: A request was still open then.
        """
        self.call(self.idle(), timeout=timeout, doing=f"waiting for open requests of the {self._name}")

    @property
    def exchanges(self) -> list[Exchange]:
        """The last requests and their answers, oldest first."""
        return self._exchanges.recent

    async def idle(self) -> None:
        """Return as soon as no request is being answered; runs on the server's loop."""
        await self._server.wait_until_idle()

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> None:
        """Wait until a condition holds; it is looked at now and after each request that was answered.

        Args:
            condition: Called without arguments, on this thread.
            timeout: Seconds to wait at the most.

        Raises:
            HarnessError: It still did not hold then.
        """
        with self._answered:
            if not self._answered.wait_for(condition, timeout):
                raise HarnessError(f"the condition still did not hold {timeout} s later, at the {self._name}")

    def call(self, coroutine: Coroutine[Any, Any, Any], *, timeout: float, doing: str) -> Any:
        """Run a coroutine on the server's loop and wait for its result."""
        return self._loop.call(coroutine, timeout=timeout, doing=doing)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._exchanges(scope, receive, send)
        finally:
            if scope["type"] == "http":
                with self._answered:
                    self._answered.notify_all()

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.get_task_factory() is None:
            loop.set_task_factory(_remember_task)
        _owner.set(self._tasks)  # inherited by every task that serving this application makes
        await self._server.start()

    def _close_client(self) -> None:
        if self._client is not None:
            self._client.close()

    async def _stop(self) -> None:
        try:
            if self._async_client is not None:
                await self._async_client.aclose()
            await self._server.stop()
        finally:
            await self._check_left()

    async def _check_left(self) -> None:
        open_tasks = {task for task in self._tasks if not task.done()} - {asyncio.current_task()}
        if open_tasks:
            _, open_tasks = await asyncio.wait(open_tasks, timeout=self._stop_grace)
        left = [f"task {task.get_name()} ({task.get_coro()})" for task in open_tasks]
        for task in open_tasks:
            task.cancel()
        if self._server.open_connections:
            left.append(f"{self._server.open_connections} connections")
        if self._sock.fileno() != -1:
            left.append("its listening socket")
        if left:
            raise HarnessError(f"it left behind: {', '.join(left)}")


def _remember_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
    context = options.get("context")
    owner = _owner.get(None) if context is None else context.get(_owner)
    if owner is not None:
        owner.add(task)
    return task
