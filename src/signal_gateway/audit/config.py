"""AuditStoreConfig: how a BufferedAuditStore batches, retries and keeps events."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from signal_gateway.errors import ConfigurationError

__all__ = ["AuditStoreConfig", "Durability"]

Durability = Literal["process", "memory"]

_MIB = 1024 * 1024


def _spool_limit(settings: Mapping[str, Any]) -> int:
    return 256 * _MIB if settings.get("durability") == "memory" else 1024 * _MIB


class AuditStoreConfig(BaseModel):
    """Settings of one store.

    Attributes:
        durability: What recorded events survive. `process`, the default: the death of the process. `memory`: nothing
            but the store's own life.
        spool_directory: Where events wait, and where those of stores that died are found again; made if it isn't
            there. Required unless durability is `memory`. Stores may share one. A local file system, not a network's.
        max_batch_events: Most events in one delivery; the server may make it less.
        max_batch_bytes: Most bytes in one delivery, and so in one event.
        linger: Seconds that a batch may wait to become full.
        initial_backoff: Upper end of the first pause after a failed delivery, in seconds.
        max_backoff: Upper end of every later one, in seconds.
        max_spool_bytes: Where `record` begins to raise `AuditStoreFull`. 1 GiB of disk, or 256 MiB of memory.

    Raises:
        ConfigurationError: There is no spool directory, or one that would be of no use.
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

    @model_validator(mode="after")
    def _knows_where_events_wait(self) -> Self:
        if self.durability == "process" and self.spool_directory is None:
            raise ConfigurationError(
                "spool_directory is missing: name a local directory where audit events wait for their delivery and"
                ' survive the process, or choose durability="memory" if they may die with it'
            )
        if self.durability == "memory" and self.spool_directory is not None:
            raise ConfigurationError(
                f'spool_directory {str(self.spool_directory)!r} is of no use to durability="memory": leave one of them'
                " out"
            )
        return self

    @model_validator(mode="after")
    def _backs_off_further_each_time(self) -> Self:
        if self.max_backoff < self.initial_backoff:
            raise ValueError(f"max_backoff, {self.max_backoff}, is less than initial_backoff, {self.initial_backoff}")
        return self
