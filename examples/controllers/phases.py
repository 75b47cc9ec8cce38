"""What a RemediationRequest needs next: the controller's rules, as a pure function."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

APPROVED: Final = "example.com/approved"
"""Annotation of a RemediationRequest; `true` lets a critical one go on."""

PLAYBOOK: Final = "playbook"
"""Annotation of an alert: `none` if there is nothing to run, `broken` if what there is does not work."""

_NEXT: Final = {None: "Pending", "Pending": "Processing", "Processing": "Analyzing", "Executing": "Verifying"}


@dataclass(frozen=True, slots=True)
class Step:
    """One change of phase.

    Attributes:
        phase: The phase to enter.
        outcome: What came of it, for a phase that is the end.
        is_failure: Whether the remediation did not work, so that the next one has to wait.
    """

    phase: str
    outcome: str | None = None
    is_failure: bool = False


def next_step(request: Mapping[str, Any]) -> Step | None:
    """Decide what a RemediationRequest needs next.

    Args:
        request: The object, in the API's JSON shape.

    Returns:
        The step, or None if it has ended or somebody else is to act.
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
    """Return the phase that a RemediationRequest is in; None before a controller took it up."""
    phase: str | None = request.get("status", {}).get("overallPhase")
    return phase


def _is_approved(request: Mapping[str, Any]) -> bool:
    return bool(request["metadata"].get("annotations", {}).get(APPROVED) == "true")
