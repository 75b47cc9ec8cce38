"""The tables of docs/targets.md, from the code. `python -m tests.conformance.gateway.targets_page` writes them."""

import re
import sys
from functools import partial
from pathlib import Path

from signal_gateway.gateway.signals.exporters import EXPORTERS
from signal_gateway.gateway.signals.knowledge import NODE_LABELS, PAIRS, SYNONYMS

PAGE = Path(__file__).parents[3] / "docs" / "targets.md"


def tables() -> dict[str, str]:
    """Return each generated table by its name."""
    labels = [f"| `{it.label}` | {', '.join(it.kinds)} |" for it in SYNONYMS]
    labels += [f"| `{it.kind}` + `{it.name}` | the kind that the first label says |" for it in PAIRS]
    labels += [f"| `{label}` | Node |" for label in NODE_LABELS]
    exporters = []
    for it in EXPORTERS:
        matches = ", ".join(f"`{text}`" for text in (*it.matches, *it.jobs, *it.metrics_paths, *it.series_labels))
        named = ", ".join(f"`{label}`: {' or '.join(kinds)}" for label, kinds in it.labels.items()) or "-"
        exporters.append(f"| {it.name} | {it.speaks_of} | {named} | {matches} |")
    return {
        "labels": "\n".join(["| label | kind |", "|---|---|", *labels]),
        "exporters": "\n".join(
            ["| exporter | speaks of | labels that name objects | recognized by |", "|---|---|---|---|", *exporters]
        ),
    }


def with_tables(page: str) -> str:
    """Return the page with its tables written anew."""
    for name, table in tables().items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        page = re.sub(pattern, partial(_filled, table=table), page, flags=re.DOTALL)
    return page


def _filled(found: re.Match[str], *, table: str) -> str:
    return f"{found[1]}{table}\n{found[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
    sys.stdout.write(f"{PAGE} is written\n")
