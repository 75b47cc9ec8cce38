"""`python -m tests.conformance.kubernetes.report`: run every case on both servers and write down what came of it.

Needs KUBEBUILDER_ASSETS, a folder with etcd and kube-apiserver. Writes docs/kubernetes-conformance.md, and exits with 1
if a case failed on either.
"""

import os
import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "kubernetes-conformance.md"
SERVERS = ("embedded", "kube-apiserver")
PARAMETERS = re.compile(r"\[(.*)\]$")


@dataclass
class Case:
    """One function of the suite, whatever it is parametrised by.

    Attributes:
        features: What a server must have for it.
        outcomes: How often it passed or failed, by server.
    """

    features: list[str] = field(default_factory=list)
    outcomes: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))

    def count(self, server: str, outcome: str) -> int:
        return self.outcomes[server][outcome] if server in self.outcomes else 0


class Recorder:
    """A pytest plugin that notes each case's outcome."""

    def __init__(self) -> None:
        self.cases: dict[str, dict[str, Case]] = defaultdict(lambda: defaultdict(Case))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item):
        report = yield
        if report.when == "call" or report.outcome == "failed":
            case = self.cases[item.path.stem.removeprefix("test_")][item.originalname]
            case.features = sorted({mark.args[0] for mark in item.iter_markers("feature")})
            parameters = PARAMETERS.search(item.name)
            server = SERVERS[1] if parameters is not None and SERVERS[1] in parameters[1] else SERVERS[0]
            case.outcomes[server][report.outcome] += 1
        return report


def page_of(recorder: Recorder, version: str) -> str:
    """Write the table of results, and every case by name."""
    lines = [
        "# The embedded Kubernetes API beside a real one",
        "",
        "`KUBEBUILDER_ASSETS=… python -m tests.conformance.kubernetes.report` runs every case of",
        f"`tests/conformance/kubernetes` on the embedded server and on a real kube-apiserver ({version}), and writes",
        "this page. A case that the two answer differently is a bug of ours. *Left out* are cases about what that",
        "version does not have yet, or what kube-apiserver does not do alone (`controllers`).",
        "",
        "| file | cases | passed, embedded | failed | passed, kube-apiserver | failed | left out there |",
        "|---|---|---|---|---|---|---|",
    ]
    totals = [0] * 6
    for name, cases in sorted(recorder.cases.items()):
        row = [
            len(cases),
            *(
                sum(case.count(server, outcome) for case in cases.values())
                for server in SERVERS
                for outcome in ("passed", "failed")
            ),
            sum("kube-apiserver" not in case.outcomes for case in cases.values()),
        ]
        totals = [total + figure for total, figure in zip(totals, row, strict=True)]
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(map(str, row)) + " |")
    lines += ["| **all** | " + " | ".join(f"**{total}**" for total in totals) + " |", ""]
    lines += ["Cases are functions; the other figures count each set of parameters.", ""]
    for name, cases in sorted(recorder.cases.items()):
        lines += [f"## {name.replace('_', ' ').capitalize()}", ""]
        for function, case in cases.items():
            left_out = "" if "kube-apiserver" in case.outcomes else f" *(left out there: {', '.join(case.features)})*"
            failed = [server for server in SERVERS if case.count(server, "failed")]
            lines.append(
                f"- {function.removeprefix('test_').replace('_', ' ')}{left_out}"
                + (f" **failed on {', '.join(failed)}**" if failed else "")
            )
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    if "KUBEBUILDER_ASSETS" not in os.environ:
        sys.stderr.write("set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver, as envtest uses it\n")
        return 2
    recorder = Recorder()
    status = pytest.main(["-q", "-p", "no:cacheprovider", str(Path(__file__).parent)], plugins=[recorder])
    from tests.conformance.kubernetes.real import version_of_assets  # not before pytest has rewritten its assertions

    PAGE.write_text(page_of(recorder, ".".join(map(str, version_of_assets()))))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
