"""LiveServer: an ASGI application on a real loopback socket, for the duration of a test."""

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
    """An ASGI application on a loopback socket, on an event loop that the harness servers share.

    Use it as a context manager, or call `start` and `stop`. The URL is known before the start. A server starts once.

    Args:
        app: Any ASGI application.
        name: The name of the server in errors.
        sock: A listening socket; by default one on a free loopback port.
        loop: The loop thread of the server.
        lifespan: `on` if the application must support the lifespan protocol, `auto` if it may.
        websockets: Whether the server accepts WebSocket upgrades.
        startup_timeout: Seconds for the start-up of the application.
        stop_grace: Seconds for open requests after the stop.
        streams: The open streams of the application; the server ends them before it waits for open responses.
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
        self._exchange_ended = threading.Condition()
        self._server = AppServer(
            self._serve,
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
        """Start the server and wait until it accepts requests.

        Raises:
            Exception: The start-up of the application failed with this exception.
            HarnessError: The start-up took longer than its timeout, or the server was started before.
        """
        if self._state != "new":
            raise HarnessError(f"the {self._name} was started before: create a new LiveServer")
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
        """Close the clients, drain, shut down, and check for open tasks and sockets. A second call does nothing.

        Raises:
            HarnessError: A step failed, or a task or socket is still open. The other steps ran.
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
        """A client with this server as its base URL; the server closes it."""
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
        """A client with this server as its base URL, for tests on any loop.

        The client keeps no idle connections: a connection of a closed loop would fail the next test.
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

    @property
    def stopped(self) -> bool:
        """Whether the server ran and was stopped: it has no request in flight."""
        return self._state == "stopped"

    def wait_until_idle(self, timeout: float) -> None:
        """Wait until no request is in flight; return at once after the stop.

        Args:
            timeout: The maximum number of seconds.

        Raises:
            HarnessError: A request was still in flight after the timeout.
        """
        if self.stopped:
            return
        self.call(self.idle(), timeout=timeout, doing=f"waiting for the requests in flight of the {self._name}")

    @property
    def exchanges(self) -> list[Exchange]:
        """The last requests and their responses, oldest first."""
        return self._exchanges.recent

    async def idle(self) -> None:
        """Wait until no request is in flight. Runs on the loop of the server."""
        await self._server.wait_until_idle()

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> None:
        """Wait until a condition is true. It is checked now and after each request.

        Args:
            condition: Called without arguments, on the thread of the caller.
            timeout: The maximum number of seconds.

        Raises:
            HarnessError: The condition was still false after the timeout.
        """
        with self._exchange_ended:
            if not self._exchange_ended.wait_for(condition, timeout):
                raise HarnessError(f"the condition was still false after {timeout} s, at the {self._name}")

    def call(self, coroutine: Coroutine[Any, Any, Any], *, timeout: float, doing: str) -> Any:
        """Run a coroutine on the loop of the server and wait for its result."""
        return self._loop.call(coroutine, timeout=timeout, doing=doing)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._exchanges(scope, receive, send)
        finally:
            if scope["type"] == "http":
                with self._exchange_ended:
                    self._exchange_ended.notify_all()

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.get_task_factory() is None:
            loop.set_task_factory(_remember_task)
        _owner.set(self._tasks)  # every task of this server inherits it
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
            await self._check_closed()

    async def _check_closed(self) -> None:
        open_tasks = {task for task in self._tasks if not task.done()} - {asyncio.current_task()}
        if open_tasks:
            _, open_tasks = await asyncio.wait(open_tasks, timeout=self._stop_grace)
        still_open = [f"task {task.get_name()} ({task.get_coro()})" for task in open_tasks]
        for task in open_tasks:
            task.cancel()
        if self._server.open_connections:
            still_open.append(f"{self._server.open_connections} connections")
        if self._sock.fileno() != -1:
            still_open.append("its listening socket")
        if still_open:
            raise HarnessError(f"still open after the stop: {', '.join(still_open)}")


def _remember_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
    context = options.get("context")
    owner = _owner.get(None) if context is None else context.get(_owner)
    if owner is not None:
        owner.add(task)
    return task
