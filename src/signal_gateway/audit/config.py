"""AuditStoreConfig: batches, retries and the spool of a BufferedAuditStore."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict, Field, model_validator

from signal_gateway.errors import ConfigurationError

__all__ = ["AuditStoreConfig", "AuditStoreOverrides", "Durability"]

Durability = Literal["process", "memory"]

_MIB = 1024 * 1024


def _spool_limit(settings: Mapping[str, Any]) -> int:
    return 256 * _MIB if settings.get("durability") == "memory" else 1024 * _MIB


class AuditStoreOverrides(TypedDict, total=False):
    """Any settings of `AuditStoreConfig`: the arguments of its constructor, for type checkers."""

    durability: Durability
    spool_directory: Path | str | None
    max_batch_events: int
    max_batch_bytes: int
    linger: float
    initial_backoff: float
    max_backoff: float
    max_spool_bytes: int


class AuditStoreConfig(BaseModel):
    """Settings of one store.

    Attributes:
        durability: Failures that recorded events survive. `process` (default): the death of the process. `memory`:
            none; events live as long as the store.
        spool_directory: Directory for pending events, from which a later store recovers them. Created if missing.
            Required unless durability is `memory`. Several stores may share it. Must be on a local file system.
        max_batch_events: Maximum events of a delivery. DataStorage may lower it.
        max_batch_bytes: Maximum bytes of a delivery, and so of an event.
        linger: Maximum seconds that a batch waits for more events.
        initial_backoff: Upper bound of the first pause after a failed delivery, in seconds.
        max_backoff: Upper bound of all later pauses, in seconds.
        max_spool_bytes: Size at which `record` raises `AuditStoreFull`. Default: 1 GiB of disk, or 256 MiB of memory.

    Raises:
        ConfigurationError: The spool directory is missing, or contradicts the durability.
        pydantic.ValidationError: A value is out of range, or a key is unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    durability: Durability = "process"
    spool_directory: Path | None = None
    max_batch_events: int = Field(default=1000, ge=1, le=1000)
    max_batch_bytes: int = Field(default=4 * _MIB, ge=1024)
    linger: float = Field(default=0.05, ge=0, allow_inf_nan=False)
    initial_backoff: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    max_backoff: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    max_spool_bytes: int = Field(default_factory=_spool_limit, ge=64 * 1024)

    if TYPE_CHECKING:  # the plain signature takes no str as a path

        def __init__(self, **settings: Unpack[AuditStoreOverrides]) -> None: ...

    @model_validator(mode="after")
    def _has_a_spool_directory_if_needed(self) -> Self:
        if self.durability == "process" and self.spool_directory is None:
            raise ConfigurationError(
                "spool_directory is missing: set it to a local directory for pending audit events, or set"
                ' durability="memory" if events may be lost with the process'
            )
        if self.durability == "memory" and self.spool_directory is not None:
            raise ConfigurationError(
                f'spool_directory {str(self.spool_directory)!r} is of no use to durability="memory": remove one of the'
                " two settings"
            )
        return self

    @model_validator(mode="after")
    def _backs_off_further_each_time(self) -> Self:
        if self.max_backoff < self.initial_backoff:
            raise ValueError(f"max_backoff {self.max_backoff} is less than initial_backoff {self.initial_backoff}")
        return self
