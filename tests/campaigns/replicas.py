"""`python -m tests.campaigns.replicas`: several gateway processes on one cluster that is having a bad day.

Signals of one problem and of many others arrive at all of them at once, while requests to the Kubernetes API are
refused and lose their answers, gateways are cut off from it in turn, and a controller ends RemediationRequests and
deletes ended ones, all but the newest of each problem. It compares the cluster's event log, the answers and the audit
events, and exits with 1 if a problem ever had two active RemediationRequests or something was miscounted or not
recorded. With KUBEBUILDER_ASSETS the cluster is a real kube-apiserver.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import yaml
from tests.campaigns.api_proxy import ApiProxy, Upstream, serving
from tests.campaigns.report import Report
from tests.conformance.kubernetes.real import real_server
from tests.support.remediation_history import RemediationHistory

from signal_gateway.audit import DataStorageClient
from signal_gateway.gateway.config import DEFAULT_NAMESPACE
from signal_gateway.kubernetes import RemediationRecord, crd_manifest
from signal_gateway.testing import EmbeddedCluster, EmbeddedDataStorage, alert, alertmanager_webhook

PATH = "/api/v1/signals/prometheus"
NAMESPACES = "/api/v1/namespaces"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
REQUESTS = f"/apis/kubernaut.ai/v1alpha1/namespaces/{DEFAULT_NAMESPACE}/remediationrequests"
MERGE = {"Content-Type": "application/merge-patch+json"}
PHASES = ("Completed", "Failed", "TimedOut", "Skipped", "Cancelled")
SAME = "the-same"
OTHER_PROBLEMS = 100
IN_FLIGHT = 128
HARM = 0.12
ENDS, DELETIONS = 0.12, 0.09  # for each answer
ENDS_OF_SAME = 0.25  # of the ends
PARTED_FROM, PARTED_UNTIL = 0.3, 0.5  # of the answers of a round
KEPT_ALIVE = 1.0  # seconds; shorter than the server's, which else closes a connection just as it is used again
PAUSE = 0.05  # seconds before a signal that was refused is sent again
START_DEADLINE, STOP_DEADLINE, LOG_DEADLINE = 60.0, 60.0, 30.0
BOUND = 120.0  # seconds for which an ended RemediationRequest is to be kept


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    seed: int
    gateways: int
    rounds: int
    same: int
    others: int
    random_names: bool


@dataclass
class Books:
    """What the senders and the controller know.

    Attributes:
        received: Requests that were sent, by the workload they are about.
        created: Answers 201, by the uid that they name.
        duplicates: Answers 202, by the uid that they name.
        refused: Answers 5xx that have the sender repeat it, and requests without an answer.
        unexpected: Every other answer.
        ended: How many RemediationRequests were ended.
        deleted: How many were deleted, by whether they had been there for longer than the bound.
    """

    received: Counter[str] = field(default_factory=Counter)
    created: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    unexpected: list[str] = field(default_factory=list)
    ended: int = 0
    deleted: Counter[bool] = field(default_factory=Counter)

    @property
    def answered(self) -> int:
        return self.created.total() + self.duplicates.total()


@contextmanager
def cluster() -> Iterator[tuple[str, Upstream, httpx.Client]]:
    """Give a name for the report, the API server, and a client of it."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets is None:
        with EmbeddedCluster() as embedded, httpx.Client(base_url=embedded.url, trust_env=False) as http:
            yield "embedded API server", Upstream(embedded.url), http
        return
    with real_server(Path(assets)) as (http, server, user):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": DEFAULT_NAMESPACE}}
        http.post(NAMESPACES, json=namespace).raise_for_status()
        http.post(DEFINITIONS, json=crd_manifest()).raise_for_status()
        deadline = time.monotonic() + START_DEADLINE
        while http.get(REQUESTS).status_code != httpx.codes.OK:
            assert time.monotonic() < deadline, "the definition is not served"
        yield "kube-apiserver", Upstream(server["server"], user["token"]), http


@contextmanager
def gateways(options: Options, proxies: list[ApiProxy], datastorage_url: str, directory: Path) -> Iterator[list[str]]:
    """Run a gateway behind each proxy; give their URLs. They end by SIGTERM, and must do so with 0."""
    module = "tests.campaigns.random_names" if options.random_names else "signal_gateway"
    processes = []
    try:
        for number, proxy in enumerate(proxies):
            path = _config_file(directory / f"gateway-{number}", proxy.url, datastorage_url)
            command = [sys.executable, "-m", module, "serve", "--config", str(path)]
            with (path.parent / "log").open("w") as log:
                processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True))
        yield [_url_of(process) for process in processes]
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for number, process in enumerate(processes):
            log_path = directory / f"gateway-{number}" / "log"
            assert process.wait(STOP_DEADLINE) == 0, log_path.read_text()[-2000:]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _config_file(directory: Path, api_url: str, datastorage_url: str) -> Path:
    directory.mkdir()
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "proxy",
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}],
        "clusters": [{"name": "proxy", "cluster": {"server": api_url}}],
        "users": [{"name": "nobody", "user": {}}],
    }
    (directory / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    config = {
        "controller_namespace": DEFAULT_NAMESPACE,
        "server": {"listen": "127.0.0.1:0"},
        "kubernetes": {"kubeconfig": str(directory / "kubeconfig")},
        "audit": {"datastorage_url": datastorage_url, "spool_directory": str(directory / "spool")},
        "processing": {"scope": {"enabled": False}, "breaker": {"open_for": 1}},
        "logging": {"level": "warning"},
    }
    path = directory / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def _url_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = next((line for line in process.stdout if "gateway on" in line), None)
    assert line is not None, f"a gateway ended at its start, status {process.wait(STOP_DEADLINE)}"
    return next(word for word in line.split() if word.startswith("http"))


class Trial:
    """All rounds of signals, and what is compared after them.

    Args:
        options: The campaign's.
        proxies: In front of the API, one for each gateway.
        urls: Of the gateways.
        history: Of the RemediationRequests.
    """

    def __init__(self, options: Options, proxies: list[ApiProxy], urls: list[str], history: RemediationHistory) -> None:
        self.books = Books()
        self._options = options
        self._proxies = proxies
        self._urls = urls
        self._history = history
        self._random = random.Random(options.seed)
        self._turn = 0

    async def run(self, *, base_url: httpx.URL, headers: httpx.Headers) -> None:
        """Send everything, while the controller is busy at the API server itself."""
        for proxy in self._proxies:
            proxy.does_harm = True
        limits = httpx.Limits(keepalive_expiry=KEPT_ALIVE)
        async with httpx.AsyncClient(
            base_url=base_url, headers=headers, verify=False, trust_env=False, limits=limits
        ) as api:
            for number in range(self._options.rounds):
                await self._round(api, parted=self._proxies[number % len(self._proxies)])
        for proxy in self._proxies:
            proxy.does_harm = False

    async def _round(self, api: httpx.AsyncClient, *, parted: ApiProxy) -> None:
        others = [f"other-{number % OTHER_PROBLEMS}" for number in range(self._options.others)]
        signals = [SAME] * self._options.same + others
        self._random.shuffle(signals)
        room = asyncio.Semaphore(IN_FLIGHT)
        done = 0

        async def send(http: httpx.AsyncClient, workload: str) -> None:
            nonlocal done
            async with room:
                await self._send_until_answered(http, workload)
            done += 1
            if done == int(len(signals) * PARTED_FROM):
                parted.part()
            if done == int(len(signals) * PARTED_UNTIL):
                parted.join()
            await self._control(api)

        limits = httpx.Limits(max_connections=IN_FLIGHT)
        async with (
            httpx.AsyncClient(trust_env=False, timeout=60.0, limits=limits) as http,
            asyncio.TaskGroup() as tasks,
        ):
            for workload in signals:
                tasks.create_task(send(http, workload))

    async def _send_until_answered(self, http: httpx.AsyncClient, workload: str) -> None:
        """Send a signal, and send it again as long as the answer asks for it, to whichever gateway is next."""
        payload = alertmanager_webhook(alert("Trouble", namespace="prod", deployment=workload))
        while True:
            self._turn += 1
            self.books.received[workload] += 1
            try:
                response = await http.post(f"{self._urls[self._turn % len(self._urls)]}{PATH}", json=payload)
            except httpx.TransportError:
                self.books.refused += 1
                continue
            if response.status_code in (503, 504):
                self.books.refused += 1
                await asyncio.sleep(PAUSE)
                continue
            answers = {201: self.books.created, 202: self.books.duplicates}
            if response.status_code in answers:
                answers[response.status_code][response.json()["remediationRequestUid"]] += 1
            else:
                self.books.unexpected.append(f"{response.status_code} {response.text[:200]}")
            return

    async def _control(self, api: httpx.AsyncClient) -> None:
        """End a RemediationRequest, or delete one, as a controller and a cleaner would at some time."""
        if self._random.random() < ENDS and (active := self._history.active()):
            same = [record for record in active if self._history.workloads[record.fingerprint] == SAME]
            chosen = self._random.choice(same if same and self._random.random() < ENDS_OF_SAME else active)
            body = {"status": {"overallPhase": self._random.choice(PHASES)}}
            url = f"{REQUESTS}/{chosen.name}/status"
            is_ended = await _is_done(api, "PATCH", url, headers=MERGE, content=json.dumps(body))
            self.books.ended += is_ended
        if self._random.random() < DELETIONS and (ended := self._history.ended_but_the_newest()):
            chosen = self._random.choice(ended)
            options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": chosen.uid}}
            is_deleted = await _is_done(api, "DELETE", f"{REQUESTS}/{chosen.name}", json=options)
            self.books.deleted[_age(chosen) > BOUND] += is_deleted


def _age(record: RemediationRecord) -> float:
    """Return for how many seconds a RemediationRequest has been there."""
    return (datetime.now(UTC) - record.created_at).total_seconds()


async def _is_done(api: httpx.AsyncClient, method: str, url: str, **request: Any) -> bool:
    """Change something, and say whether it was done; somebody else may have deleted the object before."""
    response = await api.request(method, url, **request)
    if response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.CONFLICT):
        return False
    response.raise_for_status()
    return True


def compare(
    report: Report, books: Books, history: RemediationHistory, events: Counter[tuple[str, str]], harmed: Counter[str]
) -> None:
    """Note what the three books say together.

    Args:
        report: Where.
        books: The senders' and the controller's.
        history: The cluster's.
        events: How many audit events there are, by type and correlation id.
        harmed: What the proxies did.
    """
    objects = history.last_of_each()
    counted: Counter[str] = Counter()
    for record in objects.values():
        counted[history.workloads[record.fingerprint]] += record.occurrence_count
    too_many = [f"{workload}: {count}" for workload, count in counted.items() if count > books.received[workload]]

    report.figure("requests received", books.received.total())
    report.check("answered", books.answered, holds=books.answered > 0)
    report.figure("refused for a while", books.refused)
    report.none_of("answered otherwise", books.unexpected)
    report.figure("RemediationRequests", len(objects))
    report.figure("changes of them", len(history.changes))
    report.check("ended meanwhile", books.ended, holds=books.ended > 0)
    report.check("deleted, younger than the bound", books.deleted[False], holds=books.deleted.total() > 0)
    report.figure("deleted, older than the bound", books.deleted[True])
    for harm, times in sorted(harmed.items()):
        report.check(f"API requests {harm}", times, holds=times > 0)
    report.none_of("moments with two active of a problem", history.moments_with_two())
    report.none_of("counted less than was answered", list(_uncounted(books, objects)))
    report.none_of("counted more than was received", too_many)
    report.none_of("answers without an event", list(_unrecorded(books, objects, events)))


def _uncounted(books: Books, objects: dict[str, RemediationRecord]) -> Iterator[str]:
    for uid in books.created.keys() | books.duplicates.keys():
        answers = books.created[uid] + books.duplicates[uid]
        if uid not in objects or objects[uid].occurrence_count < answers:
            yield f"{uid}: {answers} answers"


def _unrecorded(books: Books, objects: dict[str, RemediationRecord], events: Counter[tuple[str, str]]) -> Iterator[str]:
    wanted: Counter[tuple[str, str]] = Counter()
    for uid, answers in books.created.items():
        wanted["gateway.signal.received", objects[uid].name] += answers
        wanted["gateway.crd.created", objects[uid].name] += answers
    for uid, answers in books.duplicates.items():
        wanted["gateway.signal.deduplicated", objects[uid].name] += answers
    for (event_type, name), answers in wanted.items():
        if events[event_type, name] < answers:
            yield f"{event_type} of {name}: {events[event_type, name]} for {answers} answers"


def run(options: Options, upstream: Upstream, http: httpx.Client, report: Report) -> None:
    """Run proxies, gateways and signals; then compare."""
    begin = time.monotonic()
    proxies = [ApiProxy(upstream, probability=HARM, seed=options.seed + n) for n in range(options.gateways)]
    history = RemediationHistory(http, DEFAULT_NAMESPACE)
    with EmbeddedDataStorage() as datastorage, TemporaryDirectory(prefix="replicas-") as directory:
        with history:
            with serving(proxies), gateways(options, proxies, datastorage.url, Path(directory)) as urls:
                trial = Trial(options, proxies, urls, history)
                asyncio.run(trial.run(base_url=http.base_url, headers=http.headers))
            history.catch_up()
        with closing(DataStorageClient(datastorage.url)) as client:
            events = Counter((event["event_type"], event["correlation_id"]) for event in client.events())
    harmed: Counter[str] = Counter()
    for proxy in proxies:
        harmed += proxy.harmed
    compare(report, trial.books, history, events, harmed)
    report.figure("seconds", f"{time.monotonic() - begin:.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.replicas")
    parser.add_argument("--gateways", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3, help="in each of them one gateway is cut off for a while")
    parser.add_argument("--same", type=int, default=400, help="signals of one problem, in each round")
    parser.add_argument("--others", type=int, default=1000, help=f"signals of {OTHER_PROBLEMS} others, in each round")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)), help="of what is left to chance")
    parser.add_argument("--random-names", action="store_true", help="name objects by chance, to see it told")
    options = Options(**vars(parser.parse_args()))

    with cluster() as (name, upstream, http):
        report = Report(f"{options.gateways} gateways, {name} (seed {options.seed})")
        run(options, upstream, http, report)
    report.print()
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
