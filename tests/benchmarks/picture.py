"""The plots of the page, each from its benchmark's table. Needs the extra `bench`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


SURVIVES = {"yes": "#1d4ed8", "no": "#9ca3af"}


def draw(picture: str, table: Table, directory: Path) -> None:
    """Write a plot.

    Args:
        picture: Which one, by its name in `PICTURES`; the suffix says which format.
        table: Its benchmark's.
        directory: What the name is relative to.
    """
    path = directory / picture
    path.parent.mkdir(parents=True, exist_ok=True)
    PICTURES[picture](table, path)


def _draw_wiring(table: Table, path: Path) -> None:
    from matplotlib.ticker import FuncFormatter

    with _pyplot(path) as pyplot:
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


def _line(table: Table, wiring: str, column: str) -> tuple[list[float], list[float]]:
    name, servers, value = (table.columns.index(heading) for heading in ("wiring", "live servers", column))
    rows = [row for row in table.rows if row[name] == wiring]
    return [float(row[servers]) for row in rows], [float(row[value]) for row in rows]


def _draw_record_cost(table: Table, path: Path) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter

    title, survives, one, four = (
        table.columns.index(heading)
        for heading in ("way to take an event", "survives kill -9", "1 thread, ns", "4 threads, ns")
    )
    rows = sorted(table.rows, key=lambda row: float(row[one]), reverse=True)
    with _pyplot(path) as pyplot:
        figure, axes = pyplot.subplots(figsize=(9, 5.2), layout="constrained")
        for place, row in enumerate(rows):
            color = SURVIVES[str(row[survives])]
            cheap, dear = sorted((float(row[one]), float(row[four])))
            axes.plot([cheap, dear], [place, place], color=color, linewidth=2, alpha=0.4)
            axes.plot(float(row[one]), place, color=color, marker="o", markersize=8)
            axes.plot(float(row[four]), place, color=color, marker="s", markersize=8, markerfacecolor="none")
            axes.annotate(
                f"{cheap / 1000:,.1f} µs" if cheap == dear else f"{cheap / 1000:,.1f} … {dear / 1000:,.1f} µs",
                (dear, place),
                xytext=(10, -4),
                textcoords="offset points",
                fontsize=9,
            )
        axes.set_yticks(range(len(rows)), [str(row[title]) for row in rows])
        for label, row in zip(axes.get_yticklabels(), rows, strict=True):
            label.set_fontweight("bold" if str(row[title]).startswith("record()") else "normal")
        axes.set_xscale("log")
        axes.set_xlim(200, 3_000_000)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}".replace(",", " ")))
        axes.xaxis.minorticks_off()
        axes.set_xlabel("nanoseconds for one event")
        axes.grid(axis="x", color="#e5e7eb")
        axes.set_axisbelow(True)
        shown: dict[str, dict[str, Any]] = {
            "survives kill -9": {"color": SURVIVES["yes"], "linewidth": 6},
            "does not": {"color": SURVIVES["no"], "linewidth": 6},
            "1 thread": {"color": INK, "marker": "o", "linestyle": ""},
            "4 threads": {"color": INK, "marker": "s", "linestyle": "", "markerfacecolor": "none"},
        }
        handles = [Line2D([], [], label=label, **style) for label, style in shown.items()]
        figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False)


PICTURES: dict[str, Callable[[Table, Path], None]] = {
    "images/wiring.svg": _draw_wiring,
    "images/record-cost.svg": _draw_record_cost,
}


@contextmanager
def _pyplot(path: Path) -> Iterator[Any]:
    """Lend matplotlib in our style, and save the one figure that was made with it."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    with matplotlib.rc_context(SETTINGS):
        yield pyplot
        pyplot.savefig(path, facecolor="white", metadata={"Date": None} if path.suffix == ".svg" else None)
        pyplot.close()
