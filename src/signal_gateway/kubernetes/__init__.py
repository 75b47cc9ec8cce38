"""Typed access to a cluster: a client, an index of RemediationRequests, and errors by what they mean."""

from signal_gateway.kubernetes.client import CallObserver, KubernetesClient
from signal_gateway.kubernetes.crd import crd_manifest, crd_path
from signal_gateway.kubernetes.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    KubernetesError,
    KubernetesSetupError,
    NotFound,
    Refused,
    Unavailable,
    classify,
)
from signal_gateway.kubernetes.index import RemediationRequestIndex
from signal_gateway.kubernetes.kinds import Kind, Kinds
from signal_gateway.kubernetes.remediation_request import (
    GROUP,
    KIND,
    PLURAL,
    TERMINAL_PHASES,
    VERSION,
    RemediationRecord,
)

__all__ = [
    "GROUP",
    "KIND",
    "PLURAL",
    "TERMINAL_PHASES",
    "VERSION",
    "AlreadyExists",
    "CallObserver",
    "Conflict",
    "Forbidden",
    "Kind",
    "Kinds",
    "KubernetesClient",
    "KubernetesError",
    "KubernetesSetupError",
    "NotFound",
    "Refused",
    "RemediationRecord",
    "RemediationRequestIndex",
    "Unavailable",
    "classify",
    "crd_manifest",
    "crd_path",
]
