"""Count duplicates on the RemediationRequest that handles them: a group commit, and the check that they are ones."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from signal_gateway.clock import Clock
from signal_gateway.gateway.remediation.deduplication import DuplicateOf, decide
from signal_gateway.gateway.remediation.outcome import Undecided
from signal_gateway.gateway.remediation.requests import ClusterView
from signal_gateway.gateway.timestamps import rfc3339
from signal_gateway.kubernetes import Conflict, KubernetesError, NotFound, RemediationRecord

__all__ = ["Occurrence", "OccurrenceCounter"]

_MAX_STEPS = 8


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A duplicate that was counted.

    Attributes:
        record: The RemediationRequest it was counted on.
        count: Which occurrence it is; the first was the creation.
        first_seen: When the first one was seen, in RFC 3339.
        last_seen: When the last one was seen, in RFC 3339.
        request: The RemediationRequest as the API sent it, counted on.
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


class OccurrenceCounter:
    """Counts duplicates: one write for each object at a time, shared by all who wait for the next one.

    `status.deduplication` is patched under the object's resourceVersion, so that a patch that succeeds proves
    that the object was, at that moment, still what the decision saw. `answered <= occurrenceCount <= received`
    holds always. So a write whose answer was lost is never repeated blindly: either the object shows
    that it was done, or that it was not, or the waiters fail and their senders send again.

    Runs on one loop. Its writers outlive the requests that wait for them; whoever gives `spawn` owns them.

    Args:
        view: Access to the RemediationRequests.
        clock: What tells whether a block of the next execution has passed.
        spawn: Starts a writer as a task and keeps it.
    """

    def __init__(
        self, view: ClusterView, *, clock: Clock, spawn: Callable[[Coroutine[Any, Any, None]], object]
    ) -> None:
        self._view = view
        self._clock = clock
        self._spawn = spawn
        self._waiting: dict[str, list[_Waiter]] = {}

    def count(
        self, record: RemediationRecord, *, seen_at: datetime, deadline: float
    ) -> asyncio.Future[Occurrence | None]:
        """Ask for a duplicate to be counted.

        Args:
            record: The RemediationRequest that handles the problem.
            seen_at: When the duplicate came in.
            deadline: Time of the running loop after which no further attempt starts.

        Returns:
            A future of the occurrence; of None if the object no longer handles the problem: decide again.
            It fails with a KubernetesError or Undecided if the count could not be written.
        """
        waiter = _Waiter(asyncio.get_running_loop().create_future(), seen_at, deadline)
        if record.uid in self._waiting:
            self._waiting[record.uid].append(waiter)
        else:
            self._waiting[record.uid] = [waiter]
            self._spawn(self._write(record))
        return waiter.counted

    async def _write(self, record: RemediationRecord) -> None:
        waiting = self._waiting[record.uid]
        batch: list[_Waiter] = []
        try:
            while waiting:
                batch = waiting.copy()
                waiting.clear()
                await self._answer(record, batch)
        finally:
            del self._waiting[record.uid]
            for waiter in (*batch, *waiting):
                waiter.counted.cancel()

    async def _answer(self, record: RemediationRecord, batch: Sequence[_Waiter]) -> None:
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
        deadline = max(waiter.deadline for waiter in batch)
        for _ in range(_MAX_STEPS):
            verdict = decide(self._view.records(fingerprint), now=self._clock.now())
            if not isinstance(verdict, DuplicateOf) or verdict.record.uid != uid:
                return [None] * len(batch)
            record = verdict.record

            deduplication = _next_deduplication(record, batch)
            patch = {
                "metadata": {"resourceVersion": str(record.resource_version)},
                "status": {"deduplication": deduplication},
            }
            lost_answers: list[KubernetesError] = []
            try:
                patched = await self._view.patch_status(
                    record.name, patch, deadline=deadline, on_failure=_transient_into(lost_answers)
                )
            except (Conflict, NotFound):
                found = await self._view.read(record.name, deadline=deadline)
                if found is None or RemediationRecord.from_object(found).uid != uid:
                    self._view.forget(uid)
                elif lost_answers and _holds(found, deduplication):
                    return _occurrences(found, record, batch)
                elif lost_answers and RemediationRecord.from_object(found).occurrence_count != record.occurrence_count:
                    raise lost_answers[-1] from None
            else:
                return _occurrences(patched, record, batch)
        raise Undecided(f"{record.name} changed {_MAX_STEPS} times while a duplicate was being counted on it")


def _next_deduplication(record: RemediationRecord, batch: Sequence[_Waiter]) -> dict[str, Any]:
    # to the microsecond and as it is, even if another replica's clock is ahead: `_holds` knows our write again by it
    deduplication: dict[str, Any] = {
        "lastSeenAt": rfc3339(max(waiter.seen_at for waiter in batch)),
        "occurrenceCount": record.occurrence_count + len(batch),
    }
    if record.first_seen_at is None:
        deduplication["firstSeenAt"] = rfc3339(record.created_at)
    return deduplication


def _transient_into(failures: list[KubernetesError]) -> Callable[[KubernetesError], None]:
    def note(failure: KubernetesError) -> None:
        if failure.is_transient:
            failures.append(failure)

    return note


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
