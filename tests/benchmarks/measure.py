"""Figures, ratios and verdicts: what every benchmark hands back."""

import statistics
from dataclasses import dataclass, field

__all__ = ["Benchmark", "Ratio", "Series", "Table"]


@dataclass(frozen=True)
class Series:
    """Samples of one thing.

    Attributes:
        name: What was measured.
        unit: Of the samples.
        samples: Raw figures.
    """

    name: str
    unit: str
    samples: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """The 10th and the 90th percentile."""
        if len(self.samples) < 2:
            return self.samples[0], self.samples[0]
        tenths = statistics.quantiles(self.samples, n=10)
        return tenths[0], tenths[-1]


@dataclass(frozen=True)
class Ratio:
    """One figure against another of the same run, and the bound that it has to keep, if it has one.

    Attributes:
        name: What is compared.
        value: The ratio, or a plain figure where the budget is one.
        at_most: The bound from above, if there is one.
        at_least: The bound from below, if there is one.
    """

    name: str
    value: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def holds(self) -> bool:
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    @property
    def bound(self) -> str:
        if self.at_most is None and self.at_least is None:
            return ""
        if self.at_most == self.at_least:
            return f"= {self.at_most:g}"
        return f"<= {self.at_most:g}" if self.at_most is not None else f">= {self.at_least:g}"


@dataclass(frozen=True)
class Table:
    """Figures side by side.

    Attributes:
        columns: The headings.
        rows: One cell for each of them.
    """

    columns: list[str]
    rows: list[list[str | float]]


@dataclass(frozen=True)
class Benchmark:
    """What one benchmark found.

    Attributes:
        title: For the heading.
        series: What was measured many times.
        ratios: What has to hold.
        table: What was measured once, or what is easier to read side by side, if anything is.
        raw: What the table sums up; kept with the raw samples, not shown.
        note: How to read it, where the titles don't say.
        picture: Where the page finds the table's plot, if there is one.
    """

    title: str
    series: list[Series] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    table: Table | None = None
    raw: list[Series] = field(default_factory=list)
    note: str = ""
    picture: str | None = None
