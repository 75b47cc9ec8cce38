"""One process that makes so many gateways one after the other, and prints what it has meanwhile, as JSON.

python -m tests.benchmarks.many_gateways_process 5000
"""

import gc
import json
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from signal_gateway import GatewayConfig, create_gateway
from signal_gateway.audit import AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.testing import EmbeddedCluster, serve

STEPS = (1, 100, 500, 1000, 2000, 3000, 4000, 5000)
CONFIG = GatewayConfig(processing={"scope": {"enabled": False}})


def sample(gateways: int, seconds: float, since: int, spool: str) -> dict[str, float]:
    gc.collect()
    status = Path("/proc/self/status").read_text()
    anonymous_kib = int(status.partition("RssAnon:")[2].split()[0])
    return {
        "gateways": gateways,
        "threads": threading.active_count(),
        "descriptors": len(_descriptors(but_of=spool)),
        "mib": anonymous_kib / 1024,
        "ms": seconds * 1000 / (gateways - since),
    }


def _descriptors(*, but_of: str) -> list[str]:
    """Return what this process has open, but for the files of the store's spool."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the listing's own
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return [path for path in found if not path.startswith(but_of)]


def one_gateway(store: BufferedAuditStore) -> None:
    with (
        EmbeddedCluster() as cluster,
        serve(create_gateway(CONFIG, kubernetes=cluster.client(), audit_store=store), cluster=cluster) as live,
    ):
        assert live.send_alert("HighLatency", namespace="prod", deployment="api").status_code == 201


def main(count: int, url: str) -> None:
    samples: list[dict[str, float]] = []
    with (
        TemporaryDirectory() as spool,
        BufferedAuditStore(
            DataStorageClient(url), service="gateway", config=AuditStoreConfig(spool_directory=spool)
        ) as store,
        EmbeddedCluster(),  # keeps the two loops, as a session does
    ):
        begin, since = time.perf_counter(), 0
        for number in range(1, count + 1):
            one_gateway(store)
            if number in STEPS or number == count:
                assert store.flush(60).ok
                samples.append(sample(number, time.perf_counter() - begin, since, spool))
                begin, since = time.perf_counter(), number
    sys.stdout.write(json.dumps(samples))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
