"""History: everything that became of the RemediationRequests of a cluster, from its own event log."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx

from signal_gateway.kubernetes import RemediationRecord
from signal_gateway.kubernetes.remediation_request import GROUP, KIND, VERSION

__all__ = ["Change", "History", "age"]

_WATCH_SECONDS = 30
_TIMEOUT = httpx.Timeout(10.0, read=_WATCH_SECONDS + 10.0)
_END_DEADLINE = 30.0
_END: dict[str, Any] = {
    "apiVersion": f"{GROUP}/{VERSION}",
    "kind": KIND,
    "metadata": {"name": "end-of-the-log"},
    "spec": {
        "signalFingerprint": "e" * 64,
        "signalName": "End",
        "severity": "none",
        "signalType": "alert",
        "targetType": "kubernetes",
        "targetResource": {"kind": "Deployment", "name": "end"},
        "firingTime": "2026-01-01T00:00:00Z",
        "receivedTime": "2026-01-01T00:00:00Z",
    },
}


@dataclass(frozen=True)
class Change:
    """One entry of the log.

    Attributes:
        record: The object from then on, or its last state.
        is_gone: Whether it was deleted by it.
    """

    record: RemediationRecord
    is_gone: bool

    @property
    def is_active(self) -> bool:
        return self.record.is_active and not self.is_gone


class History:
    """Watches a namespace on a thread of its own, from before the first object on.

    Args:
        http: A client of the API server itself.
        path: Of the namespace's RemediationRequests.

    Attributes:
        changes: In the order of the log.
        workloads: Name of the target by fingerprint.
    """

    def __init__(self, http: httpx.Client, path: str) -> None:
        self.changes: list[Change] = []
        self.workloads: dict[str, str] = {}
        self._http = http
        self._path = path
        self._lock = threading.Lock()
        self._newest: dict[str, Change] = {}
        self._in_order: dict[str, list[str]] = defaultdict(list)  # uids by fingerprint, in the order of their creation
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._follow, name="history")

    def __enter__(self) -> Self:
        listed = self._http.get(self._path).raise_for_status().json()
        assert not listed["items"], "the history begins with an empty namespace"
        self._version = listed["metadata"]["resourceVersion"]
        self._thread.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait until the log has come to its end, which an object of its own marks."""
        self._http.post(self._path, json=_END).raise_for_status()
        self._thread.join(_END_DEADLINE)
        if self._failure is not None:
            raise self._failure
        if self._thread.is_alive():
            raise TimeoutError(f"the log did not come to its end within {_END_DEADLINE} s")

    def active(self) -> list[RemediationRecord]:
        """Return what is active now, as far as the log has come."""
        with self._lock:
            return [change.record for change in self._newest.values() if change.is_active]

    def ended_but_the_newest(self) -> list[RemediationRecord]:
        """Return, of each problem, what has ended and is there still, without the one that was created last."""
        with self._lock:
            there = {
                uid: change.record
                for uid, change in self._newest.items()
                if not change.is_gone and not change.is_active
            }
            return [
                there[uid]
                for uids in self._in_order.values()
                for uid in [uid for uid in uids if uid in there][:-1]
                if not there[uid].being_deleted
            ]

    def moments_with_two(self) -> Iterator[str]:
        """Yield each moment in which a problem has more than one active RemediationRequest."""
        active: dict[str, set[str]] = defaultdict(set)
        for change in self.changes:
            record = change.record
            names = active[record.fingerprint]
            before = len(names)
            names.discard(record.name)
            if change.is_active:
                names.add(record.name)
            if len(names) > max(1, before):
                yield f"at {record.resource_version}: {', '.join(sorted(names))}"

    def last_of_each(self) -> dict[str, RemediationRecord]:
        """Return the last state of every object that ever was, by uid."""
        return {change.record.uid: change.record for change in self.changes}

    def _follow(self) -> None:
        try:
            while self._watch():
                pass
        except Exception as exc:  # noqa: BLE001 - raised where the history ends
            self._failure = exc

    def _watch(self) -> bool:
        """Watch for a while; say whether the log goes on."""
        parameters = {"watch": "1", "resourceVersion": self._version, "timeoutSeconds": str(_WATCH_SECONDS)}
        with self._http.stream("GET", self._path, params=parameters, timeout=_TIMEOUT) as response:
            response.raise_for_status()
            for line in response.iter_lines():
                event = json.loads(line)
                if event["object"]["metadata"]["name"] == _END["metadata"]["name"]:
                    return False
                self._take(event)
        return True

    def _take(self, event: dict[str, Any]) -> None:
        assert event["type"] in ("ADDED", "MODIFIED", "DELETED"), event
        record = RemediationRecord.from_object(event["object"])
        change = Change(record, event["type"] == "DELETED")
        with self._lock:
            self._version = record.resource_version
            self.workloads[record.fingerprint] = event["object"]["spec"]["targetResource"]["name"]
            self.changes.append(change)
            if record.uid not in self._newest:
                self._in_order[record.fingerprint].append(record.uid)
            self._newest[record.uid] = change


def age(record: RemediationRecord) -> float:
    """Return for how many seconds a RemediationRequest has been there."""
    return (datetime.now(UTC) - record.created_at).total_seconds()
