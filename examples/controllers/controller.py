"""A stateful service: it watches RemediationRequests, moves them through their phases, and remembers.

What it shares comes in through the constructor, what is its own it makes: as with any other service. But what it
knows is worth something only as long as it runs, so a suite runs one for all of its tests.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx2
from lightkube import ApiError, AsyncClient
from lightkube.types import PatchType
from phases import Step, next_step, phase_of
from prometheus_client import CollectorRegistry, Counter, Gauge

from signal_gateway.audit import AuditEvent, AuditStore
from signal_gateway.kubernetes import TERMINAL_PHASES
from signal_gateway.kubernetes.resources import RemediationRequest, RemediationRequestStatus

_RETRY_DELAY: Final = 0.05
_WATCH_SECONDS: Final = 60


class RemediationController:
    """Moves every RemediationRequest of a namespace on, one step at a time, until it ends or waits for somebody.

    It acts on what the watch shows, never on what it wrote itself: each write carries the resourceVersion that it
    was decided on, so that a decision on an old version fails, and the watch brings the new one.

    Its state is the queue of names, the cache of active objects, and how often each problem's remediation failed
    in a row. It belongs to the loop that runs it.

    Args:
        client: How to reach the cluster. Whoever made it closes it.
        namespace: Whose RemediationRequests.
        registry: Where its metrics go; one of its own.
        audit_store: Where its audit events go; the process's one. Whoever made it closes it.
        cooldown: How long a problem is left alone after a failure; doubled by each further one.
        on_phase: Told of each name and phase when the change is made and recorded.
    """

    def __init__(
        self,
        client: AsyncClient,
        *,
        namespace: str,
        registry: CollectorRegistry,
        audit_store: AuditStore,
        cooldown: timedelta = timedelta(minutes=1),
        on_phase: Callable[[str, str], None],
    ) -> None:
        self.registry = registry
        self.audit_store = audit_store
        self._client = client
        self._namespace = namespace
        self._cooldown = cooldown
        self._on_phase = on_phase
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._active: dict[str, RemediationRequest] = {}
        self._failures: dict[str, int] = {}
        self._phases = Counter("controller_phases", "Phases that were entered.", ["phase"], registry=registry)
        depth = Gauge("controller_queue_depth", "RemediationRequests that wait for a step.", registry=registry)
        depth.set_function(self._queue.qsize)

    async def run(self) -> None:
        """Watch and work until cancelled.

        Raises:
            ExceptionGroup: With the lightkube.ApiError of a cluster that refuses the watch or a write, as one without
                the CRD does, or the AuditError of a store that does not take an event.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self._work())

    async def _watch(self) -> None:
        while True:
            self._active.clear()  # a watch from the start shows all that there is
            try:
                async for change, request in self._client.watch(
                    RemediationRequest, namespace=self._namespace, server_timeout=_WATCH_SECONDS
                ):
                    self._note(change, request)
            except httpx2.HTTPError as exc:
                if not _passes(exc):
                    raise
                await asyncio.sleep(_RETRY_DELAY)

    def _note(self, change: str, request: RemediationRequest) -> None:
        name = request["metadata"]["name"]
        if change == "DELETED" or phase_of(request) in TERMINAL_PHASES:
            self._active.pop(name, None)
        else:
            self._active[name] = request
            self._queue.put_nowait(name)

    async def _work(self) -> None:
        while True:
            name = await self._queue.get()
            request = self._active.get(name)
            step = next_step(request) if request is not None else None
            if request is None or step is None:
                continue
            if not self.audit_store.accepting:  # nothing is done that can't be accounted for
                self._try_later(name)
                continue
            try:
                await self._take(step, request)
            except httpx2.HTTPError as exc:
                if _passes(exc):
                    self._try_later(name)
                elif not _is_outdated(exc):
                    raise

    def _try_later(self, name: str) -> None:
        asyncio.get_running_loop().call_later(_RETRY_DELAY, self._queue.put_nowait, name)

    async def _take(self, step: Step, request: RemediationRequest) -> None:
        name, fingerprint = request["metadata"]["name"], request["spec"]["signalFingerprint"]
        failures = self._failures.get(fingerprint, 0) + step.is_failure
        status: dict[str, Any] = {"overallPhase": step.phase}
        if step.outcome is not None:
            status["completionStatus"] = {"outcome": step.outcome}
        if step.is_failure:
            allowed = datetime.now(UTC) + self._cooldown * 2 ** (failures - 1)
            status["routingStatus"] = {"nextAllowedExecution": allowed.isoformat()}
        version = {"resourceVersion": request["metadata"]["resourceVersion"]}
        await self._client.patch(
            RemediationRequestStatus,
            name,
            {"metadata": version, "status": status},
            namespace=self._namespace,
            patch_type=PatchType.MERGE,
        )

        if step.phase == "Completed":
            self._failures.pop(fingerprint, None)
        elif step.is_failure:
            self._failures[fingerprint] = failures
        self.audit_store.record(_phase_entered(step, name=name, failures=failures))
        self._phases.labels(step.phase).inc()
        self._on_phase(name, step.phase)


def event_type_of(phase: str) -> str:
    """Return the type of the audit event that a phase was entered."""
    return f"controller.phase.{phase.lower()}"


def _phase_entered(step: Step, *, name: str, failures: int) -> AuditEvent:
    event_type = event_type_of(step.phase)
    data = {"event_type": event_type, "phase": step.phase, "failures_in_a_row": failures}
    if step.outcome is not None:
        data["outcome"] = step.outcome
    return AuditEvent(
        event_type=event_type,
        event_category="controller",
        event_action=step.phase.lower(),
        event_outcome="failure" if step.is_failure else "success",
        correlation_id=name,
        event_data=data,
    )


def _passes(error: httpx2.HTTPError) -> bool:
    """Whether the same call may succeed later: the API was not reached, is overloaded, or forgot a version (410)."""
    return not isinstance(error, ApiError) or _code(error) in (410, 429) or _code(error) >= 500


def _is_outdated(error: httpx2.HTTPError) -> bool:
    """Whether the object has changed or gone meanwhile: the watch shows it as it is now."""
    return isinstance(error, ApiError) and _code(error) in (404, 409)


def _code(error: ApiError) -> int:
    return error.status.code or error.response.status_code
