"""Report: a campaign's figures as a small table, what each has to be, and the verdict."""

import sys
from collections.abc import Collection
from dataclasses import dataclass, field

__all__ = ["Report"]

_SHOWN = 5


@dataclass(frozen=True)
class _Row:
    name: str
    value: str
    holds: bool | None
    detail: str = ""


@dataclass
class Report:
    """What was found, line by line.

    Args:
        title: For the heading.
    """

    title: str
    _rows: list[_Row] = field(default_factory=list)

    @property
    def failed(self) -> list[str]:
        return [row.name for row in self._rows if row.holds is False]

    def figure(self, name: str, value: object) -> None:
        """Note what says nothing about the store's being right."""
        self._rows.append(_Row(name, str(value), None))

    def check(self, name: str, value: object, *, holds: bool, detail: str = "") -> None:
        """Note what fails the campaign unless it holds."""
        self._rows.append(_Row(name, str(value), holds, detail))

    def none_of(self, name: str, found: Collection[object]) -> None:
        """Note how many there are of what there must be none, and the first few of them."""
        first = sorted(str(one) for one in found)[:_SHOWN]
        self.check(name, len(found), holds=not found, detail=", ".join(first))

    def print(self) -> None:
        width = max(len(row.name) for row in self._rows)
        verdicts = {None: "", True: "  held", False: "  FAILED"}
        lines = [self.title]
        for row in self._rows:
            lines.append(f"  {row.name:<{width}}  {row.value:>12}{verdicts[row.holds]}")
            if row.holds is False and row.detail:
                lines.append(f"    {row.detail}")
        sys.stdout.write("\n".join(lines) + "\n\n")
        sys.stdout.flush()
