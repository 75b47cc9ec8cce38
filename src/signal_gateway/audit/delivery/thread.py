"""DeliveryThread: the daemon thread of a flusher, which is started again after an unexpected end."""

from threading import Thread
from typing import Protocol

from signal_gateway._machine import primitives
from signal_gateway.errors import AuditError

__all__ = ["DeliveryThread", "Work", "described"]

_JOIN_SECONDS = 10.0


class Work(Protocol):
    """The work of a thread."""

    def run(self) -> None:
        """Work until nothing is left to do. An exception is an unexpected end."""
        ...

    def finish(self) -> None:
        """Release everything after `run` returned. Never raises an Exception."""
        ...

    def interrupt(self) -> None:
        """Wake the callers that wait for the thread, which is finished or ended unexpectedly."""
        ...


class DeliveryThread:
    """Runs `work` on a daemon thread. After an unexpected end, `ensure_started` starts another thread.

    Args:
        work: The work.
        name: Name of the thread.

    Attributes:
        ticket: Empty after a caller started the thread; has an item again after an unexpected end.
        finished: Set after the work is finished.
    """

    def __init__(self, work: Work, *, name: str) -> None:
        self._work = work
        self._name = name
        self._thread: Thread | None = None
        self._failure: str | None = None
        self._returned: dict[Thread, object] = {}  # threads that ended unexpectedly and returned their ticket
        self.ticket = [None]
        self._primitives = primitives()
        self.finished = self._primitives.event()

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on the thread."""
        thread = self._thread
        # an ended thread's ident may belong to another thread now
        return thread is not None and thread.ident == self._primitives.get_ident() and thread.is_alive()

    @property
    def failure(self) -> str | None:
        """Reason why a thread that is needed does not run; None if it runs, or was never needed."""
        self._notice_end()
        return None if self.finished.is_set() else self._failure

    def ensure_started(self) -> None:
        """Start the thread unless it runs. Safe in any thread and in a signal handler.

        Raises:
            AuditError: No thread can be started, as at interpreter exit.
        """
        self._notice_end()
        try:
            self.ticket.pop()  # atomic: one caller gets the ticket
        except IndexError:
            return
        claim = [None]
        thread = self._primitives.thread(target=self._run, args=(claim,), name=self._name, daemon=True)
        try:
            thread.start()
        except BaseException as exc:
            if _claims(claim):  # otherwise the thread runs
                self._failure = f"the audit flusher cannot start: {described(exc)}"
                self.ticket.append(None)
                if isinstance(exc, Exception):
                    raise AuditError(self._failure) from exc
            raise

    def finish_or_start(self, *, is_needed: bool) -> None:
        """Finish the work without a thread if none runs and none is needed, or none can be started.

        Args:
            is_needed: Whether work is left.
        """
        self._notice_end()
        if is_needed:
            try:
                self.ensure_started()
            except AuditError:
                pass
            else:
                return
        try:
            self.ticket.pop()
        except IndexError:
            return
        self._finish()

    def join(self) -> None:
        """Wait up to 10 s for the end of the thread after `finished` is set; a lock of a log handler may be lost."""
        thread = self._thread
        if thread is not None and not self.is_current:
            thread.join(_JOIN_SECONDS)

    def _run(self, claim: list[None]) -> None:
        if not _claims(claim):  # the caller of `start` gave up
            return
        thread = self._thread = self._primitives.current_thread()
        self._failure = None
        is_over = False
        try:
            self._work.run()
            self._finish()
            is_over = True
        except BaseException as exc:  # noqa: BLE001 - a state of the store, not of an unrelated test
            self._failure = f"the audit flusher's thread ended: {described(exc)}"
        finally:
            if not is_over:
                self._return_ticket(thread)

    def _finish(self) -> None:
        self._work.finish()
        self.finished.set()
        self._work.interrupt()

    def _notice_end(self) -> None:
        """Return the ticket of a thread that could not even do that."""
        thread = self._thread
        if thread is not None and not thread.is_alive() and not self.finished.is_set():
            self._return_ticket(thread)

    def _return_ticket(self, thread: Thread) -> None:
        mine = object()
        if self._returned.setdefault(thread, mine) is mine:  # atomic: one ticket for each thread
            self._failure = self._failure or "the audit flusher's thread ended"
            self.ticket.append(None)
            self._work.interrupt()


def _claims(claim: list[None]) -> bool:
    try:
        claim.pop()
    except IndexError:
        return False
    return True


def described(exc: BaseException) -> str:
    """Return type and text of an exception, whatever its `__str__` does."""
    try:
        text = str(exc)
    except Exception:  # noqa: BLE001 - the exception is not ours
        text = ""
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__
