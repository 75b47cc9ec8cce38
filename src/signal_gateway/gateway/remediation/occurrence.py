"""OccurrenceCounter: counts duplicates on their RemediationRequest, by a group commit that also checks the decision."""

import asyncio
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from signal_gateway.clock import Clock, rfc3339
from signal_gateway.concurrency import BackgroundTasks
from signal_gateway.gateway.remediation.deduplication import DuplicateOf, decide
from signal_gateway.gateway.remediation.outcome import Undecided
from signal_gateway.gateway.remediation.requests import RemediationRequests
from signal_gateway.kubernetes import Conflict, KubernetesError, NotFound, RemediationRecord

__all__ = ["Occurrence", "OccurrenceCounter"]

_RANDOM: Final = random.SystemRandom()  # a test that seeds the shared generator expects its own sequence
_INITIAL_WAIT: Final = 0.002
_MAX_WAIT: Final = 0.1


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A duplicate after its count.

    Attributes:
        record: The RemediationRequest with the count.
        count: The number of this occurrence; the creation was the first.
        first_seen: Time of the first occurrence in RFC 3339.
        last_seen: Time of the last occurrence in RFC 3339.
        request: The RemediationRequest with the count, as the API sent it.
    """

    record: RemediationRecord
    count: int
    first_seen: str
    last_seen: str
    request: Mapping[str, Any]


@dataclass(slots=True)
class _Waiter:
    counted: asyncio.Future[Occurrence | None]
    seen_at: datetime
    deadline: float


class _LostResponses:
    """Keeps the transient failures of a patch: each of these attempts may have been carried out."""

    def __init__(self) -> None:
        self.last: KubernetesError | None = None

    def add_failure(self, failure: KubernetesError) -> None:
        if failure.is_transient:
            self.last = failure


class OccurrenceCounter:
    """Counts duplicates: one write for each object at a time, shared by all duplicates that wait for the next write.

    `status.deduplication` is patched under the resourceVersion of the object. A successful patch proves that the object
    did not change since the decision. `acknowledged <= occurrenceCount <= received` always holds. So a write without a
    response is never repeated blindly: either the object shows that the write was carried out, or that it was not, or
    the waiting duplicates fail and their senders retry.

    If the object changed, such as by the count of another replica, the write is repeated until the deadline, after a
    random wait of up to 2 ms, which doubles with each attempt up to 100 ms. Each attempt decides again.

    Belongs to one event loop. A writer may outlive the requests that wait for it.

    Args:
        requests: The RemediationRequests.
        clock: The wall clock, for the next allowed execution.
        tasks: Owns the writers.
    """

    def __init__(self, requests: RemediationRequests, *, clock: Clock, tasks: BackgroundTasks) -> None:
        self._requests = requests
        self._clock = clock
        self._tasks = tasks
        self._waiting: dict[str, list[_Waiter]] = {}

    def count(
        self, record: RemediationRecord, *, seen_at: datetime, deadline: float
    ) -> asyncio.Future[Occurrence | None]:
        """Add a duplicate to the next write of an object.

        Args:
            record: The active RemediationRequest.
            seen_at: Arrival of the duplicate.
            deadline: Time of the running loop after which no further attempt starts.

        Returns:
            A future of the occurrence; of None if the object does not handle the problem any more and the signal has to
            be decided again. A failed write sets a KubernetesError or Undecided.
        """
        waiter = _Waiter(asyncio.get_running_loop().create_future(), seen_at, deadline)
        if record.uid in self._waiting:
            self._waiting[record.uid].append(waiter)
        else:
            self._waiting[record.uid] = [waiter]
            self._tasks.spawn(self._write(record))
        return waiter.counted

    async def _write(self, record: RemediationRecord) -> None:
        waiting = self._waiting[record.uid]
        batch: list[_Waiter] = []
        try:
            while waiting:
                batch = waiting.copy()
                waiting.clear()
                await self._settle(record, batch)
        finally:
            del self._waiting[record.uid]
            for waiter in (*batch, *waiting):
                waiter.counted.cancel()

    async def _settle(self, record: RemediationRecord, batch: Sequence[_Waiter]) -> None:
        try:
            occurrences = await self._commit(record, batch)
        except (KubernetesError, Undecided) as exc:
            for waiter in batch:
                if not waiter.counted.done():
                    waiter.counted.set_exception(exc)
            return
        for waiter, occurrence in zip(batch, occurrences, strict=True):
            if not waiter.counted.done():
                waiter.counted.set_result(occurrence)

    async def _commit(self, record: RemediationRecord, batch: Sequence[_Waiter]) -> Sequence[Occurrence | None]:
        uid, fingerprint = record.uid, record.fingerprint
        loop = asyncio.get_running_loop()
        deadline = max(waiter.deadline for waiter in batch)
        for attempt in itertools.count(1):
            decision = decide(self._requests.index.by_fingerprint(fingerprint), now=self._clock.now())
            if not isinstance(decision, DuplicateOf) or decision.record.uid != uid:
                return [None] * len(batch)
            record = decision.record

            deduplication = _next_deduplication(record, batch)
            patch = {
                "metadata": {"resourceVersion": str(record.resource_version)},
                "status": {"deduplication": deduplication},
            }
            lost = _LostResponses()
            try:
                patched = await self._requests.patch_status(record.name, patch, deadline=deadline, failures=lost)
            except (Conflict, NotFound):
                found = await self._requests.read(record.name, deadline=deadline)
                if found is None or RemediationRecord.from_object(found).uid != uid:
                    self._requests.forget(uid)
                elif lost.last is not None and _holds(found, deduplication):
                    return _occurrences(found, record, batch)
                elif lost.last is not None and _count_of(found) != record.occurrence_count:
                    raise lost.last from None
            else:
                return _occurrences(patched, record, batch)
            wait = _RANDOM.uniform(0, min(_INITIAL_WAIT * 2.0 ** min(attempt, 10), _MAX_WAIT))
            if loop.time() + wait >= deadline:
                raise Undecided(
                    f"gave up counting on {record.name} at the deadline: it changed during each of {attempt} attempts"
                )
            await asyncio.sleep(wait)  # not on the gateway's clock: with the clock of a test it would never end
        raise AssertionError("the last attempt returns or raises")


def _next_deduplication(record: RemediationRecord, batch: Sequence[_Waiter]) -> dict[str, Any]:
    # exact, even if the clock of another replica is ahead: `_holds` recognizes our write by it
    deduplication: dict[str, Any] = {
        "lastSeenAt": rfc3339(max(waiter.seen_at for waiter in batch)),
        "occurrenceCount": record.occurrence_count + len(batch),
    }
    if record.first_seen_at is None:
        deduplication["firstSeenAt"] = rfc3339(record.created_at)
    return deduplication


def _count_of(found: dict[str, Any]) -> int:
    return RemediationRecord.from_object(found).occurrence_count


def _holds(found: dict[str, Any], deduplication: dict[str, Any]) -> bool:
    present = found.get("status", {}).get("deduplication", {})
    return all(present.get(key) == value for key, value in deduplication.items())


def _occurrences(patched: dict[str, Any], before: RemediationRecord, batch: Sequence[_Waiter]) -> list[Occurrence]:
    record = RemediationRecord.from_object(patched)
    deduplication = patched["status"]["deduplication"]
    first_seen = deduplication.get("firstSeenAt", rfc3339(record.created_at))
    return [
        Occurrence(record, before.occurrence_count + place, first_seen, deduplication["lastSeenAt"], patched)
        for place in range(1, len(batch) + 1)
    ]
