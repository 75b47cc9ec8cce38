"""LiveServers: the live gateways and services of one test, with isolation guards and failure reports."""

import logging
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from signal_gateway.testing.gateway.factory import GatewayFactory, ServiceFactory
from signal_gateway.testing.gateway.live import LiveGateway
from signal_gateway.testing.gateway.service import LiveService
from signal_gateway.testing.plugin.failure_report import LogTail, failure_note, failure_sections
from signal_gateway.testing.plugin.guards import guarded
from signal_gateway.testing.plugin.suite import Suite

__all__ = ["LiveServers"]


class LiveServers:
    """The live gateways and services of one test or wider scope, from its first factory to the end of the last one.

    Attributes:
        suite: The suite of the process.

    Args:
        suite: The suite of the process.
        is_guarded: Whether to warn about state that is left behind. In a wider scope than a test, a module that is
            imported meanwhile would cause a false warning.
        is_registry_restored: Whether the global metrics registry is restored after the test.
    """

    def __init__(self, suite: Suite, *, is_guarded: bool = True, is_registry_restored: bool) -> None:
        self.suite = suite
        self._is_guarded = is_guarded
        self._is_registry_restored = is_registry_restored
        self._factories: list[GatewayFactory | ServiceFactory] = []
        self._stack = ExitStack()
        self._log: LogTail | None = None

    def add(self, factory: GatewayFactory | ServiceFactory) -> None:
        """Add the servers of a factory."""
        self._factories.append(factory)

    def explain(self, exception: BaseException) -> None:
        """Add a note about the last request to the exception of a failed test."""
        note = failure_note(self._all) if self.suite.settings.report.value != "none" else None
        if note is not None:
            exception.add_note(note)

    def sections(self) -> list[tuple[str, str]]:
        """Return titles and texts for the report of a failed test."""
        return failure_sections(self._all, settings=self.suite.settings, log=self._log)

    def __enter__(self) -> Self:
        if self._is_guarded:
            self._stack.enter_context(guarded(self.suite, is_registry_restored=self._is_registry_restored))
        if self.suite.settings.report.value == "full":
            self._log = LogTail()
            logger = logging.getLogger("signal_gateway")
            logger.addHandler(self._log)
            self._stack.callback(logger.removeHandler, self._log)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def _all(self) -> list[LiveGateway | LiveService]:
        return [one for factory in self._factories for one in factory.created]
