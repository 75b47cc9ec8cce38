"""RemediationHistory: everything that became of the RemediationRequests of a cluster, from its own event log."""

import itertools
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from signal_gateway.kubernetes import RemediationRecord
from signal_gateway.kubernetes.index import GROUP, KIND, PLURAL, VERSION

__all__ = ["Change", "RemediationHistory"]

_WATCH_SECONDS = 1  # after which one ends and the next goes on from there
_READ_TIMEOUT = 60.0
_END_DEADLINE = _WATCH_SECONDS + _READ_TIMEOUT
_MARKER = "end-of-the-log-"
_MARKER_SPEC = {
    "signalFingerprint": "e" * 64,
    "signalName": "End",
    "severity": "none",
    "signalType": "alert",
    "targetType": "kubernetes",
    "targetResource": {"kind": "Deployment", "name": "end"},
    "firingTime": "2026-01-01T00:00:00Z",
    "receivedTime": "2026-01-01T00:00:00Z",
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


class RemediationHistory:
    """Follows watches on a thread of its own, within `with`, from before the first RemediationRequest on.

    Args:
        http: A client of the API server itself; its end is somebody else's.
        namespace: Where the RemediationRequests are.

    Attributes:
        changes: In the order of the log.
        workloads: Name of the target by fingerprint.
    """

    def __init__(self, http: httpx.Client, namespace: str) -> None:
        self.changes: list[Change] = []
        self.workloads: dict[str, str] = {}
        self._http = http
        self._path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"
        self._changed = threading.Condition()  # guards all of this
        self._newest: dict[str, Change] = {}  # by uid, in the order of their creation
        self._version = ""
        self._markers: set[str] = set()
        self._numbers = itertools.count()
        self._failure: Exception | None = None
        self._is_over = threading.Event()
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
        self._is_over.set()
        self._thread.join(_END_DEADLINE)
        assert not self._thread.is_alive(), f"the watch did not end within {_END_DEADLINE} s"

    @property
    def requests(self) -> dict[str, RemediationRecord]:
        """The last state of every object that ever was, by name."""
        with self._changed:
            return {change.record.name: change.record for change in self._newest.values()}

    def last_of_each(self) -> dict[str, RemediationRecord]:
        """Return the last state of every object that ever was, by uid."""
        with self._changed:
            return {uid: change.record for uid, change in self._newest.items()}

    def active(self) -> list[RemediationRecord]:
        """Return what is active now, as far as the log has come."""
        with self._changed:
            return [change.record for change in self._newest.values() if change.is_active]

    def ended_but_the_newest(self) -> list[RemediationRecord]:
        """Return, of each problem, what has ended and is there still, without the one that was created last."""
        ended: dict[str, list[RemediationRecord]] = defaultdict(list)
        with self._changed:
            for change in self._newest.values():
                if not change.is_gone and not change.is_active:
                    ended[change.record.fingerprint].append(change.record)
        return [record for records in ended.values() for record in records[:-1] if not record.being_deleted]

    def moments_with_two(self) -> list[str]:
        """Return each moment in which a problem has more than one active RemediationRequest."""
        return list(_moments_with_two(self.changes))

    def wait_for(self, condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
        """Wait until something holds; it is looked at after each change.

        Args:
            condition: It.
            what: It in words.
            timeout: Seconds to wait at the most.
        """
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._failure is not None, timeout)
            if self._failure is not None:
                raise self._failure
            assert condition(), f"not within {timeout} s: {what}"

    def catch_up(self) -> None:
        """Wait until the changes up to now have been seen: until the log tells of an object that is made for it."""
        name = f"{_MARKER}{next(self._numbers)}"
        marker = {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": {"name": name}, "spec": _MARKER_SPEC}
        self._http.post(self._path, json=marker).raise_for_status()
        self.wait_for(lambda: name in self._markers, "all changes are seen")

    def _follow(self) -> None:
        try:
            while not self._is_over.is_set():
                self._watch()
        except Exception as exc:  # noqa: BLE001 - raised to whoever waits
            with self._changed:
                self._failure = exc
                self._changed.notify_all()

    def _watch(self) -> None:
        parameters = {"watch": "1", "resourceVersion": self._version, "timeoutSeconds": str(_WATCH_SECONDS)}
        with self._http.stream("GET", self._path, params=parameters, timeout=_READ_TIMEOUT) as response:
            response.raise_for_status()
            for line in response.iter_lines():
                self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        assert event["type"] in ("ADDED", "MODIFIED", "DELETED"), event
        record = RemediationRecord.from_object(event["object"])
        change = Change(record, event["type"] == "DELETED")
        with self._changed:
            self._version = record.resource_version
            if record.name.startswith(_MARKER):
                self._markers.add(record.name)
            else:
                self.workloads[record.fingerprint] = event["object"]["spec"]["targetResource"]["name"]
                self.changes.append(change)
                self._newest[record.uid] = change
            self._changed.notify_all()


def _moments_with_two(changes: list[Change]) -> Iterator[str]:
    active: dict[str, set[str]] = defaultdict(set)
    for change in changes:
        record = change.record
        names = active[record.fingerprint]
        before = len(names)
        names.discard(record.name)
        if change.is_active:
            names.add(record.name)
        if len(names) > max(1, before):
            yield f"at {record.resource_version}: {', '.join(sorted(names))}"
