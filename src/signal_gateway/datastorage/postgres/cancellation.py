"""Cancellation of statements in the server, when the task that awaits them is cancelled."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg.rows import TupleRow

__all__ = ["cancelled_with_caller", "request_cancellation"]

T = TypeVar("T")

_SECONDS_PER_ATTEMPT = 0.05

_log = logging.getLogger(__name__)


async def cancelled_with_caller(connection: psycopg.AsyncConnection[TupleRow], work: Coroutine[Any, Any, T]) -> T:
    """Return the result of statements; if the calling task is cancelled, cancel them and wait until they have ended.

    The server ignores a request to cancel that arrives before the statement. psycopg sends one, so a cancelled task
    would leave the statement running up to its time limit.

    Args:
        connection: The connection of the statements.
        work: Executes them.
    """
    statements = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(statements)
    except asyncio.CancelledError:
        cancellation = asyncio.ensure_future(_cancel_until_done(connection, statements))
        while not cancellation.done():
            with suppress(asyncio.CancelledError):  # a second cancellation: the connection is not free yet
                await asyncio.shield(cancellation)
        if not statements.cancelled():
            statements.exception()  # that of the cancelled statement
        raise


async def _cancel_until_done(connection: psycopg.AsyncConnection[TupleRow], statements: "asyncio.Future[Any]") -> None:
    while not statements.done():
        if not await request_cancellation(connection):
            statements.cancel()  # psycopg closes a connection whose statement does not end
        await asyncio.wait({statements}, timeout=_SECONDS_PER_ATTEMPT)


async def request_cancellation(connection: psycopg.AsyncConnection[TupleRow]) -> bool:
    """Ask the server to cancel the statement of a connection; return whether the request reached the server."""
    try:
        await connection.cancel_safe()
    except psycopg.Error as exc:
        _log.warning("the server took no request to cancel a statement: %s", exc)
        return False
    return True
