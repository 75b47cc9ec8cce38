"""The gateway's HTTP routes: one for the signals of each source, and those of `health`."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signal_gateway.clock import Clock
from signal_gateway.gateway.http.activity import Activity
from signal_gateway.gateway.http.admission import Lease, Room
from signal_gateway.gateway.http.openapi import SIGNALS_PATH
from signal_gateway.gateway.http.responses import answer_batch, answer_single, deadline_passed
from signal_gateway.gateway.remediation.idempotency_key import mark_of
from signal_gateway.gateway.remediation.outcome import Outcome
from signal_gateway.gateway.remediation.triage import Incoming, Prepared, Triage
from signal_gateway.gateway.signals.adapter import Adapter, InvalidPayload, ParsedSignal
from signal_gateway.web.json_body import json_body
from signal_gateway.web.problem import Problem

__all__ = ["SignalEndpoint", "signal_route"]

_MAX_AT_ONCE: Final = 1000  # of one request: duplicates that wait together share a write


def signal_route(endpoint: "SignalEndpoint") -> Route:
    """Return the route of one source's signals."""
    return Route(f"{SIGNALS_PATH}{endpoint.adapter.name}", endpoint.receive, methods=["POST"])


class SignalEndpoint:
    """Takes the signals of one source.

    Attributes:
        adapter: What reads them.
        triage: What handles them; set while the gateway runs.

    Args:
        adapter: What reads them.
        activity: Owner of the tasks: what a request began goes on when its deadline has passed.
        clock: When a request came in.
        request_deadline: Seconds that a request may take.
        room: How much memory requests may take.
    """

    def __init__(
        self, adapter: Adapter, *, activity: Activity, clock: Clock, request_deadline: float, room: Room
    ) -> None:
        self.adapter = adapter
        self.triage: Triage | None = None
        self._activity = activity
        self._clock = clock
        self._request_deadline = request_deadline
        self._room = room

    async def receive(self, request: Request) -> Response:
        """Handle one request with signals.

        Raises:
            Problem: The request is not what the source sends, took too long, or its only signal failed.
        """
        received_at = self._clock.now()
        deadline = asyncio.get_running_loop().time() + self._request_deadline
        lease = self._room.lease()
        try:
            body = await json_body(request, meter=lease)
            signals = self._parse(body, lease, received_at=received_at)
            del body  # the signals may wait for long
        except Problem as problem:
            lease.end()
            raise problem.with_traceback(None) from None  # its frames hold what came, while the rest is still coming
        except BaseException:
            lease.end()
            raise

        sender = getattr(request.state, "sender", None)
        if sender is not None:
            signals = [replace(signal, sender=sender) for signal in signals]
        work = self._activity.spawn(self._handle_all(signals, request_id=request.state.request_id, deadline=deadline))
        work.add_done_callback(lambda _: lease.end())
        remaining = deadline - asyncio.get_running_loop().time()
        await asyncio.wait([work], timeout=max(0.0, remaining))
        if not work.done():
            raise deadline_passed(self._request_deadline)
        outcomes = work.result()
        return answer_single(outcomes[0]) if len(outcomes) == 1 else answer_batch(outcomes)

    def _parse(self, body: bytes, lease: Lease, *, received_at: datetime) -> Sequence[ParsedSignal]:
        lease.add_values(self._room.check_values(body))
        try:
            signals = self.adapter.parse(body, received_at=received_at)
        except InvalidPayload as exc:
            raise Problem(400, str(exc)) from exc
        self._room.check_signals(len(signals))
        lease.add_signals(len(signals))
        return signals

    async def _handle_all(self, signals: Sequence[ParsedSignal], *, request_id: str, deadline: float) -> list[Outcome]:
        """Find out what signals are about, some at once, and begin to handle each in payload order."""
        places = asyncio.Semaphore(_MAX_AT_ONCE)
        handling: list[asyncio.Task[Outcome]] = []
        turn = asyncio.Event()
        turn.set()
        for index, signal in enumerate(signals):
            await places.acquire()
            incoming = Incoming(signal, self.adapter.signal_type, mark_of(request_id, index), deadline)
            next_turn = asyncio.Event()
            task = self._activity.spawn(self._handle(incoming, turn=turn, next_turn=next_turn))
            task.add_done_callback(lambda _: places.release())
            handling.append(task)
            turn = next_turn
        return [await task for task in handling]

    async def _handle(self, incoming: Incoming, *, turn: asyncio.Event, next_turn: asyncio.Event) -> Outcome:
        """Handle a signal as soon as those before it have begun to be handled."""
        assert self.triage is not None, "requests get here only while the gateway runs"
        try:
            prepared = await self.triage.prepare(incoming)
            await turn.wait()
        finally:
            next_turn.set()  # whoever waits for it runs when this one waits for something
        return await self.triage.handle(prepared) if isinstance(prepared, Prepared) else prepared
