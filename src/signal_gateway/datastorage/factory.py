"""create_datastorage(): the only way to build a DataStorage."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware

from signal_gateway.clock import Clock, SystemClock
from signal_gateway.datastorage.api import AuditApi
from signal_gateway.datastorage.backend import Backend
from signal_gateway.datastorage.database import backend_for
from signal_gateway.datastorage.metrics import DataStorageMetrics, RequestMetricsMiddleware
from signal_gateway.datastorage.viewer import Viewer
from signal_gateway.web.body_limit import BodyLimitMiddleware
from signal_gateway.web.problem import problem_handlers
from signal_gateway.web.request_id import RequestIdMiddleware

__all__ = ["MAX_BATCH_EVENTS", "MAX_BODY_BYTES", "DataStorage", "create_datastorage"]

MAX_BATCH_EVENTS = 1000
MAX_BODY_BYTES = 5 * 1024 * 1024


class DataStorage:
    """The service that keeps audit events. Its database is open while it is entered or its app's lifespan runs.

    Make it with `create_datastorage`.

    Attributes:
        app: The ASGI application, with lifespan.
        registry: A Prometheus registry of its own.
    """

    def __init__(self, *, app: Starlette, registry: CollectorRegistry, backend: Backend) -> None:
        self.app = app
        self.registry = registry
        self._backend = backend

    async def __aenter__(self) -> Self:
        await self._backend.open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._backend.close()


def create_datastorage(
    database: str,
    *,
    clock: Clock = SystemClock(),  # noqa: B008 - it has no state
    max_batch_events: int = MAX_BATCH_EVENTS,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> DataStorage:
    """Build a DataStorage; nothing is opened before it is entered or served.

    Args:
        database: Where the events are kept: `sqlite:///` and the path of a file, whose directory must exist.
        clock: Says when an event came in.
        max_batch_events: The largest batch that is taken, in events.
        max_body_bytes: The largest body that is taken, in bytes.

    Returns:
        The service; entering it, or starting its app, raises DataStorageError if the database can't be used.

    Raises:
        ConfigurationError: `database` is not a URL of a database that can be used.
    """
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
    )
    routes = [*api.routes(), *Viewer(backend=backend, clock=clock).routes()]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with datastorage:
            yield

    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(RequestIdMiddleware),
            Middleware(RequestMetricsMiddleware, metrics=metrics, clock=clock, paths={route.path for route in routes}),
            Middleware(BodyLimitMiddleware, max_body_bytes=max_body_bytes),
        ],
        exception_handlers=problem_handlers(),
        lifespan=lifespan,
    )
    datastorage = DataStorage(app=app, registry=registry, backend=backend)
    return datastorage
