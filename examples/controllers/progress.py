"""Progress: the phases that the controller has set, for tests that wait without polling."""

import threading


class Progress:
    """The phases of each RemediationRequest. Written on the event loop of the controller, read by the tests."""

    def __init__(self) -> None:
        self._entered: dict[str, list[str]] = {}
        self._has_ended = False
        self._changed = threading.Condition()

    def note(self, name: str, phase: str) -> None:
        """Record that a RemediationRequest has entered a phase."""
        with self._changed:
            self._entered.setdefault(name, []).append(phase)
            self._changed.notify_all()

    def end(self) -> None:
        """Wake all waiting tests, because the controller has ended."""
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def wait_for(self, name: str, phase: str, *, timeout: float = 10.0) -> list[str]:
        """Wait until a RemediationRequest has entered a phase.

        Args:
            name: Name of the RemediationRequest.
            phase: The phase.
            timeout: Longest wait in seconds.

        Returns:
            All phases of the RemediationRequest so far.

        Raises:
            TimeoutError: The timeout is over, or the controller has ended, before the phase.
        """
        with self._changed:
            self._changed.wait_for(lambda: phase in self._entered.get(name, ()) or self._has_ended, timeout)
            entered = list(self._entered.get(name, ()))
        if phase not in entered:
            reason = "the controller has ended" if self._has_ended else f"{timeout} s are over"
            raise TimeoutError(f"{name} has not entered {phase}, and {reason}; its phases so far are {entered}")
        return entered
