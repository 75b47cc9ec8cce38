"""The gateway's HTTP routes: one for the signals of each source, and those of `health`."""

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signal_gateway.clock import Clock
from signal_gateway.gateway.activity import Activity
from signal_gateway.gateway.answers import answer_batch, answer_single, deadline_passed
from signal_gateway.gateway.remediation.outcome import Outcome
from signal_gateway.gateway.remediation.triage import Triage
from signal_gateway.gateway.signals.adapter import Adapter, InvalidPayload
from signal_gateway.web.json_body import json_body
from signal_gateway.web.problem import Problem

__all__ = ["SignalEndpoint", "signal_route"]


def signal_route(endpoint: "SignalEndpoint") -> Route:
    """Return the route of one source's signals."""
    return Route(f"/api/v1/signals/{endpoint.adapter.name}", endpoint.receive, methods=["POST"])


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
        try:
            async with asyncio.timeout_at(deadline):
                body = await json_body(request)
        except TimeoutError as exc:
            raise deadline_passed(self._request_deadline) from exc
        try:
            signals = self.adapter.parse(body, received_at=received_at)
        except InvalidPayload as exc:
            raise Problem(400, str(exc)) from exc

        assert self.triage is not None, "requests get here only while the gateway runs"
        tasks = [
            self._activity.spawn(
                self.triage.handle(
                    signal,
                    signal_type=self.adapter.signal_type,
                    mark=f"{request.state.request_id}/{index}",
                    deadline=deadline,
                )
            )
            for index, signal in enumerate(signals)
        ]
        outcomes = await self._outcomes(tasks, deadline)
        return answer_single(outcomes[0]) if len(outcomes) == 1 else answer_batch(outcomes)

    async def _outcomes(self, tasks: Sequence[asyncio.Task[Outcome]], deadline: float) -> list[Outcome]:
        remaining = deadline - asyncio.get_running_loop().time()
        _, unfinished = await asyncio.wait(tasks, timeout=max(0.0, remaining))
        if unfinished:
            raise deadline_passed(self._request_deadline)
        return [task.result() for task in tasks]
