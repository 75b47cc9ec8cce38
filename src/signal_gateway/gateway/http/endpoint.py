"""SignalEndpoint: receives the requests of one source and responds with the outcomes of their signals."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from signal_gateway.clock import Clock
from signal_gateway.concurrency import BackgroundTasks
from signal_gateway.gateway.http.admission import MemoryBudget, Reservation
from signal_gateway.gateway.http.response_models import BatchResponse, SignalResponse, SignalResult
from signal_gateway.gateway.http.responses import deadline_passed, retry_after_header, unavailable
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.gateway.remediation.deduplication import Notifications
from signal_gateway.gateway.remediation.dispatcher import Dispatcher
from signal_gateway.gateway.remediation.outcome import Outcome
from signal_gateway.gateway.signals.adapter import Adapter, ParsedPayload
from signal_gateway.gateway.signals.signal import InvalidPayload, Sender
from signal_gateway.web.body import JSON, json_body
from signal_gateway.web.problem import Problem
from signal_gateway.web.serving.http_protocol import IS_CLOSING

__all__ = ["SignalEndpoint"]

_log = logging.getLogger(__name__)

_STATUSES: Final = {"created": 201, "duplicate": 202, "rejected": 200, "resolved": 200}
_SUMMARY: Final = {
    "created": "created",
    "duplicate": "deduplicated",
    "rejected": "rejected",
    "invalid": "rejected",
    "resolved": "resolved",
    "failed": "failed",
}


class SignalEndpoint:
    """Receives the signals of one source.

    Attributes:
        adapter: The adapter of the source.

    Args:
        adapter: The adapter of the source.
        dispatcher: Decides the signals.
        notifications: Remembers the signals of failed requests.
        budget: Limits the memory of the requests.
        metrics: Counts the signals that the sender left out.
        tasks: Owns the work, which continues after the deadline of its request.
        clock: The wall clock.
        request_deadline: Seconds after which a request gets a response.
    """

    def __init__(
        self,
        adapter: Adapter,
        *,
        dispatcher: Dispatcher,
        notifications: Notifications,
        budget: MemoryBudget,
        metrics: GatewayMetrics,
        tasks: BackgroundTasks,
        clock: Clock,
        request_deadline: float,
    ) -> None:
        self.adapter = adapter
        self._takes_untyped_bodies: bool = getattr(adapter, "takes_untyped_bodies", False)
        self._dispatcher = dispatcher
        self._notifications = notifications
        self._budget = budget
        self._metrics = metrics
        self._tasks = tasks
        self._clock = clock
        self._request_deadline = request_deadline

    async def receive(self, request: Request) -> Response:
        """Handle one request.

        Raises:
            Problem: The body is not valid, the deadline passed, or the only signal failed.
        """
        loop = asyncio.get_running_loop()
        received_at, deadline = self._clock.now(), loop.time() + self._request_deadline
        reservation = Reservation(self._budget)
        try:
            body = await json_body(request, meter=reservation, may_be_untyped=self._takes_untyped_bodies)
            reservation.add_values(body)
            signals = self.adapter.parse(body, received_at=received_at)
            reservation.add_signals(len(signals), body=body)
            del body  # the signals may wait for long
            state = request.scope["state"]
            sender = Sender(name=state.get("sender"), peer=state["peer"], ids=state["sender_ids"])
            request_id: str = state["request_id"]
            # only this package's server has the function that costs nothing
            is_sender_gone = request.scope.get("extensions", {}).get(IS_CLOSING, request.is_disconnected)
            group, truncated = None, 0
            if isinstance(signals, ParsedPayload):
                truncated = signals.truncated
                group = f"{self.adapter.name}\n{sender.name}\n{signals.group}" if signals.group is not None else None
            notification = await self._notifications.begin(group, is_sender_gone=is_sender_gone)
        except (Problem, InvalidPayload) as exc:
            reservation.release()
            problem = exc if isinstance(exc, Problem) else Problem(400, str(exc))
            raise problem.with_traceback(None) from None  # its frames hold the body while the rest of it arrives
        except BaseException:
            reservation.release()
            raise

        has_failed, number = True, len(signals)
        try:
            signals = list(map(partial(replace, sender=sender), signals))
            if truncated:
                self._note_truncated(truncated, request_id)
            work = self._tasks.spawn(
                self._dispatcher.dispatch(
                    signals,
                    signal_type=self.adapter.signal_type,
                    request_id=request_id,
                    deadline=deadline,
                    notification=notification,
                )
            )
            del signals
            work.add_done_callback(reservation.release)
            await asyncio.wait([work], timeout=max(0.0, deadline - loop.time()))
            if notification.is_given_up or not work.done():
                raise deadline_passed(self._request_deadline)
            outcomes, state["is_each_logged"] = work.result(), True
            response = _response(outcomes, truncated)
            is_gone = group is not None and is_sender_gone()
            has_failed = response.status_code >= 500 or (is_gone if isinstance(is_gone, bool) else await is_gone)
            return response
        except Problem as exc:
            has_failed = exc.status >= 500
            raise
        finally:
            self._notifications.end(notification, has_failed=has_failed)
            if has_failed:
                reservation.keep(notification.undecided, of=number)

    def _note_truncated(self, number: int, request_id: str) -> None:
        self._metrics.count_truncated(number, source=self.adapter.name)
        _log.warning(
            "the sender left out %d alerts of a notification, which are not handled: raise max_alerts of its webhook",
            number,
            extra={"request_id": request_id, "truncated_alerts": number},
        )


def _response(outcomes: Sequence[Outcome], truncated: int) -> Response:
    """Return the response to a request.

    Args:
        outcomes: One for each signal, in payload order.
        truncated: Number of alerts that the sender left out.

    Raises:
        Problem: The signal is invalid (400), failed for good (500), failed for now (503), or was not decided before the
            deadline (504).
    """
    if len(outcomes) > 1:
        return _response_to_several(outcomes, truncated)
    [outcome] = outcomes
    if outcome.status == "invalid":
        raise Problem(400, outcome.message)
    if outcome.status == "failed":
        if outcome.failure == "transient":
            raise unavailable(outcome.message, retry_after=outcome.retry_after)
        raise Problem(504 if outcome.failure == "deadline" else 500, outcome.message)
    body: SignalResponse = {
        "status": outcome.status,
        "message": outcome.message,
        "fingerprint": outcome.fingerprint,
        "duplicate": outcome.status == "duplicate",
    }
    rejection = outcome.rejection
    if rejection is not None:
        body["rejection"] = {
            "reason": rejection.reason,
            "resource": rejection.resource,
            "message": rejection.message,
            "action": rejection.action,
        }
    record = outcome.record
    if record is not None:
        body["remediationRequestName"] = record.name
        body["remediationRequestNamespace"] = record.namespace
        body["remediationRequestUid"] = record.uid
        if outcome.occurrence_count is not None:
            assert outcome.first_occurrence is not None, "a duplicate has all three"
            assert outcome.last_occurrence is not None, "a duplicate has all three"
            body["metadata"] = {
                "count": outcome.occurrence_count,
                "firstOccurrence": outcome.first_occurrence,
                "lastOccurrence": outcome.last_occurrence,
                "remediationRequestRef": f"{record.namespace}/{record.name}",
            }
    if truncated:
        body["truncatedAlerts"] = truncated
    return Response(orjson.dumps(body), status_code=_STATUSES[outcome.status], media_type=JSON)


def _response_to_several(outcomes: Sequence[Outcome], truncated: int) -> Response:
    """Return the response to a request with several signals: 207 if all of them are decided.

    If one failed for now, the status is 503 with the same body: the sender sends all signals again, and a retry of the
    same notification takes over the outcomes of the decided ones. The summary counts invalid signals as rejected.
    """
    counted = Counter(_SUMMARY[outcome.status] for outcome in outcomes)
    body: BatchResponse = {
        "results": [_result(outcome) for outcome in outcomes],
        "summary": {
            "total": len(outcomes),
            "created": counted["created"],
            "deduplicated": counted["deduplicated"],
            "rejected": counted["rejected"],
            "resolved": counted["resolved"],
            "failed": counted["failed"],
        },
    }
    if truncated:
        body["truncatedAlerts"] = truncated
    passing = [outcome for outcome in outcomes if outcome.failure in ("transient", "deadline")]
    if not passing:
        return Response(orjson.dumps(body), status_code=207, media_type=JSON)
    waits = [outcome.retry_after for outcome in passing if outcome.retry_after is not None]
    headers = retry_after_header(max(waits, default=None))
    return Response(orjson.dumps(body), status_code=503, headers=headers, media_type=JSON)


def _result(outcome: Outcome) -> SignalResult:
    is_error = outcome.status in ("invalid", "failed")
    return {
        "status": outcome.status,
        "fingerprint": outcome.fingerprint,
        "message": "The signal was not handled." if is_error else outcome.message,
        "error": outcome.message if is_error else None,
    }
