"""ForkedChildren: the verdicts and the spools of forked children, which end without the end of a session.

pytest-forked and similar runners fork for each test, and end the child by `os._exit`. Each child writes its numbers to
a file; the parent reads them at the end of the session, and delivers the events in the spools of the children. For a
parent that crashed, an xdist worker, the controller does both.
"""

import json
import os
from pathlib import Path
from typing import Final

from signal_gateway.testing.plugin.delivery import CrashedWorker
from signal_gateway.testing.plugin.verdict import Verdict

__all__ = ["ForkedChildren"]

_VERDICT_SUFFIX: Final = ".verdict"
_INCOMPLETE_SUFFIX: Final = ".tmp"


class ForkedChildren:
    """The files of the forked children of one process.

    Args:
        base: The spool directory of the parent. The files of a child have this path with its process id appended.
    """

    def __init__(self, base: Path) -> None:
        self._base = base

    def spool_directory(self) -> Path:
        """Return the spool directory of this process, a child."""
        return Path(f"{self._base}-{os.getpid()}")

    def write(self, verdicts: list[Verdict]) -> None:
        """Replace the verdicts of this process, a child."""
        path = Path(f"{self._base}-{os.getpid()}{_VERDICT_SUFFIX}")
        temporary = path.with_suffix(_INCOMPLETE_SUFFIX)
        temporary.write_text(json.dumps([verdict.as_dict() for verdict in verdicts]), encoding="utf-8")
        temporary.replace(path)

    def take_verdicts(self) -> list[Verdict]:
        """Read and remove the verdicts of all children."""
        verdicts = []
        for path in self._files(f"-*{_VERDICT_SUFFIX}"):
            verdicts += [Verdict(**fields) for fields in json.loads(path.read_text(encoding="utf-8"))]
            path.unlink()
        for path in self._files(f"-*{_INCOMPLETE_SUFFIX}"):  # of a child that died while it wrote
            path.unlink()
        return verdicts

    def spools(self) -> list[CrashedWorker]:
        """Return the children with a spool directory, whose store was not closed or did not deliver all events."""
        return [
            CrashedWorker(f"forked process {path.name.rpartition('-')[2]}", "its store was not closed", path)
            for path in self._files("-*")
            if path.is_dir()
        ]

    def _files(self, pattern: str) -> list[Path]:
        return sorted(self._base.parent.glob(self._base.name + pattern))
