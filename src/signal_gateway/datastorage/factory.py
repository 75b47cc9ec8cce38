"""DataStorage, and create_datastorage(), the only way to build one."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware

from signal_gateway.clock import Clock, SystemClock
from signal_gateway.datastorage.backend import Backend
from signal_gateway.datastorage.database import backend_for
from signal_gateway.datastorage.http.api import AuditApi, RequestMetrics
from signal_gateway.datastorage.http.authentication import PROTECTION, ScopeAuthenticator
from signal_gateway.datastorage.http.cases import CasesApi
from signal_gateway.datastorage.http.integrity import IntegrityApi
from signal_gateway.datastorage.metrics import DataStorageMetrics
from signal_gateway.datastorage.retention import PeriodicPurge
from signal_gateway.datastorage.tokens import ScopedTokens
from signal_gateway.datastorage.verify import Verifications
from signal_gateway.datastorage.viewer import Viewer
from signal_gateway.errors import ConfigurationError
from signal_gateway.web.body import BodyLimitMiddleware
from signal_gateway.web.middleware.authentication import AuthenticationMiddleware
from signal_gateway.web.middleware.standard import StandardMiddleware
from signal_gateway.web.problem import problem_handlers
from signal_gateway.web.response_headers import OWN_PAGES

__all__ = ["BODY_TIMEOUT", "MAX_BATCH_EVENTS", "MAX_BODY_BYTES", "DataStorage", "create_datastorage"]

MAX_BATCH_EVENTS = 1000
MAX_BODY_BYTES = 5 * 1024 * 1024
BODY_TIMEOUT = 30.0


class DataStorage:
    """The service that keeps audit events. Its database is open while it is entered, or while its app's lifespan runs.

    Make it with `create_datastorage`.

    Attributes:
        app: The ASGI application, with lifespan.
        registry: The Prometheus registry of this DataStorage.
    """

    def __init__(self, *, app: Starlette, registry: CollectorRegistry, database: "_Database") -> None:
        self.app = app
        self.registry = registry
        self._database = database

    async def __aenter__(self) -> Self:
        await self._database.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._database.__aexit__(exc_type, exc, traceback)


class _Database:
    """An open backend, with a periodic purge if there is one, while this is entered."""

    def __init__(self, backend: Backend, purge: PeriodicPurge | None) -> None:
        self._backend = backend
        self._purge = purge
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as starting:
            await self._backend.open()
            starting.push_async_callback(self._backend.close)
            if self._purge is not None:
                await starting.enter_async_context(self._purge)
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
    """Build a DataStorage. Its database opens when you enter or serve it.

    Args:
        database: The database URL: `sqlite:///` and the path of a file in an existing directory, or
            `postgresql://user:password@host:port/database`, which needs the extra `postgres`.
        clock: Gives the time of arrival of an event.
        max_batch_events: The most events of one batch.
        max_body_bytes: The largest request body, in bytes.
        body_timeout: How long the body of a request may take to arrive, in seconds.
        token_file: The tokens for reading and writing, in the form of `ScopedTokens`; None needs no token.
        purge_interval: Seconds between two purges of expired events; None keeps all events.

    Returns:
        The service. Entering it, or starting its app, raises DataStorageError if the database is not usable.

    Raises:
        ConfigurationError: The database URL, the token file or the interval is not valid.
    """
    if purge_interval is not None and not purge_interval > 0:
        raise ConfigurationError(f"the purge interval is {purge_interval} s: give more than 0, or none to keep events")
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
    verifications = Verifications(backend, clock=clock)
    integrity = IntegrityApi(backend=backend, clock=clock, verifications=verifications)
    cases = CasesApi(backend=backend, clock=clock)
    viewer = Viewer(backend=backend, clock=clock, verifications=verifications)
    routes = [*api.routes(), *cases.routes(), *integrity.routes(), *viewer.routes()]
    purge = None
    if purge_interval is not None:
        purge = PeriodicPurge(backend, clock=clock, interval=purge_interval, metrics=metrics)
    opened = _Database(backend, purge)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with opened:
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
        protection = replace(
            PROTECTION, open_paths={*PROTECTION.open_paths, *viewer.open_paths}, sign_in_page=viewer.sign_in_page()
        )
        middleware.append(
            Middleware(AuthenticationMiddleware, authenticator=authenticator, protection=protection, failures=metrics)
        )
    app = Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers=problem_handlers(),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return DataStorage(app=app, registry=registry, database=opened)
