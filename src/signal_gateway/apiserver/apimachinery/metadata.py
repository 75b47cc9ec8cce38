"""Object metadata: decoding and validation.

The rules are those of `ObjectMeta` and of `k8s.io/apimachinery/pkg/api/validation`.
"""

import re
from typing import Any

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.resources import Resource
from signal_gateway.apiserver.apimachinery.status import Cause

__all__ = ["MetadataTypeError", "decode_metadata", "has_finalizers", "validate_metadata", "validate_metadata_update"]

_ANNOTATIONS_LIMIT_BYTES = 256 * 1024

_STRINGS = ("name", "generateName", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
_STRING_MAPS = ("labels", "annotations")
_OWNER_FIELDS = {
    "apiVersion": str,
    "kind": str,
    "name": str,
    "uid": str,
    "controller": bool,
    "blockOwnerDeletion": bool,
}

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NAME_PART = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = rf"({_NAME_PART})?"

_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    f"and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    f"with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_NAME_PART_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    f"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_NAME_PART}')"
)
_QUALIFIED_RULE = (
    "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    f"'{_NAME_PART}') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
)
_LABEL_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'{_LABEL_VALUE}')"
)
_DNS_1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_DNS_1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    f"'{_DNS_1035}')"
)
_NAME_RULES = {
    "subdomain": (253, _SUBDOMAIN, _SUBDOMAIN_RULE),
    "label": (63, _LABEL, _LABEL_RULE),
    "dns-1035 label": (63, _DNS_1035, _DNS_1035_RULE),
}


class MetadataTypeError(ValueError):
    """A metadata field has the wrong JSON type; the message has its name."""


def decode_metadata(sent: object) -> JsonObject:
    """Decode the metadata of a request, without unknown and empty fields.

    Raises:
        MetadataTypeError: A field has the wrong type.
    """
    if sent is None:
        return {}
    if not isinstance(sent, dict):
        raise MetadataTypeError("metadata must be an object")
    kept: JsonObject = {}
    for field in _STRINGS:
        if value := _typed(sent, field, str):
            kept[field] = value
    for field in ("generation", "deletionGracePeriodSeconds"):
        if (value := _typed(sent, field, int)) is not None:
            kept[field] = value
    for field in _STRING_MAPS:
        if value := _typed(sent, field, dict):
            for key, item in value.items():
                if not isinstance(item, str):
                    raise MetadataTypeError(f"metadata.{field}[{key}] must be a string, got {item!r}")
            kept[field] = value
    if finalizers := _typed(sent, "finalizers", list):
        if not all(isinstance(item, str) for item in finalizers):
            raise MetadataTypeError("metadata.finalizers must be strings")
        kept["finalizers"] = finalizers
    if owners := _typed(sent, "ownerReferences", list):
        kept["ownerReferences"] = [_clean_owner(owner) for owner in owners]
    return kept


def _typed(sent: JsonObject, field: str, wanted: type) -> Any:
    value = sent.get(field)
    if value is not None and (not isinstance(value, wanted) or (wanted is int and isinstance(value, bool))):
        raise MetadataTypeError(f"metadata.{field} must be of type {wanted.__name__}, got {value!r}")
    return value


def _clean_owner(owner: object) -> JsonObject:
    if not isinstance(owner, dict):
        raise MetadataTypeError(f"metadata.ownerReferences must be objects, got {owner!r}")
    kept: JsonObject = {}
    for field, wanted in _OWNER_FIELDS.items():
        if (value := owner.get(field)) is not None:
            if not isinstance(value, wanted):
                raise MetadataTypeError(f"metadata.ownerReferences.{field} must be of type {wanted.__name__}")
            kept[field] = value
        elif wanted is str:
            kept[field] = ""
    return kept


def has_finalizers(metadata: JsonObject) -> bool:
    """Return whether a finalizer still prevents the deletion of the object."""
    return bool(metadata.get("finalizers"))


def validate_metadata(resource: Resource, metadata: JsonObject) -> list[Cause]:
    """Return the causes why an object's metadata is invalid."""
    causes = _validate_name(resource, metadata)
    for key, value in metadata.get("labels", {}).items():
        causes += _validate_qualified("metadata.labels", key)
        if len(value) > 63:
            causes.append(Cause.invalid("metadata.labels", value, "must be no more than 63 characters"))
        if not re.fullmatch(_LABEL_VALUE, value):
            causes.append(Cause.invalid("metadata.labels", value, _LABEL_VALUE_RULE))
    annotations = metadata.get("annotations", {})
    for key in annotations:
        causes += _validate_qualified("metadata.annotations", key.lower())
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT_BYTES:
        detail = f"must have at most {_ANNOTATIONS_LIMIT_BYTES} bytes"
        causes.append(Cause("FieldValueTooLong", "metadata.annotations", f"Too long: {detail}"))
    for finalizer in metadata.get("finalizers", []):
        causes += _validate_qualified("metadata.finalizers", finalizer)
    return causes + _validate_owners(metadata.get("ownerReferences", []))


def _validate_name(resource: Resource, metadata: JsonObject) -> list[Cause]:
    name = metadata.get("name", "")
    if not name:
        return [Cause.required("metadata.name", "name or generateName is required")]
    if resource.name_rule == "path segment":
        return _validate_path_segment(name)
    longest, pattern, rule = _NAME_RULES[resource.name_rule]
    causes = []
    if len(name) > longest:
        causes.append(Cause.invalid("metadata.name", name, f"must be no more than {longest} characters"))
    if not re.fullmatch(pattern, name):
        causes.append(Cause.invalid("metadata.name", name, rule))
    return causes


def _validate_path_segment(name: str) -> list[Cause]:
    if name in (".", ".."):
        return [Cause.invalid("metadata.name", name, f"may not be '{name}'")]
    return [
        Cause.invalid("metadata.name", name, f"may not contain '{character}'")
        for character in "/%"
        if character in name
    ]


def _validate_qualified(field: str, key: str) -> list[Cause]:
    if key.count("/") > 1:
        return [Cause.invalid(field, key, _QUALIFIED_RULE)]
    prefix, slash, name = key.rpartition("/")
    causes = []
    if slash and not prefix:
        causes.append(Cause.invalid(field, key, "prefix part must be non-empty"))
    elif prefix and (len(prefix) > 253 or not re.fullmatch(_SUBDOMAIN, prefix)):
        causes.append(Cause.invalid(field, key, f"prefix part {_SUBDOMAIN_RULE}"))
    if not name:
        causes.append(Cause.invalid(field, key, "name part must be non-empty"))
    elif len(name) > 63:
        causes.append(Cause.invalid(field, key, "name part must be no more than 63 characters"))
    if not re.fullmatch(_NAME_PART, name):
        causes.append(Cause.invalid(field, key, _NAME_PART_RULE))
    return causes


def _validate_owners(owners: list[JsonObject]) -> list[Cause]:
    causes = []
    for owner in owners:
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner[field]:
                name = "version" if field == "apiVersion" else field
                causes.append(Cause.invalid(f"metadata.ownerReferences.{field}", "", f"{name} must not be empty"))
    controllers = [owner for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        detail = "Only one reference can have Controller set to true."
        causes.append(Cause.invalid("metadata.ownerReferences", [owner["name"] for owner in controllers], detail))
    return causes


def validate_metadata_update(new: JsonObject, old: JsonObject) -> list[Cause]:
    """Return the causes why a change of metadata is invalid."""
    causes = [
        Cause.invalid(f"metadata.{field}", new.get(field), "field is immutable")
        for field in ("uid", "deletionTimestamp")
        if new.get(field) != old.get(field)
    ]
    if "deletionTimestamp" in old:
        added = [item for item in new.get("finalizers", []) if item not in old.get("finalizers", [])]
        if added:
            shown = ", ".join(f'"{item}"' for item in added)
            detail = "no new finalizers can be added if the object is being deleted, found new finalizers "
            causes.append(Cause.forbidden("metadata.finalizers", f"{detail}[]string{{{shown}}}"))
    return causes
