"""OriginalDataStorage: a server on a real socket with the rules of the Go original of the audit API, kubernaut's.

Rules and problems are those of its OpenAPI document and its handlers, for the events of a gateway. What it knows:

- four event types of a gateway, with five required members of `event_data`; members that it does not know are dropped
- ids of its own: `event_id` of a request is ignored, and a `parent_event_id` must be one of its ids
- event times from 7 days ago to one hour ahead
- queries with seven filters, newest first, `limit` 1 to 1000 (default 100) and `offset`; no order, no cursor
- an export that is one JSON document, for requests with the header X-Auth-Request-User
"""

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from signal_gateway.audit import AuditEvent

__all__ = ["GATEWAY_EVENT_TYPES", "OriginalDataStorage", "check_schema", "gateway_event"]

GATEWAY_EVENT_TYPES = (
    "gateway.signal.received",
    "gateway.signal.deduplicated",
    "gateway.crd.created",
    "gateway.crd.failed",
)

_PROBLEMS = "https://kubernaut.ai/problems/"
_SCHEMA = "The request did not pass OpenAPI schema validation"
_REQUIRED = ("version", "event_type", "event_timestamp", "event_category", "event_action", "event_outcome")
_REQUIRED_DATA = ("signal_type", "signal_name", "namespace", "fingerprint", "event_type")
_KEPT_DATA = (
    *_REQUIRED_DATA,
    *("original_payload", "signal_labels", "signal_annotations", "severity", "resource_kind", "resource_name"),
    *("remediation_request", "deduplication_status", "occurrence_count", "error_details"),
)
_KEPT_ENVELOPE = ("correlation_id", "parent_event_id", "namespace", "severity")
_NOT_READ = {  # what its query says of members that are not set, or that it does not read from its table
    **dict.fromkeys(("namespace", "cluster_name", "severity", "error_code", "error_message"), ""),
    **dict.fromkeys(("event_hash", "previous_event_hash", "legal_hold_reason", "legal_hold_placed_by"), ""),
    **dict.fromkeys(("parent_event_id", "parent_event_date", "legal_hold_placed_at"), None),
    **dict.fromkeys(("duration_ms", "retention_days"), 0),
    **dict.fromkeys(("is_sensitive", "legal_hold"), False),
}
_FILTERS = ("correlation_id", "event_type", "event_category", "event_outcome", "severity")
_LIMITS = re.compile(r"[+-]?\d+")


def gateway_event(number: int = 0, *, age: timedelta = timedelta(), **fields: Any) -> AuditEvent:
    """Return an event of a gateway, with its number as `occurrence_count`."""
    members = {
        "event_type": "gateway.signal.deduplicated",
        "event_timestamp": datetime.now(UTC) - age,
        "event_category": "gateway",
        "event_action": "deduplicated",
        "event_outcome": "success",
        "correlation_id": "rr-1",
        **fields,
    }
    data = dict.fromkeys(_REQUIRED_DATA, "") | {"signal_type": "alert", "event_type": members["event_type"]}
    return AuditEvent.model_validate(members | {"event_data": data | {"occurrence_count": number}})


class _Problem(Exception):  # noqa: N818 - a response, not an error of the test
    def __init__(self, status: int, kind: str, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.document = {"type": _PROBLEMS + kind, "title": title, "status": status, "detail": detail}


def _invalid(detail: str) -> _Problem:
    return _Problem(400, "validation-error", "Validation Error", detail)


class OriginalDataStorage:
    """The server, from `with` to its end.

    Args:
        max_batch: Maximum events of a batch.

    Attributes:
        stored: The stored events, as a query returns them, in the order of storage.
        requests: Method and target of each request.
        before_page: Called before each page of a query, for tests of a trail that grows or shrinks meanwhile.
    """

    def __init__(self, *, max_batch: int = 1000) -> None:
        self.stored: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.before_page: Callable[[Mapping[str, str]], None] = lambda _: None
        self._max_batch = max_batch
        self._lock = threading.Lock()
        self._listener = _Listener(("127.0.0.1", 0), _Handler)
        self._listener.owner = self
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.005})

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self._listener.server_port}"

    def put(self, *events: AuditEvent) -> list[str]:
        """Store events, and return the ids that they get."""
        return self.store([json.loads(event.to_wire()) for event in events])

    def store(self, events: Sequence[Mapping[str, Any]]) -> list[str]:
        """Store events in wire format, all or none; return the ids that they get.

        Raises:
            _Problem: An event violates a rule.
        """
        with self._lock:
            ids = {event["event_id"] for event in self.stored}
            for event in events:
                check_schema(event)
            for index, event in enumerate(events):
                if (rule := _violated_rule(event, ids)) is not None:
                    raise _invalid(f"event at index {index}: {rule}")
            kept = [_as_stored(event) for event in events]
            self.stored.extend(kept)
            return [event["event_id"] for event in kept]

    def query(self, params: Mapping[str, str]) -> dict[str, Any]:
        """Return the response to a query. Unknown parameters are ignored."""
        limit, offset = _number(params.get("limit", "100")), _number(params.get("offset", "0"))
        if not 1 <= limit <= 1000 or offset < 0:
            raise _invalid("pagination: limit must be between 1 and 1000, offset must not be negative")
        self.before_page(params)
        with self._lock:
            found = [
                event
                for event in self.stored
                if all(event.get(name) == params[name] for name in params.keys() & _FILTERS)
            ]
        if since := params.get("since"):
            found = [event for event in found if _moment(event["event_timestamp"]) >= _since(since)]
        if until := params.get("until"):
            found = [event for event in found if _moment(event["event_timestamp"]) <= _since(until)]
        found.sort(key=lambda event: (_moment(event["event_timestamp"]), event["event_id"]), reverse=True)
        pagination = {
            "limit": limit,
            "offset": offset,
            "total": len(found),
            "has_more": offset + limit < len(found),
        }
        return {"data": found[offset : offset + limit], "pagination": pagination}

    def _post(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if path != "/api/v1/audit/events/batch":
            raise _Problem(404, "not-found", "Not Found", path)
        events = json.loads(body)
        if not events:
            raise _invalid("batch cannot be empty")
        if len(events) > self._max_batch:
            raise _Problem(
                400, "batch-size-exceeded", "Batch Size Exceeded", f"batch size {len(events)} exceeds maximum"
            )
        ids = self.store(events)
        return 201, {"event_ids": ids, "message": f"{len(ids)} audit events created successfully"}

    def _get(self, path: str, params: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        match path:
            case "/api/v1/audit/events":
                return 200, self.query(params)
            case "/api/v1/audit/export":
                if not headers.get("x-auth-request-user"):
                    missing = "X-Auth-Request-User header required for audit export"
                    raise _Problem(401, "export/unauthorized", "Unauthorized", missing)
                return 200, {"export_metadata": {"signature": "c2ln"}, "events": self.stored[:1000]}
        raise _Problem(404, "not-found", "Not Found", path)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    owner: OriginalDataStorage


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self._answer(lambda path, _: self.server.owner._post(path, body))

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._answer(lambda path, params: self.server.owner._get(path, params, headers))

    def _answer(self, handle: Callable[[str, Mapping[str, str]], tuple[int, dict[str, Any]]]) -> None:
        target = urlsplit(self.path)
        self.server.owner.requests.append(f"{self.command} {self.path}")
        try:
            status, document = handle(target.path, dict(parse_qsl(target.query)))
            media_type = "application/json"
        except _Problem as problem:
            status, document, media_type = problem.status, problem.document, "application/problem+json"
        body = json.dumps(document).encode()
        if status == 404:  # of its router
            body, media_type = b"404 page not found\n", "text/plain; charset=utf-8"
        self.send_response(status)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def check_schema(event: Mapping[str, Any]) -> None:
    """Check an event of a gateway against the schema, which describes requests and responses alike.

    Raises:
        Exception: The event does not match it.
    """
    data = event.get("event_data")
    if (
        not all(event.get(name) for name in (*_REQUIRED, "correlation_id"))
        or not isinstance(data, dict)
        or data.get("event_type") not in GATEWAY_EVENT_TYPES
        or not all(isinstance(data.get(name), str) for name in _REQUIRED_DATA)
        or data["signal_type"] != "alert"
        or event["event_category"] != "gateway"
    ):
        raise _invalid(_SCHEMA)


def _violated_rule(event: Mapping[str, Any], ids: set[str]) -> str | None:
    now, moment = datetime.now(UTC), _moment(event["event_timestamp"])
    if moment > now + timedelta(hours=1):
        return "invalid timestamp: timestamp is in the future"
    if moment < now - timedelta(days=7):
        return "invalid timestamp: timestamp is too old (must be within 7 days)"
    if event.get("parent_event_id") and event["parent_event_id"] not in ids:
        return "parent event does not exist"
    return None


def _as_stored(event: Mapping[str, Any]) -> dict[str, Any]:
    data = {name: value for name, value in event["event_data"].items() if name in _KEPT_DATA}
    category = event["event_category"]
    defaults = {
        "actor_type": "service",
        "actor_id": f"{category}-service",
        "resource_type": category,
        "resource_id": event["correlation_id"],
    }
    kept = {name: event[name] for name in (*_REQUIRED, *_KEPT_ENVELOPE, *defaults) if name in event}
    day = event["event_timestamp"][:10]
    return _NOT_READ | defaults | kept | {"event_id": str(uuid4()), "event_data": data, "event_date": day}


def _number(text: str) -> int:
    if not _LIMITS.fullmatch(text):
        raise _invalid("query: must be an integer")
    return int(text)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _since(text: str) -> datetime:
    if text.endswith("h"):
        return datetime.now(UTC) - timedelta(hours=float(text[:-1]))
    return _moment(text)
