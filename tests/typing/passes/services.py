"""Applications and app factories for `gateway_serve`."""

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from signal_gateway.audit import AuditStore, BufferedAuditStore
from signal_gateway.testing import LiveService, ServiceFactory


def with_any_store(registry: CollectorRegistry, audit_store: AuditStore) -> FastAPI:
    return FastAPI()


def with_a_store_that_flushes(registry: CollectorRegistry, audit_store: BufferedAuditStore) -> Starlette:
    audit_store.flush()
    return Starlette()


def test_services(gateway_serve: ServiceFactory) -> list[LiveService]:
    return [gateway_serve(one) for one in (with_any_store,)] + [
        gateway_serve(with_a_store_that_flushes),
        gateway_serve(FastAPI()),
        gateway_serve(Starlette()),
    ]
