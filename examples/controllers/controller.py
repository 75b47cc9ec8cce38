"""A stateful service, on kopf: it watches RemediationRequests, moves them through their phases, and remembers.

What it shares comes in through the constructor, what is its own it makes: as with any other service. But what it
knows is worth something only as long as it runs, so a suite runs one for all of its tests.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx2
import kopf
from lightkube import ApiError, AsyncClient
from lightkube.types import PatchType
from phases import Step, next_step
from prometheus_client import CollectorRegistry, Counter, Gauge

from signal_gateway.audit import AuditEvent, AuditStore
from signal_gateway.errors import AuditError
from signal_gateway.kubernetes.resources import RemediationRequest, RemediationRequestStatus

_RETRY_DELAY: Final = 0.05
_WATCH_SECONDS: Final = 60


class RemediationController:
    """Moves every RemediationRequest of a namespace on, one step at a time, until it ends or waits for somebody.

    It acts on what the watch shows, never on what it wrote itself: each write carries the resourceVersion that it
    was decided on, so that a decision on an old version fails, and the watch brings the new one.

    kopf has the watch and a queue for each object; its own state is how often each problem's remediation failed in a
    row. It belongs to the loop that runs it.

    Args:
        server: URL of the cluster's API, for kopf.
        client: How to write to the cluster. Whoever made it closes it.
        namespace: Whose RemediationRequests.
        registry: Where its metrics go; one of its own.
        audit_store: Where its audit events go; the process's one. Whoever made it closes it.
        cooldown: How long a problem is left alone after a failure; doubled by each further one.
        on_phase: Told of each name and phase when the change is made and recorded.
    """

    def __init__(
        self,
        server: str,
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
        self._server = server
        self._client = client
        self._namespace = namespace
        self._cooldown = cooldown
        self._on_phase = on_phase
        self._failures: dict[str, int] = {}
        self._stop_flag = asyncio.Event()
        self._died_of: Exception | None = None
        self._phases = Counter("controller_phases", "Phases that were entered.", ["phase"], registry=registry)
        self._at_work = Gauge("controller_at_work", "RemediationRequests that a step is taken of.", registry=registry)

    async def run(self) -> None:
        """Watch and work until stopped.

        Raises:
            lightkube.ApiError: The cluster refuses a write for good.
            AuditError: The store does not take an event.
        """
        registry = kopf.OperatorRegistry()
        kopf.on.startup(registry=registry)(self._configure)
        kopf.on.login(registry=registry)(self._log_in)
        kopf.on.event(RemediationRequest._api_info.resource.group, "remediationrequests", registry=registry)(self._see)
        await kopf.operator(registry=registry, standalone=True, namespaces=[self._namespace], stop_flag=self._stop_flag)
        if self._died_of is not None:
            raise self._died_of

    async def stop(self) -> None:
        """Let `run` finish what it is at, and end; call it on the loop that runs it."""
        self._stop_flag.set()

    async def _configure(self, settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.watching.server_timeout = _WATCH_SECONDS

    async def _log_in(self, **_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=self._server, insecure=True)

    async def _see(self, type: str | None, body: kopf.Body, **_: Any) -> None:
        """Take the next step of what the watch shows; kopf calls this for one version of an object after the other."""
        step = next_step(body)
        if type == "DELETED" or step is None:
            return
        with self._at_work.track_inprogress():
            try:
                while True:
                    if await self._has_taken(step, body):
                        return
                    await asyncio.sleep(_RETRY_DELAY)
            except (httpx2.HTTPError, AuditError) as exc:  # kopf would log it and go on as if nothing had happened
                self._died_of = exc
                self._stop_flag.set()

    async def _has_taken(self, step: Step, request: Mapping[str, Any]) -> bool:
        """Take a step, unless the object has changed meanwhile; return False if it is to be tried again."""
        if not self.audit_store.accepting:  # nothing is done that can't be accounted for
            return False
        try:
            await self._take(step, request)
        except httpx2.HTTPError as exc:
            if _passes(exc):
                return False
            if not _is_outdated(exc):
                raise
        return True

    async def _take(self, step: Step, request: Mapping[str, Any]) -> None:
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
