"""Config maps and secrets: defaults, and validation of keys, sizes and immutable fields.

After `pkg/apis/core/validation/validation.go` of Kubernetes.
"""

import base64
import binascii
import re
from collections.abc import Mapping

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.resources import FieldTypeError
from signal_gateway.apiserver.apimachinery.status import Cause
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["CONFIG_MAPS", "SECRETS"]

_LIMIT_BYTES = 1024 * 1024
_KEY = r"[-._a-zA-Z0-9]+"
_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  "
    f"or 'key-name', regex used for validation is '{_KEY}')"
)
_REQUIRED_KEYS: Mapping[str, tuple[str, ...]] = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def _default_config_map(new: JsonObject, _old: JsonObject | None) -> None:
    _validate_base64(new, "binaryData")


def _validate_config_map(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    texts, binaries = new.get("data", {}), new.get("binaryData", {})
    causes = _validate_keys("data", texts) + _validate_keys("binaryData", binaries)
    for key in texts.keys() & binaries.keys():
        causes.append(Cause.invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    causes += _validate_size(
        "", [*(text.encode() for text in texts.values()), *map(base64.b64decode, binaries.values())]
    )
    return causes + _validate_immutable(new, old, ("data", "binaryData"))


def _default_secret(new: JsonObject, _old: JsonObject | None) -> None:
    _validate_base64(new, "data")
    for key, text in new.pop("stringData", {}).items():
        new.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()
    new.setdefault("type", "Opaque")


def _validate_secret(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    data, type = new.get("data", {}), new["type"]
    causes = _validate_keys("data", data) + _validate_size("data", list(map(base64.b64decode, data.values())))
    causes += [Cause.required(f"data[{key}]") for key in _REQUIRED_KEYS.get(type, ()) if key not in data]
    if type == "kubernetes.io/service-account-token":
        annotation = "kubernetes.io/service-account.name"
        if not new["metadata"].get("annotations", {}).get(annotation):
            causes.append(Cause.required(f"metadata.annotations[{annotation}]"))
    if old is not None and type != old["type"]:
        causes.append(Cause.invalid("type", type, "field is immutable"))
    return causes + _validate_immutable(new, old, ("data",))


def _validate_base64(new: JsonObject, field: str) -> None:
    for value in new.get(field, {}).values():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as exc:
            raise FieldTypeError(f"illegal base64 data in {field}: {exc}") from exc


def _validate_keys(field: str, data: Mapping[str, str]) -> list[Cause]:
    causes = []
    for key in data:
        path = f"{field}[{key}]"
        if len(key) > 253:
            causes.append(Cause.invalid(path, key, "must be no more than 253 characters"))
        if not re.fullmatch(_KEY, key):
            causes.append(Cause.invalid(path, key, _KEY_RULE))
        elif key in (".", "..") or key.startswith(".."):
            causes.append(Cause.invalid(path, key, f"must not be or start with '{key[:2]}'"))
    return causes


def _validate_size(field: str, values: list[bytes]) -> list[Cause]:
    if sum(map(len, values)) <= _LIMIT_BYTES:
        return []
    return [Cause("FieldValueTooLong", field or "[]", f"Too long: must have at most {_LIMIT_BYTES} bytes")]


def _validate_immutable(new: JsonObject, old: JsonObject | None, fields: tuple[str, ...]) -> list[Cause]:
    if old is None or not old.get("immutable"):
        return []
    detail = "field is immutable when `immutable` is set"
    causes = [] if new.get("immutable") else [Cause.forbidden("immutable", detail)]
    changed = [field for field in fields if encode(new.get(field)) != encode(old.get(field))]
    return causes + [Cause.forbidden(field, detail) for field in changed]


CONFIG_MAPS = ModelStrategy("core_v1.ConfigMap", _default_config_map, _validate_config_map)
SECRETS = ModelStrategy("core_v1.Secret", _default_secret, _validate_secret)
