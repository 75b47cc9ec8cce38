"""Stores in the worker processes of gunicorn, Celery and gevent: each event of each worker is stored once."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.support.waiting import wait_until

from signal_gateway.audit import DataStorageClient

pytestmark = pytest.mark.slow

DEADLINE = 60.0

PROLOGUE = """
import os, sys, tempfile
{first}
from signal_gateway.audit import AuditEvent, AuditStoreConfig, BufferedAuditStore, DataStorageClient

def event():
    return AuditEvent(event_type="t.x", event_category="t", event_action="a", event_outcome="success",
                      correlation_id="c", event_data={{"event_type": "t.x"}})

def open_store():
    config = AuditStoreConfig(spool_directory=sys.argv[2])
    return BufferedAuditStore(DataStorageClient(sys.argv[1]), service="x", config=config)
{then}
"""
PATCH = "from gevent import monkey; monkey.patch_all()"

GEVENT = """
import gevent
for _ in range(100):
    store.record(event())
steps = []
def step():
    for number in range(20):
        steps.append(number)
        gevent.sleep(0)
others = [gevent.spawn(step) for _ in range(3)]
result = store.flush(30)
gevent.joinall(others)
print(result.ok, len(steps), store.close(30).ok, store.stats.delivered)
"""


def needs(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        reason = f"needs {package}: pip install {package}"
        if os.environ.get("SIGNAL_GATEWAY_REQUIRE_ALL"):
            pytest.fail(reason)
        pytest.skip(reason)


def stored(url: str) -> int:
    with closing(DataStorageClient(url)) as client:
        return client.query(limit=1).total


@pytest.mark.parametrize(
    ("first", "then"),
    [(PATCH, "store = open_store()"), ("", PATCH + "\nstore = open_store()"), ("", "store = open_store()\n" + PATCH)],
    ids=["before the import", "after the import", "after the store was made"],
)
def test_gevent_that_patches_freezes_nothing_and_loses_no_event(datastorage, tmp_path: Path, first, then) -> None:
    needs("gevent")
    program = PROLOGUE.format(first=first, then=then) + GEVENT

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, datastorage.url, str(tmp_path / "spool")],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )

    assert done.stdout.split() == ["True", "60", "True", "100"], done.stderr
    assert stored(datastorage.url) == 100


APPLICATION = """
import os
from signal_gateway.audit import AuditEvent, AuditStoreConfig, BufferedAuditStore, DataStorageClient

store = BufferedAuditStore(DataStorageClient(os.environ["DATASTORAGE"]), service="app",
                           config=AuditStoreConfig(spool_directory=os.environ["SPOOL"]))

def record():
    store.record(AuditEvent(event_type="t.x", event_category="t", event_action="a", event_outcome="success",
                            correlation_id=str(os.getpid()), event_data={"event_type": "t.x"}))

def application(environ, start_response):
    record()
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", "2"), ("connection", "close")])
    return [b"ok"]
"""


@contextmanager
def running(command: list[str], tmp_path: Path, url: str) -> Iterator["subprocess.Popen[str]"]:
    environment = os.environ | {"DATASTORAGE": url, "SPOOL": str(tmp_path / "spool"), "PYTHONPATH": str(tmp_path)}
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log, text=True, cwd=tmp_path) as process,
    ):
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE)


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["loaded by the workers", "preloaded"])
@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_gunicorn_stores_each_event_of_its_workers_once(datastorage, tmp_path: Path, worker, preload) -> None:
    needs("gunicorn")
    needs("gevent")
    (tmp_path / "app.py").write_text(APPLICATION)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.set_inheritable(True)
        descriptor = listening.fileno()
        port = listening.getsockname()[1]
        command = [sys.executable, "-m", "gunicorn", "-k", worker, "-w", "2", *preload, "-b", f"fd://{descriptor}"]
        environment = os.environ | {"DATASTORAGE": datastorage.url, "SPOOL": str(tmp_path / "spool")}
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(
                [*command, "app:application"],
                env=environment,
                cwd=tmp_path,
                stdout=log,
                stderr=log,
                pass_fds=[descriptor],
            )
        try:
            for _ in range(40):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=DEADLINE) as response:
                    assert response.status == 200
        finally:
            process.terminate()
            process.wait(DEADLINE)

    drain(tmp_path / "spool", datastorage.url)
    assert stored(datastorage.url) == 40, (tmp_path / "log").read_text()


def drain(spool: Path, url: str) -> None:
    command = [sys.executable, "-m", "signal_gateway", "audit", "spool", "deliver", str(spool), "--datastorage", url]
    subprocess.run(command, check=True, capture_output=True)


CELERY = """
from celery import Celery
import app

tasks = Celery("tasks", broker="filesystem://", backend="cache+memory://")
tasks.conf.broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue"}

@tasks.task
def audited():
    app.record()
"""


def test_celery_stores_each_event_of_its_workers_once(datastorage, tmp_path: Path) -> None:
    needs("celery")
    (tmp_path / "app.py").write_text(APPLICATION)
    (tmp_path / "tasks.py").write_text(textwrap.dedent(CELERY))
    (tmp_path / "queue").mkdir()
    command = [sys.executable, "-m", "celery", "-A", "tasks:tasks", "worker", "-P", "prefork", "-c", "2"]
    send = "import tasks\nfor _ in range(40): tasks.audited.delay()\ntasks.app.store.close()"
    with running([sys.executable, "-c", send], tmp_path, datastorage.url) as sender:
        assert sender.wait(DEADLINE) == 0, (tmp_path / "log").read_text()
    with running([*command, "--without-gossip", "--without-mingle"], tmp_path, datastorage.url):
        wait_until(lambda: not any((tmp_path / "queue").iterdir()))  # the workers took every message

    drain(tmp_path / "spool", datastorage.url)
    assert stored(datastorage.url) == 40, (tmp_path / "log").read_text()
