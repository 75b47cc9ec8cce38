"""GuardedLog: a logger for the flusher's thread, whose handlers can't end the thread."""

import logging
from typing import Any

__all__ = ["GuardedLog"]


class GuardedLog(logging.LoggerAdapter[logging.Logger]):
    """A logger that raises nothing, whatever its handlers, filters or a patched clock raise.

    Only for the flusher's thread, where no KeyboardInterrupt of a person arrives.

    Attributes:
        failures: Records that could not be logged.
    """

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger, {})
        self.failures = 0

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a record, or count a failure."""
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        try:
            super().log(level, msg, *args, **kwargs)
        except BaseException:  # noqa: BLE001 - a log record is not worth the delivery
            self.failures += 1
