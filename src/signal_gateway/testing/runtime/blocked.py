"""Blocked event loops: finds the application that blocks a loop, and its stack."""

import asyncio
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from signal_gateway.errors import HarnessError
from signal_gateway.testing.runtime.tasks import owner_of

__all__ = ["Blocker", "LoopBlocked", "blocker_of"]

_CALLBACK: Final = asyncio.Handle._run.__code__  # below it in a stack: code of an application
_MOST_FRAMES: Final = 8


class LoopBlocked(HarnessError):  # noqa: N818 - the condition itself
    """An application blocks the event loop of the harness. A note has the stack of the application."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """The code that runs in one iteration of an event loop.

    Attributes:
        owner: The name of its server, or of its task.
        place: Function, file and line of the innermost frame of the application.
        stack: The innermost frames, oldest first.
    """

    owner: str
    place: str
    stack: str

    def error(self, *, doing: str, seconds: float, loop: str) -> LoopBlocked:
        """Return the error for a call that did not get its turn.

        Args:
            doing: A description of the call.
            seconds: The duration of the wait.
            loop: The name of the loop.
        """
        error = LoopBlocked(
            f"{doing} got no turn within {seconds:g} s: {self.owner} blocks the loop {loop!r} in {self.place}."
            " Call blocking code with asyncio.to_thread"
        )
        error.add_note(f"The stack of {self.owner}:\n{self.stack}")
        return error


def blocker_of(thread: threading.Thread, loop: asyncio.AbstractEventLoop) -> Blocker | None:
    """Return the code that an event loop runs at the moment; None while the loop waits for work.

    Args:
        thread: The thread of the loop.
        loop: The event loop.
    """
    innermost = sys._current_frames().get(thread.ident or 0)
    frames = _application_frames(innermost)
    if not frames:
        return None
    task = asyncio.current_task(loop)
    owner = None if task is None else owner_of(task)
    name = "a callback" if task is None else f"the task {task.get_name()}"
    return Blocker(
        owner=name if owner is None else f"the {owner.name}",
        place=_place(frames),
        stack="".join(traceback.format_list(traceback.StackSummary.extract((f, f.f_lineno) for f in frames))),
    )


def _application_frames(innermost: FrameType | None) -> list[FrameType]:
    """Return the frames of the callback that runs, outermost first, but at most the innermost few."""
    frames: list[FrameType] = []
    frame = innermost
    while frame is not None and frame.f_code is not _CALLBACK:
        frames.append(frame)
        frame = frame.f_back
    return [] if frame is None else frames[:_MOST_FRAMES][::-1]


def _place(frames: list[FrameType]) -> str:
    """Return the innermost frame outside of the standard library and of installed packages, or the innermost one."""
    own = [frame for frame in frames if not _is_library(frame.f_code.co_filename)]
    frame = (own or frames)[-1]
    return f"{frame.f_code.co_name}, {Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


def _is_library(filename: str) -> bool:
    return filename.startswith(("<", f"{sys.prefix}/lib", f"{sys.base_prefix}/lib"))
