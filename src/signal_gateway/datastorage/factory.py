"""create_datastorage(): the only way to build a DataStorage."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware

from signal_gateway.clock import Clock, SystemClock
from signal_gateway.datastorage.backend import Backend
from signal_gateway.datastorage.database import backend_for
from signal_gateway.datastorage.http.api import AuditApi
from signal_gateway.datastorage.http.authentication import PROTECTION, ScopeAuthenticator
from signal_gateway.datastorage.metrics import DataStorageMetrics, RequestMetrics
from signal_gateway.datastorage.retention import purging
from signal_gateway.datastorage.tokens import ScopedTokens
from signal_gateway.datastorage.viewer import Viewer
from signal_gateway.errors import ConfigurationError
from signal_gateway.web.middleware.authentication import AuthenticationMiddleware
from signal_gateway.web.middleware.body_limit import BodyLimitMiddleware
from signal_gateway.web.middleware.standard import StandardMiddleware
from signal_gateway.web.problem import problem_handlers
from signal_gateway.web.response_headers import OWN_PAGES

__all__ = ["BODY_TIMEOUT", "MAX_BATCH_EVENTS", "MAX_BODY_BYTES", "DataStorage", "create_datastorage"]

MAX_BATCH_EVENTS = 1000
MAX_BODY_BYTES = 5 * 1024 * 1024
BODY_TIMEOUT = 30.0


class DataStorage:
    """The service that keeps audit events. Its database is open while it is entered or its app's lifespan runs.

    Make it with `create_datastorage`.

    Attributes:
        app: The ASGI application, with lifespan.
        registry: A Prometheus registry of its own.
    """

    def __init__(
        self,
        *,
        app: Starlette,
        registry: CollectorRegistry,
        backend: Backend,
        purging: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        self.app = app
        self.registry = registry
        self._backend = backend
        self._purging = purging
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as starting:
            await self._backend.open()
            starting.push_async_callback(self._backend.close)
            await starting.enter_async_context(self._purging())
            self._running = starting.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._running.aclose()


def create_datastorage(
    database: str,
    *,
    clock: Clock = SystemClock(),  # noqa: B008 - it has no state
    max_batch_events: int = MAX_BATCH_EVENTS,
    max_body_bytes: int = MAX_BODY_BYTES,
    body_timeout: float = BODY_TIMEOUT,
    token_file: Path | None = None,
    purge_interval: float | None = None,
) -> DataStorage:
    """Build a DataStorage; nothing is opened before it is entered or served.

    Args:
        database: Where the events are kept: `sqlite:///` and the path of a file, whose directory must exist, or
            `postgresql://user:password@host:port/database`, which needs the extra `postgres`.
        clock: Says when an event came in.
        max_batch_events: The largest batch that is taken, in events.
        max_body_bytes: The largest body that is taken, in bytes.
        body_timeout: How long a request's body may take to arrive, in seconds.
        token_file: Who may read and write, in the form of `ScopedTokens`; by default everybody who can connect.
        purge_interval: Seconds between two purges of events whose retention is over; by default they are kept.

    Returns:
        The service; entering it, or starting its app, raises DataStorageError if the database can't be used.

    Raises:
        ConfigurationError: `database` is not a URL of a database that can be used, the token file can't be, or the
            interval is not positive.
    """
    if purge_interval is not None and not purge_interval > 0:
        raise ConfigurationError(f"the purge interval is {purge_interval} s: give more than 0, or none for no purging")
    tokens = None if token_file is None else ScopedTokens(token_file)
    backend = backend_for(database)
    registry = CollectorRegistry()
    metrics = DataStorageMetrics(registry)
    api = AuditApi(
        backend=backend,
        clock=clock,
        registry=registry,
        metrics=metrics,
        max_batch_events=max_batch_events,
        max_body_bytes=max_body_bytes,
        has_tokens=tokens is not None,
    )
    routes = [*api.routes(), *Viewer(backend=backend, clock=clock).routes()]

    def purging_if_asked() -> AbstractAsyncContextManager[None]:
        if purge_interval is None:
            return nullcontext()
        return purging(backend, clock=clock, interval=purge_interval, on_batch=metrics.purged.inc)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with datastorage:
            yield

    middleware = [
        Middleware(
            StandardMiddleware,
            observer=RequestMetrics(metrics, paths={route.path for route in routes}),
            clock=clock,
            content_security_policy=OWN_PAGES,
        ),
        Middleware(BodyLimitMiddleware, max_body_bytes=max_body_bytes, max_seconds=body_timeout),
    ]
    if tokens is not None:
        authenticator = ScopeAuthenticator(tokens)
        middleware.append(
            Middleware(AuthenticationMiddleware, authenticator=authenticator, protection=PROTECTION, failures=metrics)
        )
    app = Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers=problem_handlers(),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    datastorage = DataStorage(app=app, registry=registry, backend=backend, purging=purging_if_asked)
    return datastorage
