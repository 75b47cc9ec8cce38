"""How far the controller has come, and how a test waits for it without polling."""

import threading


class Progress:
    """The phases that each RemediationRequest went through. Written on the controller's loop, read by the tests."""

    def __init__(self) -> None:
        self._entered: dict[str, list[str]] = {}
        self._has_ended = False
        self._news = threading.Condition()

    def note(self, name: str, phase: str) -> None:
        """Take over what the controller did."""
        with self._news:
            self._entered.setdefault(name, []).append(phase)
            self._news.notify_all()

    def end(self) -> None:
        """Let those who wait know that the controller does nothing any more."""
        with self._news:
            self._has_ended = True
            self._news.notify_all()

    def wait_for(self, name: str, phase: str, *, timeout: float = 10.0) -> list[str]:
        """Wait until a RemediationRequest has entered a phase.

        Args:
            name: Of the RemediationRequest.
            phase: The phase.
            timeout: Seconds to wait at the most.

        Returns:
            Every phase that it went through so far.

        Raises:
            TimeoutError: It has not, and the time is over or the controller has ended.
        """
        with self._news:
            self._news.wait_for(lambda: phase in self._entered.get(name, ()) or self._has_ended, timeout)
            entered = list(self._entered.get(name, ()))
        if phase not in entered:
            why = "the controller has ended" if self._has_ended else f"{timeout} s are over"
            raise TimeoutError(f"{name} has not entered {phase}, and {why}; it went through {entered}")
        return entered
