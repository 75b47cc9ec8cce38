"""Parcel tracking on a real socket: an aiohttp application, served by aiohttp itself."""

import aiohttp
import pytest
from tracking import PARCEL_SCANNED, create_app

from signal_gateway.testing import LiveService, ServiceFactory, serve


@pytest.fixture
def tracking(gateway_serve: ServiceFactory) -> LiveService:
    return gateway_serve(create_app)


def test_scan_is_written_counted_and_audited(tracking: LiveService) -> None:
    response = tracking.client.put("/parcels/parcel-1", json={"place": "Hamburg"})

    assert response.status_code == 201
    assert tracking.client.get("/parcels/parcel-1").json() == {"place": "Hamburg"}
    assert tracking.metrics.value("tracking_scans_total", place="Hamburg") == 1
    tracking.audit_trail.one(PARCEL_SCANNED, correlation_id="parcel-1")


def test_parcel_without_a_scan_is_not_found(tracking: LiveService) -> None:
    response = tracking.client.get("/parcels/parcel-2")

    assert (response.status_code, response.text) == (404, "this parcel was never scanned")
    tracking.audit_trail.none(PARCEL_SCANNED, correlation_id="parcel-2")


@pytest.mark.asyncio
async def test_websocket_tells_the_position(tracking: LiveService) -> None:
    await tracking.async_client.put("/parcels/parcel-3", json={"place": "Lyon"})

    async with aiohttp.ClientSession() as session, session.ws_connect(f"{tracking.url}/positions") as socket:
        await socket.send_str("parcel-3")
        assert await socket.receive_str() == "Lyon"
        await socket.send_str("parcel-4")
        assert await socket.receive_str() == "unknown"


def test_endless_worker_does_not_hold_settle(tracking: LiveService) -> None:
    tracking.client.put("/parcels/parcel-5", json={"place": "Oslo"})

    result = tracking.settle()

    assert result is not None
    assert result.pending == 0


def test_same_service_runs_without_the_fixtures() -> None:
    with serve(create_app) as tracking:
        tracking.client.put("/parcels/parcel-6", json={"place": "Porto"})

        assert tracking.metrics.value("tracking_scans_total", place="Porto") == 1
        tracking.audit_trail.one(PARCEL_SCANNED, correlation_id="parcel-6")
