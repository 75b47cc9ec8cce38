# ruff: noqa: ARG001, ARG002 - the parameters are the cases
"""Every usual shape of an application and of a factory is served, and its parameters are bound by name."""

import asyncio
import contextlib
import functools
import threading
from typing import Any

import anyio
import pytest
from aiohttp import web
from fastapi import FastAPI
from flask import Flask
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from signal_gateway.clock import MovableClock
from signal_gateway.errors import HarnessError
from signal_gateway.testing.gateway.application import ServedApplication
from signal_gateway.testing.gateway.shapes import INJECTED


def kinds(**received: object) -> dict[str, str]:
    return {name: type(value).__name__ for name, value in received.items()}


def app_of(**received: object) -> Starlette:
    """An application that responds with the types of the objects that its factory received."""

    async def answer(_request: Any) -> JSONResponse:
        return JSONResponse(kinds(**received))

    return Starlette(routes=[Route("/", answer)])


async def asgi(scope, receive, send):
    await app_of()(scope, receive, send)


async def asgi_with_other_names(s, r, snd):
    await app_of()(s, r, snd)


async def asgi_behind_a_decorator(*args):
    await app_of()(*args)


class AsgiInstance:
    async def __call__(self, scope, receive, send):
        await app_of()(scope, receive, send)


class EndpointClass:
    """A class whose instances handle one request when they are awaited, as Starlette's HTTPEndpoint."""

    def __init__(self, scope, receive, send):
        self.arguments = (scope, receive, send)

    def __await__(self):
        return app_of()(*self.arguments).__await__()


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b"{}"]


class WsgiInstance:
    def __call__(self, env, start_response):
        return wsgi(env, start_response)


def flask_app() -> Flask:
    app = Flask("orders")

    @app.get("/")
    def answer():
        return {}

    return app


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    def answer():
        return {}

    return app


def aiohttp_app() -> web.Application:
    async def answer(_request):
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/", answer)
    return app


def django_app():
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x")
    return get_wsgi_application()


def django_asgi_app():
    from django.core.asgi import get_asgi_application

    django_app()
    return get_asgi_application()


def django_view(_request):
    from django.http import JsonResponse

    return JsonResponse({})


def __getattr__(name):
    if name == "urlpatterns":  # of Django; its import waits for the test
        from django.urls import path

        return [path("", django_view)]
    raise AttributeError(name)


def takes_nothing():
    return app_of()


def takes_both(registry, audit_store):
    return app_of(registry=registry, audit_store=audit_store)


def takes_both_in_the_other_order(audit_store, registry):
    return app_of(registry=registry, audit_store=audit_store)


def takes_one(audit_store):
    return app_of(audit_store=audit_store)


def takes_keywords(*, clock, registry):
    return app_of(clock=clock, registry=registry)


def takes_with_defaults(registry=None, audit_store=None, debug=False):
    return app_of(registry=registry, audit_store=audit_store, debug=debug)


def takes_by_position(debug=True, audit_store=None, registry=None, title="x", /):
    return app_of(debug=debug, audit_store=audit_store, registry=registry, title=title)


def takes_everything(registry, audit_store, clock, datastorage_url, gateway_datastorage):
    return app_of(
        registry=registry,
        audit_store=audit_store,
        clock=clock,
        datastorage_url=datastorage_url,
        gateway_datastorage=gateway_datastorage,
    )


def takes_others_by_keyword(registry, **others):
    return app_of(registry=registry, **others)


async def is_async(audit_store, registry):
    await asyncio.sleep(0)
    return takes_both(registry, audit_store)


class Callable:
    def __call__(self, registry):
        return app_of(registry=registry)


class AsyncCallable:
    async def __call__(self, registry):
        return app_of(registry=registry)


class IsAnAsgiApp:
    def __init__(self, audit_store):
        self.audit_store = audit_store

    async def __call__(self, scope, receive, send):
        await app_of(audit_store=self.audit_store)(scope, receive, send)


class HasAnApp:
    def __init__(self, *, registry: CollectorRegistry, retries: int = 3) -> None:
        self.app = app_of(registry=registry, retries=retries)


class HasAnAppAsProperty:
    @property
    def app(self):
        return app_of()


class HasAFactoryMethod:
    def create_app(self, registry):
        return app_of(registry=registry)


def swapped(store_of_orders, registry, audit_store):
    return app_of(store_of_orders=store_of_orders, registry=registry, audit_store=audit_store)


@contextlib.contextmanager
def is_a_context_manager(registry):
    yield app_of(registry=registry)


@contextlib.asynccontextmanager
async def is_an_async_context_manager(registry):
    async with anyio.create_task_group():
        yield HasAnApp(registry=registry)


def is_a_generator(registry):
    yield app_of(registry=registry)


async def is_an_async_generator(registry):
    yield app_of(registry=registry)


class EntersItself:
    def __init__(self, registry):
        self.registry = registry

    async def __aenter__(self):
        return app_of(registry=self.registry)

    async def __aexit__(self, *_exc_info):
        pass


@functools.cache
def is_cached():
    return app_of()


REGISTRY, STORE, CLOCK = (
    {"registry": "CollectorRegistry"},
    {"audit_store": "ServiceAuditStore"},
    {"clock": "MovableClock"},
)
BOTH = REGISTRY | STORE

SERVED: dict[str, tuple[object, dict[str, str]]] = {
    "ASGI function": (asgi, {}),
    "ASGI function with other names": (asgi_with_other_names, {}),
    "ASGI function behind a decorator": (asgi_behind_a_decorator, {}),
    "ASGI instance": (AsgiInstance(), {}),
    "ASGI endpoint class": (EndpointClass, {}),
    "ASGI partial": (functools.partial(app_of().__call__), {}),
    "Starlette": (app_of(), {}),
    "FastAPI": (fastapi_app(), {}),
    "WSGI function": (wsgi, {}),
    "WSGI instance": (WsgiInstance(), {}),
    "Flask": (flask_app(), {}),
    "aiohttp": (aiohttp_app, {}),
    "Django": (django_app, {}),
    "Django over ASGI": (django_asgi_app, {}),
    "lambda": (lambda: app_of(), {}),
    "factory of a Flask object": (flask_app, {}),
    "factory without parameters": (takes_nothing, {}),
    "factory (registry, audit_store)": (takes_both, BOTH),
    "factory (audit_store, registry)": (takes_both_in_the_other_order, BOTH),
    "factory (audit_store)": (takes_one, STORE),
    "factory with keyword-only parameters": (takes_keywords, CLOCK | REGISTRY),
    "factory with defaults": (takes_with_defaults, BOTH | {"debug": "bool"}),
    "factory with positional-only parameters": (takes_by_position, BOTH | {"debug": "bool", "title": "str"}),
    "factory of all parameters": (
        takes_everything,
        BOTH | CLOCK | {"datastorage_url": "str", "gateway_datastorage": "SharedDataStorage"},
    ),
    "factory with **others": (takes_others_by_keyword, REGISTRY),
    "async factory": (is_async, BOTH),
    "coroutine function behind a partial": (functools.partial(is_async, registry=7), STORE | {"registry": "int"}),
    "callable object": (Callable(), REGISTRY),
    "async callable object": (AsyncCallable(), REGISTRY),
    "class of an ASGI application": (IsAnAsgiApp, STORE),
    "class with .app": (HasAnApp, REGISTRY | {"retries": "int"}),
    "object with .app": (HasAnAppAsProperty(), {}),
    "bound method": (HasAFactoryMethod().create_app, REGISTRY),
    "partial with a value of yours": (functools.partial(swapped, "mine"), BOTH | {"store_of_orders": "str"}),
    "partial that binds a name": (functools.partial(takes_both, registry=None), STORE | {"registry": "NoneType"}),
    "cached factory": (is_cached, {}),
    "context manager": (is_a_context_manager, REGISTRY),
    "async context manager": (is_an_async_context_manager, REGISTRY | {"retries": "int"}),
    "generator": (is_a_generator, REGISTRY),
    "async generator": (is_an_async_generator, REGISTRY),
    "class of an async context manager": (EntersItself, REGISTRY),
    "open context manager": (lambda: is_a_context_manager(None), {"registry": "NoneType"}),
}


@pytest.mark.parametrize(("source", "received"), SERVED.values(), ids=SERVED)
def test_usual_shape_is_served_and_receives_what_it_names(gateway_serve, source, received):
    service = gateway_serve(source)

    assert service.client.get("/").json() == received


def test_coroutine_and_entered_context_are_served_once(gateway_serve):
    assert gateway_serve(is_async(audit_store=1, registry=2)).client.get("/").json() == {
        "registry": "int",
        "audit_store": "int",
    }


def names_without_meaning(store, registery):
    raise AssertionError("it must not be called")


def needs_a_database(database, *, registry):
    raise AssertionError("it must not be called")


class NeedsAScope:
    """An application of ASGI 2."""

    def __init__(self, scope):
        raise AssertionError("it must not be called")


def gives_a_number():
    return 7


def gives_itself():
    return gives_itself


def misspells(registery):
    raise AssertionError("it must not be called")


def takes_two(a, b):
    raise AssertionError("it must not be called")


def takes_three(a, b, c):
    raise AssertionError("it must not be called")


def takes_long_names(*, some_keyword_argument, other_keyword_argument, one_more_keyword_argument):
    raise AssertionError("it must not be called")


MISUSES = {
    "number": (7, "cannot serve 7: type int is no application"),
    "nothing": (None, "cannot serve None: type NoneType is no application"),
    "module": (pytest, "cannot serve <module 'pytest' from .*: type module is no application"),
    "unknown names": (names_without_meaning, r"names_without_meaning\(store, registery\): no value for 'store'"),
    "one unknown name": (needs_a_database, r"needs_a_database\(database, \*, registry\): no value for 'database'"),
    "misspelt name": (
        misspells,
        r"misspells\(registery\): no value for 'registery', is it registry\?",
    ),
    "three names": (takes_three, r"takes_three\(a, b, c\): no value for 'a'"),
    "ASGI 2": (NeedsAScope, r"NeedsAScope\(scope\): no value for 'scope'"),
    "wrong result": (gives_a_number, r"gives_a_number\(\): its result is no application, but int"),
    "endless factory": (gives_itself, r"gives_itself\(\): no application after 8 steps"),
    "long signature": (
        takes_long_names,
        r"takes_long_names\(\*, some_keyword_argument, .*\.\.\.: no value for 'some_keyword_argument'",
    ),
    "WSGI with odd names": (takes_two, r"takes_two\(a, b\): no value for 'a'"),
    "type without a signature": (dict, r"dict"),
}


@pytest.mark.parametrize(("source", "message"), MISUSES.values(), ids=MISUSES)
def test_misuse_is_one_error_with_the_signature_and_the_accepted_ones(gateway_serve, source, message):
    with pytest.raises(HarnessError, match=message) as caught:
        gateway_serve(source)

    assert all(name in str(caught.value) for name in INJECTED)
    assert len(str(caught.value)) <= 300
    assert gateway_serve.created == []


def test_async_factory_with_a_wrong_result_is_the_same_error(gateway_serve):
    async def create_app():
        return None

    with pytest.raises(HarnessError, match=r"create_app\(\): its result is no application, but NoneType"):
        gateway_serve(create_app)


@pytest.mark.parametrize("is_async", [False, True])
def test_factory_that_fails_raises_its_own_exception(gateway_serve, is_async):
    def create_app():
        raise LookupError("no database")

    async def create_app_later():
        raise LookupError("no database")

    with pytest.raises(LookupError, match="no database"):
        gateway_serve(create_app_later if is_async else create_app)


def test_sync_factory_runs_on_the_thread_of_the_test_and_async_one_on_the_loop(gateway_serve):
    threads = []

    def create_app():
        threads.append(threading.current_thread())
        return app_of()

    async def create_app_later():
        threads.append(threading.current_thread())
        return app_of()

    gateway_serve(create_app)
    gateway_serve(create_app_later)

    assert threads[0] is threading.current_thread()
    assert threads[1].name == "gateway-servers"


@pytest.mark.parametrize("is_async", [False, True])
def test_context_is_left_after_the_server_has_stopped(is_async):
    from signal_gateway.testing import serve

    steps = []

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        steps.append("started")
        yield
        steps.append("stopped")

    @contextlib.contextmanager
    def orders():
        steps.append("entered")
        yield Starlette(lifespan=lifespan)
        steps.append("left")

    @contextlib.asynccontextmanager
    async def orders_later():
        with orders() as app:
            yield app

    with serve(orders_later if is_async else orders):
        assert steps == ["entered", "started"]

    assert steps == ["entered", "started", "stopped", "left"]


def test_context_is_left_when_the_server_does_not_start(gateway_serve):
    left = []

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        raise LookupError("no cluster")
        yield

    async def orders():
        try:
            yield Starlette(lifespan=lifespan)
        finally:
            left.append(True)

    with pytest.raises(LookupError, match="no cluster"):
        gateway_serve(orders)

    assert left == [True]


def test_service_gives_the_application_and_the_object_that_holds_it(gateway_serve):
    service = gateway_serve(HasAnApp)

    assert isinstance(service.instance, HasAnApp)
    assert service.app is service.instance.app


def test_application_does_not_exist_before_the_start():
    served = ServedApplication(takes_nothing, None)

    with pytest.raises(HarnessError, match="start its server first"):
        _ = served.app


def test_clock_of_the_factory_can_be_moved(gateway_serve):
    clocks = []

    def create_app(clock):
        clocks.append(clock)
        return app_of()

    service = gateway_serve(create_app)
    before = clocks[0].monotonic()
    service.clock.advance(3600)

    assert clocks[0].monotonic() - before >= 3600


def test_own_clock_and_registry_are_passed_on(gateway_serve):
    clock, registry = MovableClock(), CollectorRegistry()
    received = {}

    def create_app(clock, registry):
        received.update(clock=clock, registry=registry)
        return app_of()

    service = gateway_serve(create_app, clock=clock, registry=registry)

    assert received == {"clock": clock, "registry": registry}
    assert service.registry is registry


def test_missing_a2wsgi_is_an_error_with_the_command(gateway_serve, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "a2wsgi", None)

    with pytest.raises(HarnessError, match=r"pip install 'signal-gateway\[wsgi\]'"):
        gateway_serve(flask_app)
