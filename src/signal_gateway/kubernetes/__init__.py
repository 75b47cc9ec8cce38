"""Typed access to a cluster: a client, an index of RemediationRequests, and errors by what they mean."""

from signal_gateway.kubernetes.client import KubernetesClient, Observer
from signal_gateway.kubernetes.crd import crd_manifest, crd_path
from signal_gateway.kubernetes.errors import (
    AlreadyExists,
    ApiUnavailable,
    Conflict,
    Forbidden,
    KubernetesError,
    KubernetesSetupError,
    NotFound,
    RequestRejected,
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
    "ApiUnavailable",
    "Conflict",
    "Forbidden",
    "Kind",
    "Kinds",
    "KubernetesClient",
    "KubernetesError",
    "KubernetesSetupError",
    "NotFound",
    "Observer",
    "RemediationRecord",
    "RemediationRequestIndex",
    "RequestRejected",
    "classify",
    "crd_manifest",
    "crd_path",
]
