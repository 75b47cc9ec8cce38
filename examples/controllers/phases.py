"""next_step: the rules of the controller, as a pure function."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

APPROVED: Final = "example.com/approved"
"""Annotation of a RemediationRequest; `true` approves a critical one."""

PLAYBOOK: Final = "playbook"
"""Annotation of an alert: `none` without a playbook, `broken` for a playbook that fails."""

_NEXT: Final = {None: "Pending", "Pending": "Processing", "Processing": "Analyzing", "Executing": "Verifying"}


@dataclass(frozen=True, slots=True)
class Step:
    """One change of phase.

    Attributes:
        phase: The phase to enter.
        outcome: The outcome of the remediation, for a terminal phase.
        is_failure: Whether the remediation failed, which starts a cooldown.
    """

    phase: str
    outcome: str | None = None
    is_failure: bool = False


def next_step(request: Mapping[str, Any]) -> Step | None:
    """Return the next step of a RemediationRequest.

    Args:
        request: The object, as JSON of the API.

    Returns:
        The step, or None for a terminal phase or a missing approval.
    """
    phase = phase_of(request)
    playbook = request["spec"].get("signalAnnotations", {}).get(PLAYBOOK)
    match phase:
        case "Analyzing" if playbook == "none":
            return Step("Failed", "ManualReviewRequired")
        case "Analyzing" if request["spec"]["severity"] == "critical" and not _is_approved(request):
            return Step("AwaitingApproval")
        case "Analyzing":
            return Step("Executing")
        case "AwaitingApproval":
            return Step("Executing") if _is_approved(request) else None
        case "Executing" if playbook == "broken":
            return Step("Failed", "Inconclusive", is_failure=True)
        case "Verifying":
            return Step("Completed", "Remediated")
        case _ if phase in _NEXT:
            return Step(_NEXT[phase])
    return None


def phase_of(request: Mapping[str, Any]) -> str | None:
    """Return the phase of a RemediationRequest; None before a controller has set one."""
    phase: str | None = request.get("status", {}).get("overallPhase")
    return phase


def _is_approved(request: Mapping[str, Any]) -> bool:
    return bool(request["metadata"].get("annotations", {}).get(APPROVED) == "true")
