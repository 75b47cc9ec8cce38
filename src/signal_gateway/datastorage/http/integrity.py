"""IntegrityApi: the HTTP endpoints for auditors, which verify the chain, and place and release legal holds."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import orjson
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signal_gateway.audit.event import AuditEvent
from signal_gateway.clock import Clock
from signal_gateway.datastorage.backend import Backend, CasePage, LegalHold
from signal_gateway.datastorage.http.api import database_errors
from signal_gateway.datastorage.http.response_models import (
    MAX_REASON_LENGTH,
    CheckpointResponse,
    FindingResponse,
    HoldItem,
    HoldsResponse,
    PlacedHoldItem,
    VerificationResponse,
)
from signal_gateway.datastorage.integrity.checkpoint import Checkpoint
from signal_gateway.datastorage.integrity.verification import ChainVerdict, Window
from signal_gateway.datastorage.query import EventQuery, event_query
from signal_gateway.datastorage.record import microseconds, row_of
from signal_gateway.datastorage.verify import Verifications
from signal_gateway.web.body import JSON, json_body
from signal_gateway.web.disconnection import while_connected
from signal_gateway.web.problem import Problem

__all__ = ["IntegrityApi"]

_PARAMETERS = ("since", "until", "checkpoint")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN_CHARACTERS = 60  # of a value of a hold in an error


class IntegrityApi:
    """The endpoints of one backend.

    Args:
        backend: The database; the caller opens and closes it.
        clock: Gives the time of a hold.
        verifications: Verifies the chain.
    """

    def __init__(self, *, backend: Backend, clock: Clock, verifications: Verifications) -> None:
        self._backend = backend
        self._clock = clock
        self._verifications = verifications

    def routes(self) -> list[Route]:
        """Return the routes; no path has parameters."""
        return [
            Route("/api/v1/audit/verify", self._verify, methods=["GET"]),
            Route("/api/v1/audit/holds", self._holds, methods=["GET", "POST"]),
            Route("/api/v1/audit/holds/release", self._release, methods=["POST"]),
        ]

    async def _verify(self, request: Request) -> Response:
        window, checkpoint = _verification(request.query_params.multi_items(), now=self._clock.now())
        with database_errors("Retry later."):
            verification = self._verifications.verify(window=window, checkpoint=checkpoint)
            verdict = await while_connected(request, verification)
        return Response(orjson.dumps(_response(verdict)), media_type=JSON)

    async def _holds(self, request: Request) -> Response:
        return await (self._place(request) if request.method == "POST" else self._list())

    async def _list(self) -> Response:
        with database_errors("Retry later."):
            holds = await self._backend.holds()
        return Response(orjson.dumps(HoldsResponse(holds=[_item(hold) for hold in holds])), media_type=JSON)

    async def _place(self, request: Request) -> Response:
        members = _hold_members(await json_body(request))
        event, reason = _hold_event(members, "placed", now=self._clock.now())
        allow_unknown = members.get("allow_unknown", False)
        if not isinstance(allow_unknown, bool):
            raise _invalid("allow_unknown", "must be true or false")
        now = microseconds(self._clock.now())
        hold = LegalHold(event.correlation_id, reason, event.actor_id or "", now)
        with database_errors("Nothing was changed. Send the request again."):
            row = row_of(event, received_at=now)
            placed = await self._backend.place_hold(hold, row, allow_unknown=allow_unknown)
        if placed is None:
            raise _unknown_case(event.correlation_id)
        if (placed.hold.reason, placed.hold.placed_by) != (hold.reason, hold.placed_by):
            raise _on_hold_already(placed.hold)
        with database_errors("The case is on hold. Send the request again for the number of its events."):
            cases = await self._backend.cases(EventQuery(correlation_id=event.correlation_id, limit=1))
        item = _placed_item(placed.hold, cases)
        return Response(orjson.dumps(item), status_code=201 if placed.is_new else 200, media_type=JSON)

    async def _release(self, request: Request) -> Response:
        event, _ = _hold_event(_hold_members(await json_body(request)), "released", now=self._clock.now())
        with database_errors("Nothing was changed. Send the request again."):
            row = row_of(event, received_at=microseconds(self._clock.now()))
            was_held = await self._backend.release_hold(event.correlation_id, row)
        if not was_held:
            raise _invalid("correlation_id", f"has no hold: {event.correlation_id!r}")
        return await self._list()


def _verification(parameters: Iterable[tuple[str, str]], *, now: datetime) -> tuple[Window, Checkpoint | None]:
    times: list[tuple[str, str]] = []
    checkpoint = None
    for name, value in parameters:
        if name not in _PARAMETERS or (name == "checkpoint" and checkpoint is not None):
            reason = f"is unknown or repeated; use {', '.join(_PARAMETERS)}, each once"
            raise Problem(
                400, f"Query parameter {name!r} {reason}.", members={"errors": [{"field": name, "reason": reason}]}
            )
        if name != "checkpoint":
            times.append((name, value))
            continue
        try:
            checkpoint = Checkpoint.parse(value)
        except ValueError as exc:
            reason = f"is no checkpoint: it {exc}"
            raise Problem(
                400,
                f"Query parameter 'checkpoint' {reason}.",
                members={"errors": [{"field": "checkpoint", "reason": reason}]},
            ) from exc
    query = event_query(times, now=now)
    since, until = (None if time is None else microseconds(time) for time in (query.since, query.until))
    return Window(since, until), checkpoint


def _response(verdict: ChainVerdict) -> VerificationResponse:
    finding, checkpoint = verdict.finding, verdict.checkpoint
    return VerificationResponse(
        unaltered=finding is None,
        links=verdict.links,
        events=verdict.events,
        all_events=verdict.all_events,
        purged=verdict.purged,
        finding=None
        if finding is None
        else FindingResponse(
            reason=finding.reason, link=finding.link, sequence=finding.sequence, event_id=finding.event_id
        ),
        checkpoint=None if checkpoint is None else CheckpointResponse(**checkpoint.to_json()),
    )


def _hold_members(body: bytes) -> dict[str, Any]:
    """Parse the body of a request about a hold."""
    try:
        members: Any = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise Problem(400, f"The body is not valid JSON: {exc}.") from exc
    if not isinstance(members, dict):
        raise Problem(400, "The body must be a JSON object with correlation_id, reason and by.")
    return members


def _hold_event(
    members: Mapping[str, Any], action: Literal["placed", "released"], *, now: datetime
) -> tuple[AuditEvent, str]:
    """Return the event of a request about a hold, and its reason."""
    reason, author = members.get("reason"), members.get("by")
    if not isinstance(reason, str) or not reason.strip() or len(reason) > MAX_REASON_LENGTH:
        raise _invalid("reason", f"must be a text of 1 to {MAX_REASON_LENGTH} characters, and not blank")
    if not isinstance(author, str) or not author.strip():
        raise _invalid("by", "must name the person who is responsible")
    event_type = f"datastorage.hold.{action}"
    try:
        event = AuditEvent(
            event_type=event_type,
            event_timestamp=now,
            event_category="datastorage",
            event_action=action,
            event_outcome="success",
            correlation_id=members.get("correlation_id"),  # type: ignore[arg-type]
            actor_type="user",
            actor_id=author,
            resource_type="LegalHold",
            event_data={"event_type": event_type, "reason": reason},
        )
    except ValidationError as exc:
        error = exc.errors(include_url=False, include_input=False)[0]
        names = {"actor_id": "by", "event_data": "reason"}
        name = str(error["loc"][0]) if error["loc"] else "body"
        raise _invalid(names.get(name, name), error["msg"]) from exc
    return event, reason


def _invalid(name: str, reason: str) -> Problem:
    errors: Sequence[dict[str, str]] = [{"field": name, "reason": reason}]
    return Problem(400, f"The member {name!r} {reason}.", members={"errors": errors})


def _unknown_case(correlation_id: str) -> Problem:
    reason = (
        f"has no stored events: {_shown(correlation_id)}. Check it, or set allow_unknown to true (--allow-unknown) to "
        "place the hold before the events arrive"
    )
    return _invalid("correlation_id", reason)


def _on_hold_already(hold: LegalHold) -> Problem:
    item = _item(hold)
    return Problem(
        409,
        f"The case {_shown(hold.correlation_id)} is on hold already, since {item.placed_at.isoformat()} by "
        f"{_shown(hold.placed_by)} for {_shown(hold.reason)}. Release that hold first.",
        members={"hold": item},
    )


def _shown(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[: _SHOWN_CHARACTERS - 1]}…"


def _placed_item(hold: LegalHold, cases: CasePage) -> PlacedHoldItem:
    item = _item(hold)
    case = cases.cases[0] if cases.cases else None  # a hold outlives the events that its case had before
    return PlacedHoldItem(
        correlation_id=item.correlation_id,
        reason=item.reason,
        by=item.by,
        placed_at=item.placed_at,
        events=0 if case is None else case.events,
        workload_kind=None if case is None else case.workload_kind,
        workload_namespace=None if case is None else case.workload_namespace,
        workload_name=None if case is None else case.workload_name,
    )


def _item(hold: LegalHold) -> HoldItem:
    placed_at = _EPOCH + timedelta(microseconds=hold.placed_at)
    return HoldItem(correlation_id=hold.correlation_id, reason=hold.reason, by=hold.placed_by, placed_at=placed_at)
