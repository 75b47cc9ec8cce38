import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import kopf
import pytest
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.core_v1 import Event
from lightkube.types import PatchType

DEADLINE = 60.0
HANDLED = "kopf.zalando.org/last-handled-configuration"

Widget = create_namespaced_resource("example.com", "v1", "Widget", "widgets")


class Told:
    """What the handlers were told, for a test to wait for."""

    def __init__(self):
        self._entries = []
        self._news = threading.Condition()

    def append(self, *entry):
        with self._news:
            self._entries.append(entry)
            self._news.notify_all()

    def wait_for(self, *entry):
        with self._news:
            assert self._news.wait_for(lambda: entry in self._entries, DEADLINE), f"{entry} is not in {self._entries}"


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def operator(kubeconfig, told):  # noqa: ARG001 - kopf finds it in the environment
    """A kopf operator with create, update, field and delete handlers, on a loop and a thread of its own."""
    registry = kopf.OperatorRegistry()
    where = {"group": "example.com", "version": "v1", "plural": "widgets", "registry": registry}

    @kopf.on.startup(registry=registry)
    def configure(settings, **_):
        settings.posting.enabled = True
        settings.peering.standalone = True
        settings.persistence.finalizer = "example.com/kopf"

    @kopf.on.login(registry=registry)
    def login(**options):
        return kopf.login_with_kubeconfig(**options)

    @kopf.on.create(**where)
    def created(name, patch, body, **_):
        patch.status["phase"] = "Ready"
        kopf.info(body, reason="Made", message=f"{name} was made")
        told.append("created", name)

    @kopf.on.update(**where)
    def updated(name, **_):
        told.append("updated", name)

    @kopf.on.field(field="spec.size", **where)
    def resized(name, old, new, **_):
        told.append("resized", name, old, new)

    @kopf.on.delete(**where)
    def deleted(name, **_):
        told.append("deleted", name)

    ready, stop = threading.Event(), threading.Event()

    def run():
        async def main():
            ready_flag, stop_flag = asyncio.Event(), asyncio.Event()
            loop = asyncio.get_running_loop()
            waiter = loop.run_in_executor(None, stop.wait)
            waiter.add_done_callback(lambda _: stop_flag.set())
            announce = asyncio.create_task(ready_flag.wait())
            announce.add_done_callback(lambda _: ready.set())
            await kopf.operator(
                registry=registry, standalone=True, namespaces=["default"], ready_flag=ready_flag, stop_flag=stop_flag
            )

        asyncio.run(main())

    with ThreadPoolExecutor() as pool:
        running = pool.submit(run)
        running.add_done_callback(lambda _: ready.set())
        assert ready.wait(DEADLINE)
        yield
        stop.set()
        running.result(DEADLINE)


def wait_until_handled(client):
    """Wait until kopf has written down what it has handled: until then, a change is part of the creation."""
    for _, object in client.watch(Widget, namespace="default", server_timeout=int(DEADLINE)):
        if HANDLED in object["metadata"].get("annotations", {}):
            return
    raise AssertionError(f"{HANDLED} was not written within {DEADLINE} s")


@pytest.mark.usefixtures("operator")
def test_operator_is_told_of_everything(cluster, widget, told):
    client = cluster.lightkube()

    client.create(Widget(widget(size=1)))
    told.wait_for("created", "a")
    wait_until_handled(client)
    client.patch(Widget, "a", {"spec": {"size": 2}}, patch_type=PatchType.MERGE)
    told.wait_for("resized", "a", 1, 2)
    told.wait_for("updated", "a")
    got = client.get(Widget, "a")
    client.delete(Widget, "a")
    told.wait_for("deleted", "a")

    assert got["status"]["phase"] == "Ready"
    assert got["metadata"]["finalizers"] == ["example.com/kopf"]
    assert "Made" in [event.reason for event in client.list(Event, namespace="default")]
