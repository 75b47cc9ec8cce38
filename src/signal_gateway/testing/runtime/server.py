"""LiveServer: an ASGI application on a real loopback socket, for the duration of a test."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from signal_gateway._idle import IDLE_SECONDS
from signal_gateway._tls import tls_for_plain_http
from signal_gateway.errors import HarnessError
from signal_gateway.testing.runtime.cleanup import run_all
from signal_gateway.testing.runtime.exchanges import Exchange, ExchangeLog
from signal_gateway.testing.runtime.loops import SERVERS, LoopThread
from signal_gateway.testing.runtime.running_loop import RunningLoop
from signal_gateway.testing.runtime.tasks import TaskOwner
from signal_gateway.web.serving.app_server import AppServer, OpenStreams
from signal_gateway.web.serving.sockets import bind, url_of

__all__ = ["STARTUP_TIMEOUT", "STOP_GRACE", "Hosting", "HttpServer", "LiveServer"]

STARTUP_TIMEOUT: Final = 60.0
"""Default seconds for the start-up of a server.

A start takes up to 3 s with its imports, and 10 to 30 s beside twelve busy processes on two processors. A start-up that
fails raises its exception at once, so that only a start-up that hangs takes so long.
"""
STOP_GRACE: Final = 10.0
"""Default seconds for open requests after the stop of a server. An idle server stops at once."""

CLIENT_TIMEOUT = 30.0
_LEAST_STOP_TIMEOUT = 10.0


class HttpServer(Protocol):
    """One application on one listening socket. All coroutines run on the loop of the live server."""

    @property
    def open_connections(self) -> int:
        """The number of open client connections, including idle ones."""
        ...

    async def start(self) -> None:
        """Run the start-up of the application, then accept connections."""
        ...

    async def stop(self) -> None:
        """Stop accepting connections, finish open requests, run the shutdown of the application, close the socket."""
        ...

    async def wait_until_idle(self) -> None:
        """Return as soon as no request is in flight."""
        ...


class Hosting(Protocol):
    """Creates the HTTP server of an application that an `AppServer` cannot serve directly."""

    def server_for(self, app: ASGIApp, *, sock: socket.socket, grace: float) -> HttpServer:
        """Create the server. It is not started.

        Args:
            app: The application, wrapped by the live server: each request passes it.
            sock: The listening socket; the server closes it.
            grace: Seconds for open requests after the stop.
        """
        ...


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
        hosting: Creates the HTTP server. Default: an `AppServer` for the application.
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
        startup_timeout: float = STARTUP_TIMEOUT,
        stop_grace: float = STOP_GRACE,
        streams: OpenStreams | None = None,
        hosting: Hosting | None = None,
    ) -> None:
        self.app = app
        self._exchanges = ExchangeLog(app)
        self._sock = sock or bind()
        self.url = url_of(self._sock)
        self._name = f"{name} at {self.url}"
        self._loop_thread = loop
        self._loop: RunningLoop | None = None
        self._owner = TaskOwner(self._name)
        self._startup_timeout = startup_timeout
        self._stop_grace = stop_grace
        self._exchange_ended = threading.Condition()
        self._server: HttpServer
        if hosting is not None:
            self._server = hosting.server_for(self._serve, sock=self._sock, grace=stop_grace)
        else:
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

    def start(self) -> None:
        """Start the server and wait until it accepts requests.

        Raises:
            Exception: The start-up of the application failed with this exception.
            HarnessError: The start-up took longer than its timeout, or the server was started before.
        """
        if self._state != "new":
            raise HarnessError(f"the {self._name} was started before: create a new LiveServer")
        self._state = "stopped"
        try:
            loop = self._loop_thread.acquire()
        except BaseException:
            self._sock.close()
            raise
        try:
            loop.call(self._start(), timeout=self._startup_timeout, doing=f"the start of the {self._name}")
        except BaseException:
            self._sock.close()
            loop.release()
            raise
        self._loop = loop
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
            self._stop_on_loop,
            self._running_loop.release,
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
                event_hooks={"request": [self._refuse_own_loop]},
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

    def settle(self, timeout: float) -> None:
        """Wait until no request is in flight and every task that a request started has ended.

        Tasks that the start-up of the application started do not count: they often have no end.

        Args:
            timeout: The maximum number of seconds.

        Raises:
            HarnessError: A request was still in flight, or a task still ran, after the timeout. The message names it.
        """
        try:
            self.call(self._settle(), timeout=timeout, doing=f"waiting for the requests and tasks of the {self._name}")
        except HarnessError as exc:
            names = self.call(self._work(), timeout=timeout, doing=f"listing the tasks of the {self._name}")
            if not names:
                raise
            raise HarnessError(
                f"the {self._name} is still busy after {timeout} s: {', '.join(names)}. Start an endless task in the"
                " start-up of the application, not in a request"
            ) from exc

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
        return self._running_loop.call(coroutine, timeout=timeout, doing=doing)

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> "Future[Any]":
        """Schedule a coroutine on the loop of the server."""
        return self._running_loop.submit(coroutine)

    @property
    def _running_loop(self) -> RunningLoop:
        if self._loop is None:
            raise HarnessError(f"the {self._name} was not started: call start() first")
        return self._loop

    def _refuse_own_loop(self, _: httpx.Request) -> None:
        if self._loop is not None and self._loop.is_current_thread:
            raise HarnessError(
                f"a synchronous request to the {self._name} from its own event loop would wait for itself:"
                " use async_client, or call the client with asyncio.to_thread"
            )

    async def _settle(self) -> None:
        await self._server.wait_until_idle()
        while open_tasks := self._owner.open_tasks_of_requests:
            await asyncio.wait(open_tasks)
            await self._server.wait_until_idle()

    async def _work(self) -> list[str]:
        return sorted(map(_named, self._owner.open_tasks_of_requests))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            self._owner.enter_request()
        try:
            await self._exchanges(scope, receive, send)
        finally:
            if scope["type"] == "http":
                with self._exchange_ended:
                    self._exchange_ended.notify_all()

    async def _start(self) -> None:
        self._owner.adopt()  # every task of this server inherits it
        await self._server.start()

    def _close_client(self) -> None:
        if self._client is not None:
            self._client.close()

    def _stop_on_loop(self) -> None:
        timeout = max(4 * self._stop_grace + 1, _LEAST_STOP_TIMEOUT)
        self._running_loop.call(
            self._stop(), timeout=timeout, doing=f"the stop of the {self._name}", survives_block=True
        )

    async def _stop(self) -> None:
        try:
            if self._async_client is not None:
                await self._async_client.aclose()
            await self._server.stop()
        finally:
            await self._check_closed()

    async def _check_closed(self) -> None:
        open_tasks = self._owner.open_tasks
        if open_tasks:
            _, open_tasks = await asyncio.wait(open_tasks, timeout=self._stop_grace)
        still_open = [_named(task) for task in open_tasks]
        for task in open_tasks:
            task.cancel()
        if self._server.open_connections:
            still_open.append(f"{self._server.open_connections} connections")
        if self._sock.fileno() != -1:
            still_open.append("its listening socket")
        if still_open:
            raise HarnessError(f"still open after the stop: {', '.join(still_open)}")


def _named(task: "asyncio.Task[Any]") -> str:
    return f"task {task.get_name()} ({task.get_coro()})"
