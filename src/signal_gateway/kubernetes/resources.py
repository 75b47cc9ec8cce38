"""RemediationRequest and Namespace as lightkube classes over plain dicts, and the CustomResourceDefinition.

The classes are not in lightkube's registry, where they would clash with your own definition of the same kind.
"""

import functools
from pathlib import Path
from typing import Any

import orjson
import yaml
from lightkube.core.resource import ApiInfo, ResourceDef
from lightkube.generic_resource import (
    GenericGlobalResource,
    GenericNamespacedResource,
    GenericNamespacedStatus,
    create_api_info,
)

from signal_gateway.kubernetes.index import GROUP, KIND, PLURAL, VERSION

__all__ = ["Namespace", "RemediationRequest", "RemediationRequestStatus", "crd_manifest", "crd_path"]


class Namespace(GenericGlobalResource):
    """A core/v1 Namespace with all its fields; lightkube's own model drops unknown ones."""

    _api_info = create_api_info("", "v1", "Namespace", "namespaces")


class RemediationRequest(GenericNamespacedResource):
    """A RemediationRequest."""

    _api_info = create_api_info(GROUP, VERSION, KIND, PLURAL)


class RemediationRequestStatus(GenericNamespacedStatus):
    """The status subresource of a RemediationRequest."""

    _api_info = ApiInfo(
        resource=ResourceDef(GROUP, VERSION, KIND),
        parent=ResourceDef(GROUP, VERSION, KIND),
        plural=PLURAL,
        verbs=["get", "patch", "put"],
        action="status",
    )


def crd_path() -> Path:
    """Return the path of the CustomResourceDefinition's manifest, for `kubectl apply -f`."""
    return Path(__file__).parent / "manifests" / "remediationrequests.yaml"


def crd_manifest() -> dict[str, Any]:
    """Read the CustomResourceDefinition of RemediationRequest.

    Returns:
        A CustomResourceDefinition (apiextensions.k8s.io/v1) in the API's JSON shape. You may change it.
    """
    manifest: dict[str, Any] = orjson.loads(_crd_json())
    return manifest


@functools.cache
def _crd_json() -> bytes:
    # not the C loader, 9 ms faster: it fails when PyYAML is imported anew, as in pytester's sessions inside a session
    return orjson.dumps(yaml.safe_load(crd_path().read_bytes()))
