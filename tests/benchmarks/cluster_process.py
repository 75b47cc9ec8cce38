"""An embedded Kubernetes API in a process of its own, which does what the lines on its standard input say.

    python -m tests.benchmarks.cluster_process

Each line is a list of JSON: the name of a function of `Commands`, and its arguments. Each is answered by a line.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.benchmarks.processes import started

from signal_gateway.testing import EmbeddedCluster

__all__ = ["ClusterProcess", "cluster_process"]

MODULE = "tests.benchmarks.cluster_process"


class Commands:
    """What can be asked for.

    Args:
        cluster: The cluster that it is done to.
    """

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self._cluster = cluster

    def workloads(self, prefix: str, first: int, count: int) -> None:
        """Create Deployments that a gateway may act on, in the namespace `prod`."""
        for number in range(first, first + count):
            self._cluster.workload(f"prod/Deployment/{prefix}-{number}", managed=True, pods=0)

    def namespace(self, name: str) -> None:
        """Create a namespace."""
        self._cluster.install({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def late(self, seconds: float) -> None:
        """Add so much to each call from now on; 0 for nothing."""
        self._cluster.faults.clear()
        if seconds:
            self._cluster.faults.delay(seconds)

    def forget_calls(self) -> None:
        """Begin the log of calls anew."""
        self._cluster.log.clear()

    def calls(self) -> dict[str, int]:
        """Count the calls since then by verb and resource; the log keeps 10 000."""
        return Counter(f"{entry.verb} {entry.resource}" for entry in self._cluster.log)


class ClusterProcess:
    """The process, as a benchmark sees it.

    Attributes:
        pid: Its id.
        url: Where the API answers.
        kubeconfig: Path of a kubeconfig for it.
    """

    def __init__(self, process: subprocess.Popen[str], ready: str) -> None:
        self.pid = process.pid
        self.url, self.kubeconfig = json.loads(ready)
        self._process = process

    def do(self, command: str, *arguments: object) -> Any:
        """Have a command done and return what it does.

        Args:
            command: One of `Commands`.
            *arguments: Its arguments.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([command, *arguments]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def cluster_process() -> Iterator[ClusterProcess]:
    """Run one meanwhile."""
    with started(MODULE) as (process, ready):
        yield ClusterProcess(process, ready)


def main() -> None:
    """Serve until there are no more commands."""
    with EmbeddedCluster() as cluster:
        commands = Commands(cluster)
        print(json.dumps([cluster.url, str(cluster.kubeconfig)]), flush=True)
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            print(json.dumps(getattr(commands, name)(*arguments)), flush=True)


if __name__ == "__main__":
    main()
