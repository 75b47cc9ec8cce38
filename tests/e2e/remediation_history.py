"""RemediationHistory: every change of the RemediationRequests of a cluster, as its watch tells them."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import httpx

from signal_gateway.testing import EmbeddedCluster

__all__ = ["RemediationHistory", "Request", "occurrences"]

Request = dict[str, Any]

_TERMINAL = ("Completed", "Failed", "TimedOut", "Skipped", "Cancelled")
_WATCH_SECONDS = 1  # after which one ends and the next goes on from there


class RemediationHistory:
    """Follows watches in a thread of its own, within `with`.

    Attributes:
        requests: All that ever were, by name, in the state that was seen last.
        most_active: The most RemediationRequests that were active at the same moment, by fingerprint.

    Args:
        cluster: It has no RemediationRequest yet.
    """

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self.requests: dict[str, Request] = {}
        self.most_active: Counter[str] = Counter()
        self._url = f"{cluster.url}/apis/kubernaut.ai/v1alpha1/namespaces/{cluster.namespace}/remediationrequests"
        self._seen = 0
        self._changed = threading.Condition()  # guards all of this
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> Self:
        listing = httpx.get(self._url, trust_env=False).json()
        assert listing["items"] == []
        self._seen = int(listing["metadata"]["resourceVersion"])
        self._thread.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def wait_for(self, condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
        """Wait until something holds; it is looked at after each change.

        Args:
            condition: It.
            what: It in words.
            timeout: Seconds to wait at the most.
        """
        with self._changed:
            self._changed.wait_for(lambda: condition() or not self._thread.is_alive(), timeout)
            assert condition(), f"not within {timeout} s: {what}"

    def catch_up(self) -> None:
        """Wait until the changes up to now have been seen."""
        listing = httpx.get(self._url, trust_env=False).json()
        newest = max((int(request["metadata"]["resourceVersion"]) for request in listing["items"]), default=0)
        self.wait_for(lambda: self._seen >= newest, "all changes are seen")

    def active(self) -> dict[str, Request]:
        """Return the RemediationRequests that are active now, by fingerprint."""
        with self._changed:
            return {_fingerprint(request): request for request in self.requests.values() if _is_active(request)}

    def _follow(self) -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not self._is_over.is_set():
                asked = {"watch": "1", "resourceVersion": str(self._seen), "timeoutSeconds": str(_WATCH_SECONDS)}
                with client.stream("GET", self._url, params=asked) as response:
                    for line in response.iter_lines():
                        self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        assert event["type"] in ("ADDED", "MODIFIED"), event
        request = event["object"]
        fingerprint = _fingerprint(request)
        with self._changed:
            self.requests[request["metadata"]["name"]] = request
            self._seen = int(request["metadata"]["resourceVersion"])
            active = sum(_fingerprint(one) == fingerprint and _is_active(one) for one in self.requests.values())
            self.most_active[fingerprint] = max(self.most_active[fingerprint], active)
            self._changed.notify_all()


def occurrences(request: Request) -> int:
    """Return how often what it handles has occurred; 1 if nobody has counted yet."""
    count: int = request.get("status", {}).get("deduplication", {}).get("occurrenceCount", 1)
    return count


def _fingerprint(request: Request) -> str:
    fingerprint: str = request["spec"]["signalFingerprint"]
    return fingerprint


def _is_active(request: Request) -> bool:
    return request.get("status", {}).get("overallPhase") not in _TERMINAL
