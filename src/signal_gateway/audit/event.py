"""AuditEvent: the wire format of an audit event, shared by client and server."""

import dataclasses
import datetime as dt
import enum
import math
import re
from collections.abc import Mapping
from datetime import UTC
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self
from uuid import UUID

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)
from pydantic_core import core_schema
from uuid_utils import uuid7

from signal_gateway._machine import machine

__all__ = [
    "MAX_CORRELATION_ID_LENGTH",
    "MAX_EVENT_DATA_BYTES",
    "MAX_EVENT_DATA_DEPTH",
    "MAX_SEVERITY_LENGTH",
    "REQUIRED_ON_THE_WIRE",
    "AuditEvent",
    "encoded_event_data",
    "first_unencodable",
    "members_schema",
    "new_event_id",
    "plain_json",
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
_ON_THE_WIRE: Final = {"source": "wire"}

MAX_CORRELATION_ID_LENGTH = 255
MAX_SEVERITY_LENGTH = 20

_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?")
# orjson writes a NUL as \u0000; an odd number of backslashes tells it from a backslash followed by "u0000"
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def new_event_id() -> str:
    """Return a new UUIDv7 (RFC 9562) in canonical text form. UUIDv7 values sort by creation time."""
    return str(uuid7())


def encoded_event_data(event_data: Mapping[str, Any]) -> bytes:
    """Encode `event_data` and check it against the limits of the wire format.

    Args:
        event_data: A JSON object.

    Returns:
        The JSON, at most `MAX_EVENT_DATA_BYTES` long.

    Raises:
        ValueError: The value is not JSON, is too large or too deep, or has a NUL character. The message names the
            violated limit.
    """
    try:
        encoded = orjson.dumps(event_data)
    except orjson.JSONEncodeError as exc:
        _check_shape(event_data, 1)
        raise ValueError(f"is not JSON: {exc}") from exc
    # depth needs brackets, and orjson writes NaN as null: most events need no closer check
    if encoded.count(b"{") + encoded.count(b"[") > MAX_EVENT_DATA_DEPTH or encoded.find(b"null") >= 0:
        _check_shape(event_data, 1)
    if len(encoded) > MAX_EVENT_DATA_BYTES:
        raise ValueError(f"is {len(encoded)} bytes of JSON, the limit is {MAX_EVENT_DATA_BYTES}")
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


def plain_json(value: Any, path: str = "", depth: int = 0) -> Any:
    """Return a copy of a JSON value with the plain types of JSON.

    Args:
        value: Enum members, UUIDs, dates, times, dataclasses, mappings and tuples become their JSON forms, as do
            instances of subclasses of all these and of str, int, float, dict and list.
        path: Place of the value, for errors.
        depth: Levels above the value.

    Raises:
        ValueError: A value has no JSON form. The message has its place and its type.
    """
    if value is None or type(value) in (str, int, float, bool):
        return value
    if depth > MAX_EVENT_DATA_DEPTH:
        raise ValueError(f"is nested deeper than {MAX_EVENT_DATA_DEPTH} levels")
    if isinstance(value, enum.Enum):
        return plain_json(value.value, path, depth + 1)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {
            _plain_key(key, path): plain_json(item, f"{path}.{key}" if path else str(key), depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [plain_json(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    try:
        return _plain_scalar(value)
    except (TypeError, ValueError, OverflowError) as exc:
        raise ValueError(f"has no JSON form: {path} is a {type(value).__name__}, {value!r:.80}") from exc


def _plain_key(key: Any, path: str) -> str:
    plain = plain_json(key, path)
    if not isinstance(plain, str):
        raise ValueError(f"is not JSON: {path or 'the object'} has the key {key!r:.80}, which is no text")
    return plain


def _plain_scalar(value: Any) -> Any:
    match value:
        case str():
            return str.__str__(value)
        case int():
            return int.__int__(value)
        case float():
            return float.__float__(value)
        case UUID():
            return str(UUID(int=value.int))
    if isinstance(value, machine.datetime):
        return _exact_datetime(value)
    if isinstance(value, machine.date):
        return _exact_date(value)
    if isinstance(value, machine.clock_time):
        return machine.clock_time(value.hour, value.minute, value.second, value.microsecond)
    raise TypeError


def _exact_datetime(moment: machine.datetime) -> machine.datetime:
    """Return a datetime without the subclass of freezegun, pendulum or pandas, which orjson refuses."""
    return machine.datetime(
        moment.year,
        moment.month,
        moment.day,
        moment.hour,
        moment.minute,
        moment.second,
        moment.microsecond,
        tzinfo=moment.tzinfo,
        fold=moment.fold,
    )


def _exact_date(day: machine.date) -> machine.date:
    return day if type(day) is machine.date else machine.date(day.year, day.month, day.day)


def _now() -> machine.datetime:
    return _exact_datetime(dt.datetime.now(UTC))  # by the module, so that a test can freeze it


def _canonical_uuid(value: Any, validate: ValidatorFunctionWrapHandler) -> str:
    if isinstance(value, UUID):
        return str(UUID(int=value.int))
    text: str = validate(value)
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


def _date_in_utc(moment: str) -> machine.date | str:
    try:
        parsed = machine.datetime.fromisoformat(moment.upper())
        return parsed.date() if parsed.tzinfo is None else parsed.astimezone(UTC).date()
    except (ValueError, OverflowError):
        return moment  # the validation names the member


def _in_utc(value: Any, validate: ValidatorFunctionWrapHandler) -> machine.datetime:
    if isinstance(value, (int, float)):
        raise ValueError("must be an RFC 3339 date-time such as 2026-01-31T12:00:00Z")
    moment: machine.datetime = validate(value)
    if moment.tzinfo is UTC and type(moment) is machine.datetime:
        return moment
    try:
        return _exact_datetime(moment).astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside the years 1 to 9999 in UTC") from None


_Text20 = Annotated[str, StringConstraints(min_length=1, max_length=MAX_SEVERITY_LENGTH), AfterValidator(_without_nul)]
_Text50 = Annotated[str, StringConstraints(min_length=1, max_length=50), AfterValidator(_without_nul)]
_Text100 = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_without_nul)]
_Text253 = Annotated[str, StringConstraints(min_length=1, max_length=253), AfterValidator(_without_nul)]
_Text255 = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_CORRELATION_ID_LENGTH), AfterValidator(_without_nul)
]
_Uuid = Annotated[str, WrapValidator(_canonical_uuid)]
_Date = Annotated[machine.date, AfterValidator(_exact_date)]
_Timestamp = Annotated[AwareDatetime, WrapValidator(_in_utc)]


class AuditEvent(BaseModel):
    """An immutable record of one action, in the envelope of the audit API (v1).

    The model validates at construction: DataStorage accepts every event that the model accepts. Instances of
    subclasses, such as the dates of freezegun, pendulum or pandas, become instances of the plain types. In `event_data`
    enum members, UUIDs, dates, times, tuples, mappings and dataclasses are allowed, too, and are sent in their JSON
    forms.

    The `event_id` is the idempotency key. DataStorage stores an event once, even if you record or send the same object
    again.

    Attributes:
        version: Version of the envelope.
        event_id: UUID in canonical text form. Default: a new UUIDv7.
        event_type: Dotted name of the action, such as `gateway.crd.created`.
        event_timestamp: Time of the action. Must be timezone-aware; converted to UTC.
        event_category: Part of the service, such as `gateway`.
        event_action: Verb, such as `created`.
        event_outcome: `success`, `failure` or `pending`.
        correlation_id: Id shared by all events of one case.
        event_data: JSON object, at most 256 KiB and 10 levels deep. Its `event_type` repeats the outer one: the
            constructor adds it if it is missing, and refuses a different one.
        actor_type: Type of the actor. DataStorage's default: `service`.
        actor_id: Id of the actor. DataStorage's default: `<category>-service`.
        actor_ip: IPv4 or IPv6 address of the actor.
        resource_type: Type of the affected resource. DataStorage's default: the category.
        resource_id: Id of the affected resource. DataStorage's default: the correlation id.
        parent_event_id: UUID of the event that caused this one.
        parent_event_date: UTC day of the parent event.
        namespace: Kubernetes namespace.
        cluster_id: Id of the cluster.
        severity: Severity as reported by the source.
        duration_ms: Duration of the action in milliseconds.
        error_code: Short code of a failure.
        error_message: Text of a failure.
        retention_days: Days to keep the event, 1 to 2555.
        is_sensitive: Whether `event_data` is sensitive.

    Raises:
        pydantic.ValidationError: A field violates a rule. The error names the field, the value and the rule.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    # the members that are not None; a slot, because pydantic does not carry it over to copies of an event
    __slots__ = ("_members",)
    if TYPE_CHECKING:
        _members: dict[str, Any] = PrivateAttr()  # no argument of the constructor, without pydantic's mypy plugin too

    version: _Text20 = "1.0"
    event_id: _Uuid = Field(default_factory=new_event_id)
    event_type: _Text100
    event_timestamp: _Timestamp = Field(default_factory=_now)
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
    parent_event_date: _Date | None = None
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
        """Collect the optional fields, once per class."""
        super().__pydantic_on_complete__()
        cls._optional = tuple(name for name in cls.model_fields if name not in _NEVER_NONE)

    def model_post_init(self, _context: Any, /) -> None:
        """Select the members that are not None here, because `record` has to be fast."""
        members = self.__dict__.copy()
        for field in self._optional:
            if members[field] is None:
                del members[field]
        object.__setattr__(self, "_members", members)

    @field_validator("event_data")
    @classmethod
    def _event_data_is_fit_for_the_wire(cls, event_data: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        event_type = info.data.get("event_type")  # absent when it broke a rule of its own
        if event_type is not None and "event_type" not in event_data and info.context is not _ON_THE_WIRE:
            event_data = {"event_type": event_type, **event_data}
        try:
            encoded_event_data(event_data)
        except ValueError:
            event_data = plain_json(event_data)
            encoded_event_data(event_data)
        inner = event_data.get("event_type")
        if event_type is not None and inner != event_type:
            raise ValueError(f'must repeat the event\'s event_type, {event_type!r}, under "event_type", not {inner!r}')
        return event_data

    @classmethod
    def from_wire(cls, document: object) -> Self:
        """Validate an event in wire format.

        Generated clients send an empty text for a member that is not set, and a date-time for a date. Such an optional
        member is absent, but for `error_message`, which may be empty; such a date-time is its date in UTC, or its date
        without a zone.

        Args:
            document: The decoded JSON. Unknown members are ignored, which lets a newer client use an older server.
                All members of `REQUIRED_ON_THE_WIRE` must be present, and `event_data` must have its `event_type`.

        Raises:
            pydantic.ValidationError: A member is missing or violates a rule.
        """
        if isinstance(document, dict):
            absent = [name for name in cls._optional if document.get(name) == "" and name != "error_message"]
            if absent:
                document = {name: value for name, value in document.items() if name not in absent}
            moment = document.get("parent_event_date")
            if isinstance(moment, str) and _DATE_TIME.fullmatch(moment):
                document = document | {"parent_event_date": _date_in_utc(moment)}
        event = cls.model_validate(document, extra="ignore", context=_ON_THE_WIRE)
        if not event.model_fields_set >= _REQUIRED:
            missing = [field for field in REQUIRED_ON_THE_WIRE if field not in event.model_fields_set]
            raise ValidationError.from_exception_data(
                cls.__name__, [{"type": "missing", "loc": (field,), "input": document} for field in missing]
            )
        return event

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy, as pydantic does, and validate what `update` changes.

        Args:
            update: New values of fields.
            deep: Whether `event_data` is copied, too.

        Raises:
            pydantic.ValidationError: A new value violates a rule.
        """
        if not update:
            return super().model_copy(deep=deep)
        copied = super().model_copy(deep=deep) if deep else self
        given = {field: copied.__dict__[field] for field in self.model_fields_set | {"event_id", "event_timestamp"}}
        return type(self).model_validate(given | dict(update))

    def to_wire(self) -> bytes:
        """Return the event in wire format: one JSON object without the fields that are None.

        Raises:
            orjson.JSONEncodeError: `event_data` was modified after validation and is not JSON any more.
        """
        try:
            return orjson.dumps(self._members)
        except AttributeError:  # a copy of an event
            self.model_post_init(None)
            return orjson.dumps(self._members)


def first_unencodable(event: AuditEvent) -> str:
    """Return the name of the first member of an event that is not JSON, after a change without validation."""
    for name, value in event.__dict__.items():
        try:
            orjson.dumps(value)
        except orjson.JSONEncodeError:
            return name
    return "event_data"


def members_schema() -> core_schema.TypedDictSchema:
    """Return a fast schema of the wire format, for code that validates thousands of events at once.

    The schema has the rules of `AuditEvent` without the slow ones, which are written in Python. A document that the
    schema accepts is valid for `AuditEvent.from_wire`, too, if three more rules hold: no text has a NUL character,
    `event_timestamp` can be converted to UTC (the schema does not convert the value), and `event_data` is a dict
    that passes `encoded_event_data` and repeats the `event_type`. The schema rejects two things that `from_wire`
    accepts: null members, and UUIDs in non-canonical form.
    """
    model_fields: Any = AuditEvent.__pydantic_core_schema__
    while model_fields["type"] != "model-fields":
        model_fields = model_fields["schema"]
    members = {}
    for name, field in model_fields["fields"].items():
        schema = field["schema"]
        while schema["type"] in ("default", "nullable") and name != "event_id":
            schema = schema["schema"]  # an optional member is absent, not null
        members[name] = core_schema.typed_dict_field(_without_python(schema), required=name in _REQUIRED)
    return core_schema.typed_dict_schema(members, extra_behavior="ignore")


def _without_python(schema: Any) -> Any:
    """Remove the validators of this module, or replace them by equivalents in Rust; keep all others."""
    if schema["type"] == "default":
        return schema | {"schema": _without_python(schema["schema"])}
    if schema["type"] == "function-before":  # JSON has no UUIDs
        return _without_python(schema["schema"])
    if schema["type"] not in ("function-after", "function-wrap"):
        return schema

    validator = schema["function"]["function"]
    if validator is _without_nul:
        return _without_python(schema["schema"])
    if validator is _exact_date:  # a date-time, which is another date in UTC, is for `from_wire`
        date = core_schema.str_schema(pattern=r"^\d{4}-\d{2}-\d{2}$", strict=True)
        return core_schema.chain_schema([date, _without_python(schema["schema"])])
    if validator is _in_utc:
        return core_schema.chain_schema([core_schema.str_schema(strict=True), _without_python(schema["schema"])])
    if validator is _canonical_uuid:
        return core_schema.str_schema(pattern=f"^{_CANONICAL_UUID.pattern}$")
    if validator == AuditEvent._event_data_is_fit_for_the_wire:
        return core_schema.any_schema()  # a dict_schema would make a copy
    return schema
