"""Cancellation of statements in the server, when the task that awaits them is cancelled."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg.rows import TupleRow

__all__ = ["cancelled_with_caller"]

T = TypeVar("T")

_SECONDS_PER_ATTEMPT = 0.05


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
        await connection.cancel_safe()
        await asyncio.wait({statements}, timeout=_SECONDS_PER_ATTEMPT)
