"""The CustomResourceDefinition of RemediationRequest."""

import functools
from pathlib import Path
from typing import Any

import orjson
import yaml

__all__ = ["crd_manifest", "crd_path"]


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
