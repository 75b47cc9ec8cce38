"""Shapes: tells applications, context managers and factories apart, by their types and signatures."""

import inspect
import sys
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Final

from signal_gateway.errors import HarnessError

__all__ = ["INJECTED", "Shape", "cannot_serve", "shape_of", "signature_of"]

INJECTED: Final = ("registry", "audit_store", "clock", "datastorage_url", "gateway_datastorage")
"""The names of the parameters that a factory may have."""

_MOST_DESCRIPTION: Final = 55  # characters
_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIABLE: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Shape(Enum):
    """The kinds of objects on the way to an application."""

    ASGI = "an ASGI application"
    WSGI = "a WSGI application"
    AIOHTTP = "an aiohttp application"
    AWAITABLE = "an awaitable, such as the call of an async function"
    GENERATOR = "a generator that yields once"
    ASYNC_GENERATOR = "an async generator that yields once"
    CONTEXT_MANAGER = "a context manager"
    ASYNC_CONTEXT_MANAGER = "an async context manager"
    HOLDER = "an object with an attribute app"
    FACTORY = "a function, a class or another callable"


def shape_of(value: object) -> Shape:
    """Return the shape of an object.

    An application wins over its other abilities: a Flask object is a WSGI application, also if it is a context manager.

    Raises:
        HarnessError: The object has none of the shapes.
    """
    if _is_aiohttp(value):
        return Shape.AIOHTTP
    if callable(value):
        signature = signature_of(value)
        if _is_asgi(value, signature):
            return Shape.ASGI
        if _is_wsgi(value, signature):
            return Shape.WSGI
    if not inspect.isclass(value):
        resource = _resource_shape(value)
        if resource is not None:
            return resource
    if callable(value):
        return Shape.FACTORY
    raise cannot_serve(value, f"type {type(value).__name__} is no application")


def signature_of(value: object) -> inspect.Signature | None:
    """Return the signature of a callable; None if Python cannot tell it."""
    for target in (value, getattr(value, "__call__", None)):  # noqa: B004 - `__call__` may be set on the instance
        if callable(target):
            with suppress(TypeError, ValueError):
                return inspect.signature(target)
    return None


def cannot_serve(value: object, reason: str) -> HarnessError:
    """Return the error for an object that cannot be served, with its signature and the accepted ones."""
    return HarnessError(
        f"cannot serve {_described(value)}: {reason}. Accepted: (scope, receive, send), (environ, start_response),"
        f" aiohttp apps, objects with .app, factories of these with any of {', '.join(INJECTED)}"
    )


def _is_aiohttp(value: object) -> bool:
    web = sys.modules.get("aiohttp.web")  # an application of aiohttp exists only after this import
    return web is not None and isinstance(value, web.Application)


def _is_asgi(value: object, signature: inspect.Signature | None) -> bool:
    if signature is None or (inspect.isclass(value) and not hasattr(value, "__await__")):
        return False
    required = _required(signature)
    if required is None:
        return False
    if len(required) == 3 and required[0] == "scope":
        return True
    if not _is_async(value):
        return False
    is_untold = not required and any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())
    return is_untold or (len(required) == 3 and not set(required) & set(INJECTED))


def _is_wsgi(value: object, signature: inspect.Signature | None) -> bool:
    if signature is None or _is_async(value) or (inspect.isclass(value) and not hasattr(value, "__iter__")):
        return False
    required = _required(signature)
    return (
        required is not None
        and len(required) == 2
        and (required[0].startswith("env") or required[1].startswith("start"))
    )


def _required(signature: inspect.Signature) -> list[str] | None:
    """Return the names of the required positional parameters; None if there is a required keyword-only one."""
    required = [p for p in signature.parameters.values() if p.default is p.empty and p.kind not in _VARIABLE]
    if any(p.kind not in _POSITIONAL for p in required):
        return None
    return [p.name for p in required]


def _is_async(value: object) -> bool:
    return inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(getattr(value, "__call__", None))  # noqa: B004


def _resource_shape(value: object) -> Shape | None:
    kind = type(value)
    if inspect.isasyncgen(value):
        return Shape.ASYNC_GENERATOR
    if inspect.isgenerator(value):
        return Shape.GENERATOR
    if hasattr(kind, "__aenter__") and hasattr(kind, "__aexit__"):
        return Shape.ASYNC_CONTEXT_MANAGER
    if hasattr(kind, "__enter__") and hasattr(kind, "__exit__"):
        return Shape.CONTEXT_MANAGER
    if inspect.isawaitable(value):
        return Shape.AWAITABLE
    is_function = inspect.isroutine(value) or isinstance(value, partial)
    if not is_function and getattr(value, "app", None) is not None:
        return Shape.HOLDER
    return None


def _described(value: object) -> str:
    if not callable(value):
        return _shortened(repr(value))
    function = value.func if isinstance(value, partial) else value
    name = getattr(function, "__name__", None) or type(function).__name__
    signature = signature_of(value)
    if signature is None:
        return _shortened(f"{name}(...)")
    bare = [
        p.replace(annotation=p.empty, default=p.default if p.default is p.empty else ...)
        for p in signature.parameters.values()
    ]
    return _shortened(name + str(inspect.Signature(bare)).replace("Ellipsis", "..."))


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_DESCRIPTION else text[: _MOST_DESCRIPTION - 3] + "..."
