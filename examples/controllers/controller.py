"""RemediationController: a stateful service on kopf that moves RemediationRequests through their phases.

As in any other service, the constructor receives shared objects and creates all others. But the state of the controller
lives only as long as the controller runs, so a test suite runs one controller for all tests.
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
    """Moves each RemediationRequest of a namespace forward, one step at a time, until it ends or needs approval.

    The controller acts on watched objects only. Each write carries the resourceVersion of the object that it is based
    on: a write based on an old version fails, and the watch delivers the new version.

    kopf provides the watch and one queue per object. The state of the controller is the number of consecutive failures
    per problem. Runs on one event loop.

    Args:
        server: URL of the Kubernetes API, for kopf.
        client: The client for writes. The caller closes it.
        namespace: The namespace of the RemediationRequests.
        registry: The registry for its metrics, its own.
        audit_store: The store for its audit events, one per process. The caller closes it.
        cooldown: Pause after the first failure of a problem; each further failure doubles it.
        on_phase: Called with name and phase after each change is written and recorded.
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
        self._error: Exception | None = None
        self._phases = Counter("controller_phases", "Phases entered.", ["phase"], registry=registry)
        self._at_work = Gauge("controller_at_work", "RemediationRequests in progress.", registry=registry)

    async def run(self) -> None:
        """Watch and process until `stop`.

        Raises:
            lightkube.ApiError: The cluster rejects a write.
            AuditError: The store refuses an event.
        """
        registry = kopf.OperatorRegistry()
        kopf.on.startup(registry=registry)(self._configure)
        kopf.on.login(registry=registry)(self._log_in)
        kopf.on.event(RemediationRequest._api_info.resource.group, "remediationrequests", registry=registry)(self._see)
        await kopf.operator(registry=registry, standalone=True, namespaces=[self._namespace], stop_flag=self._stop_flag)
        if self._error is not None:
            raise self._error

    async def stop(self) -> None:
        """Let `run` complete its work and return. Call this on the event loop of `run`."""
        self._stop_flag.set()

    async def _configure(self, settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.watching.server_timeout = _WATCH_SECONDS

    async def _log_in(self, **_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=self._server, insecure=True)

    async def _see(self, type: str | None, body: kopf.Body, **_: Any) -> None:
        """Take the next step of a watched object. kopf calls this for each version of an object in order."""
        step = next_step(body)
        if type == "DELETED" or step is None:
            return
        with self._at_work.track_inprogress():
            try:
                while True:
                    if await self._has_taken(step, body):
                        return
                    await asyncio.sleep(_RETRY_DELAY)
            except (httpx2.HTTPError, AuditError) as exc:  # kopf would log it and continue
                self._error = exc
                self._stop_flag.set()

    async def _has_taken(self, step: Step, request: Mapping[str, Any]) -> bool:
        """Take a step unless the object has changed; return False if the step must be retried."""
        if not self.audit_store.accepting:  # do nothing that cannot be recorded
            return False
        try:
            await self._take(step, request)
        except httpx2.HTTPError as exc:
            if _is_transient(exc):
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
    """Return the type of the audit event of a phase."""
    return f"controller.phase.{phase.lower()}"


def _phase_entered(step: Step, *, name: str, failures: int) -> AuditEvent:
    data = {"phase": step.phase, "failures_in_a_row": failures}
    if step.outcome is not None:
        data["outcome"] = step.outcome
    return AuditEvent(
        event_type=event_type_of(step.phase),
        event_category="controller",
        event_action=step.phase.lower(),
        event_outcome="failure" if step.is_failure else "success",
        correlation_id=name,
        event_data=data,
    )


def _is_transient(error: httpx2.HTTPError) -> bool:
    """Return whether the call may succeed later: no response, an overload, or an expired version (410)."""
    return not isinstance(error, ApiError) or _code(error) in (410, 429) or _code(error) >= 500


def _is_outdated(error: httpx2.HTTPError) -> bool:
    """Return whether the object was changed or deleted; the watch delivers its current state."""
    return isinstance(error, ApiError) and _code(error) in (404, 409)


def _code(error: ApiError) -> int:
    return error.status.code or error.response.status_code
