"""ServedApplication: finds the application behind a factory or context manager, and adapts it to ASGI."""

import difflib
import inspect
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Final, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from signal_gateway.errors import HarnessError
from signal_gateway.testing.gateway.shapes import INJECTED, Shape, cannot_serve, shape_of, signature_of

__all__ = ["AIOHTTP_REQUEST", "Injections", "ServedApplication"]

AIOHTTP_REQUEST: Final = "signal_gateway.aiohttp_request"
"""Key of an ASGI scope: the ASGI application that handles one request of aiohttp."""

_APPLICATIONS: Final = frozenset((Shape.ASGI, Shape.WSGI, Shape.AIOHTTP))
_ON_LOOP: Final = frozenset((Shape.AWAITABLE, Shape.ASYNC_GENERATOR, Shape.ASYNC_CONTEXT_MANAGER))
_MOST_STEPS: Final = 8


class Injections(Protocol):
    """The objects that a factory may take by name."""

    def take(self, name: str) -> object:
        """Return the object for a parameter.

        Args:
            name: One of `INJECTED`.
        """
        ...


class ServedApplication:
    """The application behind an object of any accepted shape, as an ASGI application.

    `open` calls the factories on the thread of the caller, up to the first async one. `open_on_loop` does the rest on
    the loop of the server. An application with an open context manager leaves it in reverse order: first on the loop,
    then `close` on the thread of the caller.

    Args:
        source: An application, a factory, a context manager, or an object with an attribute `app`.
        injections: The objects for the factories.
    """

    def __init__(self, source: object, injections: Injections) -> None:
        self._source = source
        self._value = source
        self._injections = injections
        self._holder: object | None = None
        self._asgi: ASGIApp | None = None
        self._stack = ExitStack()
        self._steps = 0

    @property
    def app(self) -> object:
        """The application, without an adapter.

        Raises:
            HarnessError: It is not open.
        """
        if self._asgi is None:
            raise HarnessError("the application does not exist yet: start its server first")
        return self._value

    @property
    def instance(self) -> object:
        """The object with the attribute `app`, or the application if there is no such object."""
        return self.app if self._holder is None else self._holder

    @property
    def is_open(self) -> bool:
        """Whether the application is found."""
        return self._asgi is not None

    @property
    def is_aiohttp(self) -> bool:
        """Whether the application must be served by aiohttp."""
        return self.is_open and shape_of(self._value) is Shape.AIOHTTP

    def open(self) -> None:
        """Call the factories and enter the context managers that need no loop, on the thread of the caller.

        Raises:
            HarnessError: The source, or the result of a factory, cannot be served.
            Exception: A factory failed with this exception.
        """
        while (shape := self._next_shape()) not in _ON_LOOP | _APPLICATIONS:
            self._value = self._advanced(shape, self._stack)
        if shape in _APPLICATIONS:
            self._asgi = self._adapted(shape)

    async def open_on_loop(self, stack: AsyncExitStack) -> None:
        """Do the rest of the steps on the loop of the server. Does nothing if the application is open.

        Args:
            stack: Takes the context managers.

        Raises:
            HarnessError: As for `open`.
            Exception: As for `open`.
        """
        if self._asgi is not None:
            return
        while (shape := self._next_shape()) not in _APPLICATIONS:
            value: Any = self._value
            if shape is Shape.AWAITABLE:
                self._value = await value
            elif shape is Shape.ASYNC_GENERATOR:
                self._value = await stack.enter_async_context(asynccontextmanager(lambda of=value: of)())
            elif shape is Shape.ASYNC_CONTEXT_MANAGER:
                self._value = await stack.enter_async_context(value)
            else:
                self._value = self._advanced(shape, stack)
        self._asgi = self._adapted(shape)

    def close(self) -> None:
        """Leave the context managers that `open` entered, on the thread of the caller."""
        self._stack.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        assert self._asgi is not None  # the server starts after `open_on_loop`
        await self._asgi(scope, receive, send)

    def _next_shape(self) -> Shape:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise cannot_serve(self._source, f"no application after {_MOST_STEPS} steps")
        try:
            return shape_of(self._value)
        except HarnessError as exc:
            if self._value is self._source:
                raise
            raise cannot_serve(self._source, f"its result is no application, but {type(self._value).__name__}") from exc

    def _advanced(self, shape: Shape, stack: ExitStack | AsyncExitStack) -> object:
        value: Any = self._value
        if shape is Shape.GENERATOR:
            return stack.enter_context(contextmanager(lambda: value)())
        if shape is Shape.CONTEXT_MANAGER:
            return stack.enter_context(value)
        if shape is Shape.HOLDER:
            self._holder = value if self._holder is None else self._holder
            return value.app
        return _called(value, self._injections)

    def _adapted(self, shape: Shape) -> ASGIApp:
        value: Any = self._value
        if shape is Shape.WSGI:
            return self._asgi_of_wsgi(value)
        return _serve_aiohttp_request if shape is Shape.AIOHTTP else value

    def _asgi_of_wsgi(self, app: Any) -> ASGIApp:
        try:
            from a2wsgi import WSGIMiddleware
        except ModuleNotFoundError as exc:
            raise HarnessError(
                "a WSGI application needs the adapter a2wsgi, which is not installed: run"
                " pip install 'signal-gateway[wsgi]'"
            ) from exc
        adapter: Any = WSGIMiddleware(app)
        # a handler that never returns must not block the end of the test
        self._stack.callback(adapter.executor.shutdown, wait=False, cancel_futures=True)
        return adapter  # type: ignore[no-any-return]


async def _serve_aiohttp_request(scope: Scope, receive: Receive, send: Send) -> None:
    request: ASGIApp = scope[AIOHTTP_REQUEST]
    await request(scope, receive, send)


def _called(factory: Callable[..., object], injections: Injections) -> object:
    """Call a factory with the objects that its parameters name."""
    signature = signature_of(factory)
    if signature is None:
        raise cannot_serve(factory, "Python knows no signature of it")
    parameters = _open_parameters(factory, signature)
    for parameter in parameters:
        if parameter.default is parameter.empty and parameter.name not in INJECTED:
            raise cannot_serve(factory, f"no value for {parameter.name!r}{_near_miss(parameter.name)}")

    last_positional = max(
        (n for n, p in enumerate(parameters) if _is_positional_only(p) and p.name in INJECTED), default=-1
    )
    positional: list[object] = []
    named: dict[str, object] = {}
    for number, parameter in enumerate(parameters):
        is_injected = parameter.name in INJECTED
        if _is_positional_only(parameter) and number <= last_positional:
            positional.append(injections.take(parameter.name) if is_injected else parameter.default)
        elif is_injected:
            named[parameter.name] = injections.take(parameter.name)
    return factory(*positional, **named)


def _open_parameters(factory: object, signature: inspect.Signature) -> list[inspect.Parameter]:
    """Return the parameters of a factory, without those that a `functools.partial` has bound by name."""
    bound = factory.keywords if isinstance(factory, partial) else {}
    return [
        p
        for p in signature.parameters.values()
        if p.name not in bound and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]


def _is_positional_only(parameter: inspect.Parameter) -> bool:
    return parameter.kind is parameter.POSITIONAL_ONLY


def _near_miss(name: str) -> str:
    close = difflib.get_close_matches(name, INJECTED, n=1)
    return f", is it {close[0]}?" if close else ""
