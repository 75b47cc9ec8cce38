"""A process that posts alerts to a URL, so many at a time, and prints how long it took.

    python -m tests.benchmarks.signal_load http://127.0.0.1:8080 duplicates_of_one 1000 32 0

It writes to its sockets without a client library: what the client costs would be taken for the server's.
"""

import asyncio
import gc
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from signal_gateway.testing import alert, alertmanager_webhook
from signal_gateway.testing.gateway.payloads import AlertPayload

__all__ = ["BATCH", "KINDS", "MANY", "Load"]

BATCH = 100
MANY = 100
PATH = "/api/v1/signals/prometheus"
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Load:
    """What became of the requests.

    Attributes:
        seconds: From the first byte sent until the last answer.
        latencies: Milliseconds of each request.
        statuses: How many answers of each status.
        results: How many results of each status in the answers to batches.
    """

    seconds: float
    latencies: list[float]
    statuses: dict[str, int]
    results: dict[str, int]


def one(workload: str, cluster: str = "east") -> AlertPayload:
    """Return an alert about a Deployment."""
    return alert(
        "HighLatency",
        severity="critical",
        namespace="prod",
        deployment=workload,
        cluster=cluster,
        annotations={
            "summary": f"{workload} answers slowly",
            "description": "The 99th percentile of its requests has been above 500 ms for 10 minutes.",
        },
    )


def new(first: int) -> Iterator[list[AlertPayload]]:
    """Each about a workload of its own, which nobody has heard of."""
    while True:
        yield [one(f"new-{first}")]
        first += 1


def new_of_known_workload(first: int) -> Iterator[list[AlertPayload]]:
    """Each from a cluster of its own, about a workload that the gateway has looked up already."""
    while True:
        yield [one("known-0", f"cluster-{first}")]
        first += 1


def duplicates_of_one(first: int) -> Iterator[list[AlertPayload]]:
    """The same again and again."""
    while True:
        yield [one(f"one-{first}")]


def duplicates_of_many(first: int) -> Iterator[list[AlertPayload]]:
    """One after another of `MANY`, again and again."""
    while True:
        yield [one(f"many-{first % MANY}")]
        first += 1


def batches_of_new(first: int) -> Iterator[list[AlertPayload]]:
    """Batches of alerts that are each about a workload of its own."""
    alerts = new(first)
    while True:
        yield [next(alerts)[0] for _ in range(BATCH)]


def batches_of_duplicates(_: int) -> Iterator[list[AlertPayload]]:
    """The same batch again and again."""
    batch = [one(f"many-{number}") for number in range(BATCH)]
    while True:
        yield batch


KINDS: dict[str, Callable[[int], Iterator[list[AlertPayload]]]] = {
    kind.__name__: kind
    for kind in (
        new,
        new_of_known_workload,
        duplicates_of_one,
        duplicates_of_many,
        batches_of_new,
        batches_of_duplicates,
    )
}


class Connection:
    """One kept-alive connection, with one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def post(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and return status and body of its answer."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = CONTENT_LENGTH.search(head)
        assert length is not None, head
        return int(head[9:12]), await self._reader.readexactly(int(length[1]))

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()


async def post_all(url: str, requests: list[bytes], in_flight: int) -> Load:
    """Post requests, so many at a time."""
    address = urlsplit(url)
    connections = [Connection(*await asyncio.open_connection(address.hostname, address.port)) for _ in range(in_flight)]
    waiting = iter(requests)
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    results: Counter[str] = Counter()

    async def post_some(connection: Connection) -> None:
        for request in waiting:
            sent_at = time.perf_counter()
            status, body = await connection.post(request)
            latencies.append((time.perf_counter() - sent_at) * 1000)
            statuses[str(status)] += 1
            if status == 207:
                results.update(result["status"] for result in json.loads(body)["results"])

    begin = time.perf_counter()
    await asyncio.gather(*map(post_some, connections))
    seconds = time.perf_counter() - begin
    for connection in connections:
        await connection.close()
    return Load(seconds, latencies, dict(statuses), dict(results))


def request(host: str, alerts: list[AlertPayload]) -> bytes:
    """Return the bytes of one request."""
    body = json.dumps(alertmanager_webhook(*alerts)).encode()
    head = f"POST {PATH} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def main(url: str, kind: str, count: int, in_flight: int, first: int) -> None:
    alerts = KINDS[kind](first)
    requests = [request(urlsplit(url).netloc, next(alerts)) for _ in range(count)]
    gc.freeze()
    sys.stdout.write(json.dumps(asdict(asyncio.run(post_all(url, requests, in_flight)))))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
