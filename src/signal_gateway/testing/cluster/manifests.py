"""Reads manifests: Kubernetes objects from files and dicts, in an order that the API server accepts."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from signal_gateway.errors import HarnessError

__all__ = ["Manifest", "read_manifests"]

Manifest = Mapping[str, Any]

_FIRST: Final = ("CustomResourceDefinition", "Namespace")


def read_manifests(sources: Iterable[Manifest | Path | str]) -> list[Manifest]:
    """Return the objects: definitions first, then namespaces, then the others in the given order.

    Args:
        sources: Objects, and YAML files with one or more objects. A `List` stands for its items.

    Raises:
        HarnessError: A file cannot be read, or a document is no Kubernetes object. The message names both.
    """
    found: list[Manifest] = []
    for source in sources:
        if isinstance(source, Mapping):
            found += _objects_in(source, "an argument")
            continue
        try:
            documents = list(yaml.safe_load_all(Path(source).read_text(encoding="utf-8")))
        except (OSError, ValueError, yaml.YAMLError) as exc:
            raise HarnessError(f"cannot install {source}: {' '.join(str(exc).split())}") from exc
        for number, document in enumerate(documents, 1):
            if document is not None:
                found += _objects_in(document, f"document {number} of {source}")
    return sorted(found, key=lambda one: _FIRST.index(one["kind"]) if one["kind"] in _FIRST else len(_FIRST))


def _objects_in(document: object, where: str) -> list[Manifest]:
    if not isinstance(document, Mapping) or not all(document.get(field) for field in ("apiVersion", "kind")):
        raise HarnessError(f"{where} is no Kubernetes object: it needs apiVersion, kind and metadata.name")
    if document["kind"] == "List":
        return [one for item in document.get("items") or [] for one in _objects_in(item, where)]
    metadata = document.get("metadata")
    if not isinstance(metadata, Mapping) or not (metadata.get("name") or metadata.get("generateName")):
        raise HarnessError(f"{where}, a {document['kind']}, has no metadata.name")
    return [document]
