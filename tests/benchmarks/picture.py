"""The plot of the wiring benchmark, from its table. Needs the extra `bench`."""

from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Table

__all__ = ["draw"]

PANELS = {
    "flusher threads": "flusher threads",
    "connections to DataStorage": "connections to DataStorage",
    "lost": "audit events lost",
    "peak memory, MiB": "peak memory, MiB",
}
STYLES: dict[str, dict[str, Any]] = {
    "old": {"label": "a store per server (old)", "color": "#c2410c", "marker": "s", "linestyle": "--"},
    "new": {"label": "one store per process (new)", "color": "#1d4ed8", "marker": "o", "linestyle": "-"},
}
INK = "#374151"
SETTINGS = {
    "svg.hashsalt": "wiring",  # the same figures give the same file
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9ca3af",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


def draw(table: Table, path: Path) -> None:
    """Write the plot.

    Args:
        table: The wiring benchmark's.
        path: Where to, such as `docs/images/wiring.svg`; the suffix says which format.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter

    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(SETTINGS):
        figure, grid = pyplot.subplots(2, 2, figsize=(9, 6.4), layout="constrained")
        for axes, (column, title) in zip(grid.flat, PANELS.items(), strict=True):
            for wiring, style in STYLES.items():
                counts, values = _line(table, wiring, column)
                axes.plot(counts, values, linewidth=2, markersize=6, clip_on=False, **style)
            axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
            axes.set_xscale("log")
            axes.set_xticks(counts)
            if column == "peak memory, MiB":
                axes.set_ylim(bottom=0)
            else:
                axes.set_yscale("symlog", linthresh=1)  # a logarithm that has a nought
                axes.set_ylim(0, 1500)
                axes.set_yticks([0, 1, 10, 100, 1000])
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}".replace(",", " ")))
                axis.minorticks_off()
            axes.grid(axis="y", color="#e5e7eb")
            axes.set_axisbelow(True)
        for axes in grid[1]:
            axes.set_xlabel("live servers in one process")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
        figure.savefig(path, facecolor="white", metadata={"Date": None} if path.suffix == ".svg" else None)
        pyplot.close(figure)


def _line(table: Table, wiring: str, column: str) -> tuple[list[float], list[float]]:
    name, servers, value = (table.columns.index(heading) for heading in ("wiring", "live servers", column))
    rows = [row for row in table.rows if row[name] == wiring]
    return [float(row[servers]) for row in rows], [float(row[value]) for row in rows]
