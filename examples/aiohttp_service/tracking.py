"""Parcel tracking in aiohttp: an async application factory, a worker with a queue, and a websocket for positions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from signal_gateway.audit import AuditEvent, AuditStore

PARCEL_SCANNED = "tracking.parcel.scanned"


class Tracking:
    """The positions of the parcels. A worker writes them, one scan after the other."""

    def __init__(self, *, registry: CollectorRegistry, audit_store: AuditStore) -> None:
        self._audit_store = audit_store
        self._scans = Counter("tracking_scans", "Scans of parcels.", ["place"], registry=registry)
        self._queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._positions: dict[str, str] = {}

    async def scan(self, parcel: str, place: str) -> None:
        """Queue one scan and wait until it is written."""
        await self._queue.put((parcel, place))
        await self._queue.join()

    def position(self, parcel: str) -> str | None:
        """Return the last place of a parcel; None if it was never scanned."""
        return self._positions.get(parcel)

    async def work(self) -> None:
        """Write the queued scans until cancelled."""
        while True:
            parcel, place = await self._queue.get()
            self._positions[parcel] = place
            self._scans.labels(place).inc()
            self._audit_store.record(
                AuditEvent(
                    event_type=PARCEL_SCANNED,
                    event_category="tracking",
                    event_action="scanned",
                    event_outcome="success",
                    correlation_id=parcel,
                    event_data={"event_type": PARCEL_SCANNED, "place": place},
                )
            )
            self._queue.task_done()


TRACKING = web.AppKey("tracking", Tracking)

routes = web.RouteTableDef()


@routes.put("/parcels/{parcel}")
async def scan(request: web.Request) -> web.Response:
    place = (await request.json())["place"]
    await request.app[TRACKING].scan(request.match_info["parcel"], place)
    return web.json_response({"place": place}, status=201)


@routes.get("/parcels/{parcel}")
async def position(request: web.Request) -> web.Response:
    place = request.app[TRACKING].position(request.match_info["parcel"])
    if place is None:
        raise web.HTTPNotFound(text="this parcel was never scanned")
    return web.json_response({"place": place})


@routes.get("/positions")
async def positions(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(request.app[TRACKING].position(message.data) or "unknown")
    return socket


async def create_app(*, registry: CollectorRegistry, audit_store: AuditStore) -> web.Application:
    """Create the application; a worker runs between its start-up and its clean-up."""
    tracking = Tracking(registry=registry, audit_store=audit_store)

    async def worker(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(tracking.work())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    app = web.Application()
    app[TRACKING] = tracking
    app.add_routes(routes)
    app.cleanup_ctx.append(worker)
    return app
