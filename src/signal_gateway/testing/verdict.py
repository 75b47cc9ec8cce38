"""Verdict: what became of the audit events of one process of a test run."""

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a process's events, told when its audit store has closed.

    Attributes:
        worker: The xdist worker's id, or `main`.
        servers: How many servers were live in the process, one after the other or side by side.
        flushers: How many audit stores were made: 0 or 1.
        recorded: Events that the store took.
        delivered: Events that DataStorage acknowledged.
        rejected: Events that DataStorage refused for good.
        pending: Events that were not delivered when the time was up.
        error: The last error of the delivery, if there was one.
        datastorage: Where they were to go, with the URL's source.
    """

    worker: str
    servers: int = 0
    flushers: int = 0
    recorded: int = 0
    delivered: int = 0
    rejected: int = 0
    pending: int = 0
    error: str | None = None
    datastorage: str | None = None

    @property
    def is_clean(self) -> bool:
        """Whether every event was delivered."""
        return not (self.rejected or self.pending)

    @property
    def complaint(self) -> str:
        """One line that says what was not delivered, where to, and why."""
        return (
            f"{self.worker}: {self.pending} audit events were not delivered and {self.rejected} were rejected "
            f"by DataStorage at {self.datastorage}: {self.error or 'no error was reported'}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, for xdist to carry."""
        return asdict(self)
