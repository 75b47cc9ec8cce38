"""How outcomes are answered over HTTP: statuses and bodies."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import orjson
from starlette.responses import Response

from signal_gateway.gateway.http.response_models import BatchResponse, SignalResponse, SignalResult
from signal_gateway.gateway.remediation.outcome import Outcome
from signal_gateway.web.problem import Problem

__all__ = ["RETRY_AFTER_SECONDS", "answer_batch", "answer_single", "deadline_passed", "unavailable"]

RETRY_AFTER_SECONDS = 5

_SINGLE_STATUS = {"created": 201, "duplicate": 202, "rejected": 200, "resolved": 200}
_SUMMARY = {
    "created": "created",
    "duplicate": "deduplicated",
    "rejected": "rejected",
    "invalid": "rejected",
    "resolved": "resolved",
    "failed": "failed",
}


def unavailable(detail: str, *, retry_after: float | None = None) -> Problem:
    """Return a 503 that says when to come back.

    Args:
        detail: One sentence for the sender.
        retry_after: Seconds, if known; a few otherwise.
    """
    return Problem(503, detail, headers=_retry_after(retry_after))


def deadline_passed(seconds: float) -> Problem:
    """Return the 504 of a request that took longer than its deadline."""
    return Problem(504, f"The request was not done within {seconds:g} s; what it began goes on. Send it again.")


def answer_single(outcome: Outcome) -> Response:
    """Answer a request that had one signal.

    Raises:
        Problem: The signal is invalid (400), refused for good (500), failed for a reason that passes (503), or
            its turn did not come before the deadline (504).
    """
    if outcome.status == "invalid":
        raise Problem(400, outcome.message)
    if outcome.status == "failed":
        if outcome.failure == "transient":
            raise unavailable(outcome.message, retry_after=outcome.retry_after)
        raise Problem(504 if outcome.failure == "deadline" else 500, outcome.message)
    return _json(_single_body(outcome, outcome.status), status=_SINGLE_STATUS[outcome.status])


def answer_batch(outcomes: Sequence[Outcome]) -> Response:
    """Answer a request that had several signals: 207 if each of them is decided.

    If one failed for a reason that passes, the same body is a 503: the sender sends all of them again, and those
    that were handled become duplicates. In the summary invalid signals count as rejected.

    Args:
        outcomes: One for each signal, in payload order.
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
    passing = [outcome for outcome in outcomes if outcome.failure in ("transient", "deadline")]
    if not passing:
        return _json(body, status=207)
    waits = [outcome.retry_after for outcome in passing if outcome.retry_after is not None]
    return _json(body, status=503, headers=_retry_after(max(waits, default=None)))


def _single_body(outcome: Outcome, status: Literal["created", "duplicate", "rejected", "resolved"]) -> SignalResponse:
    body: SignalResponse = {
        "status": status,
        "message": outcome.message,
        "fingerprint": outcome.fingerprint,
        "duplicate": status == "duplicate",
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
    return body


def _result(outcome: Outcome) -> SignalResult:
    is_error = outcome.status in ("invalid", "failed")
    return {
        "status": outcome.status,
        "fingerprint": outcome.fingerprint,
        "message": "The signal was not handled." if is_error else outcome.message,
        "error": outcome.message if is_error else None,
    }


def _retry_after(seconds: float | None) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(RETRY_AFTER_SECONDS if seconds is None else seconds)))}


def _json(body: SignalResponse | BatchResponse, *, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status_code=status, headers=headers, media_type="application/json")
