"""Typed access to a Kubernetes cluster: a client, an index of RemediationRequests, and errors by their meaning.

Modules in the order of the data:

- `client`: KubernetesClient, the calls of the gateway to a cluster.
- `connection`: kubeconfig, TLS and credentials of the connections of a client.
- `credentials`: adds tokens to requests, as lightkube reads them.
- `http_transport`: HTTP/1.1 to the API server: the pool of connections and its timeouts.
- `given_transport`: a transport of httpx2 in its place.
- `api_transport`: the interface of these, with the responses.
- `discovery`: the kinds of a cluster.
- `resources`: the lightkube classes of RemediationRequest.
- `crd`: its CustomResourceDefinition.
- `reflector`: list and watch, which keep the index current.
- `index`: RemediationRequestIndex, the RemediationRequests of a namespace in memory, a RemediationRecord each.
- `errors`: the errors of all calls, and their classification.
"""

from signal_gateway.kubernetes.client import CallObserver, KubernetesClient
from signal_gateway.kubernetes.crd import crd_manifest, crd_path
from signal_gateway.kubernetes.discovery import Kind, Kinds
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
from signal_gateway.kubernetes.index import (
    GROUP,
    KIND,
    PLURAL,
    TERMINAL_PHASES,
    VERSION,
    RemediationRecord,
    RemediationRequestIndex,
)

__all__ = [
    "GROUP",
    "KIND",
    "PLURAL",
    "TERMINAL_PHASES",
    "VERSION",
    "AlreadyExists",
    "ApiUnavailable",
    "CallObserver",
    "Conflict",
    "Forbidden",
    "Kind",
    "Kinds",
    "KubernetesClient",
    "KubernetesError",
    "KubernetesSetupError",
    "NotFound",
    "RemediationRecord",
    "RemediationRequestIndex",
    "RequestRejected",
    "classify",
    "crd_manifest",
    "crd_path",
]
