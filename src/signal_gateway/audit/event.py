"""AuditEvent: the wire model that client and server share."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import core_schema
from uuid_utils import uuid7

from signal_gateway.audit.checksum import crc32

__all__ = [
    "MAX_CORRELATION_ID_LENGTH",
    "MAX_EVENT_DATA_BYTES",
    "MAX_EVENT_DATA_DEPTH",
    "MAX_SEVERITY_LENGTH",
    "REQUIRED_ON_THE_WIRE",
    "AuditEvent",
    "encoded_event_data",
    "members_schema",
    "new_event_id",
]

MAX_EVENT_DATA_BYTES = 256 * 1024
MAX_EVENT_DATA_DEPTH = 10

REQUIRED_ON_THE_WIRE = (
    "version",
    "event_type",
    "event_timestamp",
    "event_category",
    "event_action",
    "event_outcome",
    "correlation_id",
    "event_data",
)

_REQUIRED = frozenset(REQUIRED_ON_THE_WIRE)
_NEVER_NONE = _REQUIRED | {"event_id"}

MAX_CORRELATION_ID_LENGTH = 255
MAX_SEVERITY_LENGTH = 20

_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# orjson writes a NUL as \u0000; an odd number of backslashes tells it from a backslash followed by "u0000"
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def new_event_id() -> str:
    """Return a UUIDv7 (RFC 9562) in its canonical text form: unique, and sortable by the time it was made."""
    return str(uuid7())


def encoded_event_data(event_data: Mapping[str, Any]) -> bytes:
    """Encode `event_data` and check what the wire format asks of it.

    Args:
        event_data: A JSON object.

    Returns:
        Its JSON, at most `MAX_EVENT_DATA_BYTES` long.

    Raises:
        ValueError: It is too large or too deep, has a NUL character, or is not JSON; the message says which.
    """
    try:
        encoded = orjson.dumps(event_data)
    except orjson.JSONEncodeError as exc:
        _check_shape(event_data, 1)
        raise ValueError(f"is not JSON: {exc}") from exc
    # no depth without brackets, and what has no JSON form is written as null: most events need no closer look
    if encoded.count(b"{") + encoded.count(b"[") > MAX_EVENT_DATA_DEPTH or encoded.find(b"null") >= 0:
        _check_shape(event_data, 1)
    if len(encoded) > MAX_EVENT_DATA_BYTES:
        raise ValueError(f"is {len(encoded)} bytes of JSON, more than the {MAX_EVENT_DATA_BYTES} allowed")
    if encoded.find(b"\\") >= 0 and _ESCAPED_NUL.search(encoded):
        raise ValueError("must not contain a NUL character")
    return encoded


def _check_shape(value: Any, depth: int) -> None:
    if depth > MAX_EVENT_DATA_DEPTH:
        raise ValueError(f"is nested deeper than {MAX_EVENT_DATA_DEPTH} levels")
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list, tuple)):
            _check_shape(item, depth + 1)
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError(f"is not JSON: {item} has no JSON form")


def _canonical_uuid(text: str) -> str:
    if _CANONICAL_UUID.fullmatch(text):
        return text
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError("must be a UUID such as 01932c3e-8a00-7000-8000-000000000000") from None


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    return text


def _ip(text: str) -> str:
    ip_address(text)
    return text


def _not_a_number(value: Any) -> Any:
    if isinstance(value, (int, float)):
        raise ValueError("must be an RFC 3339 date-time such as 2026-01-31T12:00:00Z")
    return value


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside the years 1 to 9999 in UTC") from None


_Text10 = Annotated[str, StringConstraints(min_length=1, max_length=10), AfterValidator(_without_nul)]
_Text20 = Annotated[str, StringConstraints(min_length=1, max_length=MAX_SEVERITY_LENGTH), AfterValidator(_without_nul)]
_Text50 = Annotated[str, StringConstraints(min_length=1, max_length=50), AfterValidator(_without_nul)]
_Text100 = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_without_nul)]
_Text253 = Annotated[str, StringConstraints(min_length=1, max_length=253), AfterValidator(_without_nul)]
_Text255 = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_CORRELATION_ID_LENGTH), AfterValidator(_without_nul)
]
_Uuid = Annotated[str, AfterValidator(_canonical_uuid)]
_Timestamp = Annotated[AwareDatetime, BeforeValidator(_not_a_number), AfterValidator(_in_utc)]


class AuditEvent(BaseModel):
    """One thing that happened, in the envelope of the audit API (v1).

    It validates when it is made, so that whatever it accepts the server accepts. Making it gives it its
    `event_id`, the idempotency key: recording or sending the same object twice is the same event.

    Attributes:
        version: Version of the envelope.
        event_id: UUID in canonical text form; a UUIDv7 unless given.
        event_type: What happened, dotted, such as `gateway.crd.created`.
        event_timestamp: When it happened; aware, kept in UTC.
        event_category: The service's part that it belongs to, such as `gateway`.
        event_action: The verb, such as `created`.
        event_outcome: `success`, `failure` or `pending`.
        correlation_id: What ties the events of one matter together.
        event_data: JSON object whose `event_type` repeats the outer one; at most 256 KiB and 10 levels deep.
        actor_type: What acted; the server's default is `service`.
        actor_id: Who acted; the server's default is `<category>-service`.
        actor_ip: IPv4 or IPv6 address of the actor.
        resource_type: What was acted on; the server's default is the category.
        resource_id: Which one; the server's default is the correlation id.
        parent_event_id: UUID of the event that led to this one.
        parent_event_date: The UTC day of that event.
        namespace: Kubernetes namespace.
        cluster_id: Which cluster.
        severity: As the source said it.
        duration_ms: How long it took, in milliseconds.
        error_code: Short code of a failure.
        error_message: Text of a failure.
        retention_days: How long to keep it, 1 to 2555 days.
        is_sensitive: Whether its payload needs care.

    Raises:
        pydantic.ValidationError: A field breaks a rule; the error names the field, the value and the rule.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    # what of __dict__ goes over the wire, and the lane; a slot, because pydantic's copies of an event leave it behind
    __slots__ = ("_prepared",)
    if TYPE_CHECKING:
        _prepared: tuple[dict[str, Any], int]

    version: _Text10 = "1.0"
    event_id: _Uuid = Field(default_factory=new_event_id)
    event_type: _Text100
    event_timestamp: _Timestamp = Field(default_factory=lambda: datetime.now(UTC))
    event_category: _Text50
    event_action: _Text50
    event_outcome: Literal["success", "failure", "pending"]
    correlation_id: _Text255
    event_data: dict[str, Any]
    actor_type: _Text50 | None = None
    actor_id: _Text255 | None = None
    actor_ip: Annotated[str, AfterValidator(_ip)] | None = None
    resource_type: _Text100 | None = None
    resource_id: _Text255 | None = None
    parent_event_id: _Uuid | None = None
    parent_event_date: date | None = None
    namespace: _Text253 | None = None
    cluster_id: _Text255 | None = None
    severity: _Text20 | None = None
    duration_ms: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    error_code: _Text50 | None = None
    error_message: Annotated[str, AfterValidator(_without_nul)] | None = None
    retention_days: Annotated[int, Field(ge=1, le=2555)] | None = None
    is_sensitive: bool | None = None

    _optional: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __pydantic_on_complete__(cls) -> None:
        """Note which fields may be None, once for the class."""
        super().__pydantic_on_complete__()
        cls._optional = tuple(name for name in cls.model_fields if name not in _NEVER_NONE)

    def model_post_init(self, _context: Any, /) -> None:
        """Leave out what is None once and for all: `record` has less time than whoever makes an event."""
        object.__setattr__(self, "_prepared", self._prepare())

    @field_validator("event_data")
    @classmethod
    def _event_data_is_fit_for_the_wire(cls, event_data: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        encoded_event_data(event_data)
        event_type = info.data.get("event_type")  # absent when it broke a rule of its own
        inner = event_data.get("event_type")
        if event_type is not None and inner != event_type:
            raise ValueError(f'must repeat the event\'s event_type, {event_type!r}, under "event_type", not {inner!r}')
        return event_data

    @classmethod
    def from_wire(cls, document: object) -> Self:
        """Read an event that came over the wire.

        Args:
            document: The decoded JSON. Unknown members are ignored, so that a newer client can talk to an
                older server; the members of `REQUIRED_ON_THE_WIRE` must be there.

        Raises:
            pydantic.ValidationError: A member is missing or breaks a rule.
        """
        event = cls.model_validate(document, extra="ignore")
        if not event.model_fields_set >= _REQUIRED:
            missing = [field for field in REQUIRED_ON_THE_WIRE if field not in event.model_fields_set]
            raise ValidationError.from_exception_data(
                cls.__name__, [{"type": "missing", "loc": (field,), "input": document} for field in missing]
            )
        return event

    def to_wire(self) -> bytes:
        """Encode the event as it is sent and stored: one JSON object, fields that are None left out.

        Raises:
            orjson.JSONEncodeError: `event_data` was changed after validation into something that is not JSON.
        """
        return self.encoded()[0]

    def encoded(self) -> tuple[bytes, int]:
        """Return what `to_wire` returns, and the event's lane: the CRC-32 of its correlation id.

        Raises:
            orjson.JSONEncodeError: As `to_wire`.
        """
        try:
            members, lane = self._prepared
        except AttributeError:  # a copy of an event
            members, lane = self._prepare()
        return orjson.dumps(members), lane

    def _prepare(self) -> tuple[dict[str, Any], int]:
        members = self.__dict__.copy()
        for field in self._optional:
            if members[field] is None:
                del members[field]
        return members, crc32(self.correlation_id.encode())


def members_schema() -> core_schema.TypedDictSchema:
    """Return the schema of an event's wire members as a dict, for whoever reads thousands at once.

    It is made of `AuditEvent`'s own rules, but for those that are slow: written in Python. What it accepts it reads
    as `AuditEvent.from_wire` does, if these hold besides: no text has a NUL character, `event_timestamp` has a form
    in UTC (it is left as it was sent), and `event_data` is a dict that passes `encoded_event_data` and repeats the
    `event_type`. It refuses some things that `from_wire` accepts: null, and a UUID that is not in canonical form.
    """
    model_fields: Any = AuditEvent.__pydantic_core_schema__
    while model_fields["type"] != "model-fields":
        model_fields = model_fields["schema"]
    members = {}
    for name, field in model_fields["fields"].items():
        schema = field["schema"]
        while schema["type"] in ("default", "nullable") and name != "event_id":
            schema = schema["schema"]  # what isn't sent is not there
        members[name] = core_schema.typed_dict_field(_without_python(schema), required=name in _REQUIRED)
    return core_schema.typed_dict_schema(members, extra_behavior="ignore")


def _without_python(schema: Any) -> Any:
    """Leave out the validators above, or put one in Rust in their place; whatever else is there stays."""
    if schema["type"] == "default":
        return schema | {"schema": _without_python(schema["schema"])}
    if schema["type"] not in ("function-after", "function-before"):
        return schema

    validator = schema["function"]["function"]
    if validator in (_without_nul, _in_utc):
        return _without_python(schema["schema"])
    if validator is _not_a_number:
        return core_schema.chain_schema([core_schema.str_schema(strict=True), _without_python(schema["schema"])])
    if validator is _canonical_uuid:
        return core_schema.str_schema(pattern=f"^{_CANONICAL_UUID.pattern}$")
    if validator == AuditEvent._event_data_is_fit_for_the_wire:
        return core_schema.any_schema()  # a dict_schema would make a copy
    return schema
