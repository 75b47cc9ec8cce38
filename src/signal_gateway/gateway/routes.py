"""The gateway's HTTP routes: one for the signals of each source, and those of `health`."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signal_gateway.clock import Clock
from signal_gateway.gateway.activity import Activity
from signal_gateway.gateway.answers import answer_batch, answer_single, deadline_passed
from signal_gateway.gateway.mark import mark_of
from signal_gateway.gateway.openapi import SIGNALS_PATH
from signal_gateway.gateway.remediation.outcome import Outcome
from signal_gateway.gateway.remediation.triage import Incoming, Prepared, Triage
from signal_gateway.gateway.signals.adapter import Adapter, InvalidPayload, ParsedSignal
from signal_gateway.web.json_body import json_body
from signal_gateway.web.problem import Problem

__all__ = ["SignalEndpoint", "signal_route"]


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
    """

    def __init__(self, adapter: Adapter, *, activity: Activity, clock: Clock, request_deadline: float) -> None:
        self.adapter = adapter
        self.triage: Triage | None = None
        self._activity = activity
        self._clock = clock
        self._request_deadline = request_deadline

    async def receive(self, request: Request) -> Response:
        """Handle one request with signals.

        Raises:
            Problem: The request is not what the source sends, took too long, or its only signal failed.
        """
        received_at = self._clock.now()
        deadline = asyncio.get_running_loop().time() + self._request_deadline
        body = await json_body(request)
        try:
            signals = self.adapter.parse(body, received_at=received_at)
        except InvalidPayload as exc:
            raise Problem(400, str(exc)) from exc

        sender = getattr(request.state, "sender", None)
        if sender is not None:
            signals = [replace(signal, sender=sender) for signal in signals]
        outcomes = await self._outcomes(signals, request_id=request.state.request_id, deadline=deadline)
        return answer_single(outcomes[0]) if len(outcomes) == 1 else answer_batch(outcomes)

    async def _outcomes(self, signals: Sequence[ParsedSignal], *, request_id: str, deadline: float) -> list[Outcome]:
        work = self._activity.spawn(self._handle_all(signals, request_id=request_id, deadline=deadline))
        remaining = deadline - asyncio.get_running_loop().time()
        await asyncio.wait([work], timeout=max(0.0, remaining))
        if not work.done():
            raise deadline_passed(self._request_deadline)
        return work.result()

    async def _handle_all(self, signals: Sequence[ParsedSignal], *, request_id: str, deadline: float) -> list[Outcome]:
        """Find out what all signals are about, concurrently, and begin to handle each in payload order."""
        assert self.triage is not None, "requests get here only while the gateway runs"
        triage, spawn = self.triage, self._activity.spawn
        preparing = [
            spawn(triage.prepare(Incoming(signal, self.adapter.signal_type, mark_of(request_id, index), deadline)))
            for index, signal in enumerate(signals)
        ]
        outcomes: list[Outcome | asyncio.Task[Outcome]] = []
        for preparation in preparing:
            prepared = await preparation
            outcomes.append(spawn(triage.handle(prepared)) if isinstance(prepared, Prepared) else prepared)
        return [await outcome if isinstance(outcome, asyncio.Task) else outcome for outcome in outcomes]
