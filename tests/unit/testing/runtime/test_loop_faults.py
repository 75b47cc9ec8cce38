"""Loop threads that cannot start, that died, or that an application blocks."""

import asyncio
import os
import subprocess
import sys
import threading
import time

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from signal_gateway.errors import HarnessError
from signal_gateway.testing import LiveServer
from signal_gateway.testing.runtime import running_loop
from signal_gateway.testing.runtime.blocked import blocker_of
from signal_gateway.testing.runtime.loops import LoopThread


async def hello(_request):
    return PlainTextResponse("hello")


APP = Starlette(routes=[Route("/", hello)])


def python(code, **environ):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environ},
    )


@pytest.fixture
def loop():
    return LoopThread("test-loop")


@pytest.mark.parametrize("name", ["time.monotonic", "time.time", "time.sleep", "time.perf_counter", "time.time_ns"])
def test_patched_function_of_time_leaves_the_server_running(monkeypatch, loop, name):
    def fail(*_):
        raise StopIteration

    with LiveServer(APP, loop=loop) as server:
        with monkeypatch.context() as patched:
            patched.setattr(name, fail)
            turns = [server.call(hello(None), timeout=60, doing="a call").body for _ in range(3)]
            server.call(asyncio.sleep(1.1), timeout=60, doing="a timer")  # the Date header is renewed every second

        assert turns == [b"hello"] * 3
        assert server.client.get("/").text == "hello"


@pytest.mark.parametrize("name", ["socket.socket", "datetime.datetime", "select.epoll", "select.select"])
def test_patched_class_leaves_the_server_running(monkeypatch, loop, name):
    def refuse(*_args, **_options):
        raise RuntimeError("not in this test")

    with LiveServer(APP, loop=loop) as server:
        server.client.get("/")
        with monkeypatch.context() as patched:
            patched.setattr(name, refuse)
            server.call(asyncio.sleep(1.1), timeout=60, doing="a timer")
            kept_alive = server.client.get("/").text

        assert kept_alive == "hello"


def test_server_accepts_a_connection_while_the_socket_class_is_patched(monkeypatch, loop):
    import socket

    with LiveServer(APP, loop=loop) as server, socket.socket() as client:
        client.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
        monkeypatch.setattr("socket.socket", None)
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        response = client.recv(1000)
        monkeypatch.undo()

    assert response.startswith(b"HTTP/1.1 200 OK")


def test_frozen_clock_leaves_timers_of_the_loop_running(loop):
    freezegun = pytest.importorskip("freezegun")
    with LiveServer(APP, loop=loop) as server, freezegun.freeze_time("2020-01-01"):
        server.call(asyncio.sleep(0.01), timeout=60, doing="a timer")


def test_time_limit_holds_while_the_clock_is_patched(monkeypatch, loop):
    lease = loop.acquire()
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    try:
        with pytest.raises(HarnessError, match=r"the long wait took longer than 0\.01 s"):
            lease.call(asyncio.Event().wait(), timeout=0.01, doing="the long wait")
    finally:
        lease.release()


def test_loop_that_died_is_named_with_its_cause_to_pending_users_and_replaced_for_the_next(loop):
    lease = loop.acquire()
    is_waiting = threading.Event()
    errors = []

    async def wait():
        is_waiting.set()
        await asyncio.Event().wait()

    def pend():
        try:
            lease.call(wait(), timeout=60, doing="a pending call")
        except HarnessError as exc:
            errors.append(exc)

    async def exit_process():
        raise SystemExit("from a handler")

    pending = threading.Thread(target=pend)
    pending.start()
    is_waiting.wait(60)
    with pytest.raises(HarnessError, match="'test-loop' ended with SystemExit: from a handler"):
        lease.call(exit_process(), timeout=60, doing="the exit")
    pending.join(60)
    with pytest.raises(HarnessError, match="'test-loop' ended with SystemExit: from a handler"):
        lease.call(hello(None), timeout=60, doing="a late call")

    renewed = loop.acquire()
    assert renewed.call(hello(None), timeout=60, doing="a call").body == b"hello"
    renewed.release()
    lease.release()
    assert ["ended with SystemExit: from a handler" in str(error) for error in errors] == [True]


def test_loop_ignores_an_event_loop_policy_that_refuses_threads(loop):
    class MainThreadOnly(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self):
            raise RuntimeError("no loop here")

    asyncio.set_event_loop_policy(MainThreadOnly())
    try:
        with LiveServer(APP, loop=loop) as server:
            assert server.client.get("/").text == "hello"
    finally:
        asyncio.set_event_loop_policy(None)


def test_thread_that_does_not_start_is_the_error_of_its_caller(monkeypatch, loop):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(HarnessError, match="'test-loop' did not start: RuntimeError: can't start new thread"):
            loop.acquire()

    lease = loop.acquire()
    lease.release()


FEW_FILES = """
import os, resource
from signal_gateway.errors import HarnessError
from signal_gateway.testing.runtime.loops import LoopThread

loop = LoopThread("test-loop")
most = resource.getrlimit(resource.RLIMIT_NOFILE)
for free in range(4):
    resource.setrlimit(resource.RLIMIT_NOFILE, most)
    highest = os.open(os.devnull, os.O_RDONLY)
    os.close(highest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + free, most[1]))
    try:
        loop.acquire().release()
    except HarnessError as exc:
        print(free, exc)
    else:
        print(free, "started")
"""


def test_loop_without_free_file_descriptors_is_an_error_at_once():
    result = python(FEW_FILES)

    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[3] == "3 started"
    assert all("'test-loop' did not start: OSError: [Errno 24] Too many open files" in line for line in lines[:3])


GEVENT = """
from gevent import monkey
monkey.patch_all({options})
import asyncio
from signal_gateway.errors import HarnessError
from signal_gateway.testing.runtime.loops import LoopThread

for loop in (LoopThread("first"), LoopThread("second")):
    try:
        lease = loop.acquire()
        lease.call(asyncio.sleep(0.01), timeout=60, doing="a timer")
        print(loop.name, "works")
        lease.release()
    except HarnessError as exc:
        print(exc)
"""


def test_threads_that_gevent_turned_into_greenlets_are_an_error_at_once():
    pytest.importorskip("gevent")

    result = python(GEVENT.format(options=""))

    assert result.stderr == ""
    first, second = result.stdout.splitlines()
    assert first.startswith("the event loop 'first' did not start: ")
    assert second.startswith("the event loop 'second' did not start: ")
    assert first.endswith("use patch_all(thread=False)")


def test_loop_works_in_a_process_whose_threads_gevent_left_alone():
    pytest.importorskip("gevent")

    result = python(GEVENT.format(options="thread=False"))

    assert result.stdout.splitlines() == ["first works", "second works"], result.stderr


def test_blocked_loop_is_an_error_that_names_the_application_and_its_line(monkeypatch, loop):
    monkeypatch.setattr(running_loop, "BLOCKED_SECONDS", 0.2)
    release = threading.Event()
    has_begun = threading.Event()

    async def block(_request):
        has_begun.set()
        release.wait(60)
        return PlainTextResponse("late")

    server = LiveServer(Starlette(routes=[Route("/", block)]), name="service", loop=loop)
    server.start()
    sender = threading.Thread(target=server.client.get, args=("/",))
    sender.start()
    has_begun.wait(60)

    with pytest.raises(HarnessError) as failed:
        server.wait_until_idle(60)

    assert f"the service at {server.url} blocks the loop 'test-loop' in block, test_loop_faults.py:" in str(
        failed.value
    )
    assert "release.wait(60)" in "".join(failed.value.__notes__)
    assert len(str(failed.value)) <= 300
    with LiveServer(APP, loop=loop) as following:
        assert following.client.get("/").text == "hello"
    release.set()
    sender.join(60)
    server.stop()


def test_blocked_loop_is_replaced_before_the_next_server_starts(monkeypatch, loop):
    monkeypatch.setattr(running_loop, "BLOCKED_SECONDS", 0.2)
    release = threading.Event()
    lease = loop.acquire()

    async def block():
        release.wait(60)

    blocked = lease.submit(block())
    with LiveServer(APP, loop=loop) as server:
        assert server.client.get("/").text == "hello"

    release.set()
    blocked.result(60)
    lease.release()


def test_stop_of_a_server_on_a_blocked_loop_happens_when_the_loop_is_free_again(monkeypatch, loop):
    monkeypatch.setattr(running_loop, "BLOCKED_SECONDS", 0.2)
    release = threading.Event()
    is_shut_down = threading.Event()

    async def lifespan(_scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        is_shut_down.set()
        await send({"type": "lifespan.shutdown.complete"})

    server = LiveServer(lifespan, name="service", loop=loop, lifespan="on")
    server.start()

    async def block():
        release.wait(60)

    server.submit(block())
    with pytest.raises(HarnessError, match="blocks the loop 'test-loop'"):
        server.stop()
    release.set()

    assert is_shut_down.wait(60)


def test_synchronous_request_to_a_server_from_its_own_loop_is_an_error_and_no_deadlock(loop):
    with LiveServer(APP, name="dependency", loop=loop) as dependency:
        errors = []

        async def call(_request):
            try:
                dependency.client.get("/")
            except HarnessError as exc:
                errors.append(str(exc))
            return PlainTextResponse("done")

        with LiveServer(Starlette(routes=[Route("/", call)]), loop=loop) as server:
            server.client.get("/")

    assert errors[0].startswith(f"a synchronous request to the dependency at {dependency.url} from its own event loop")


def test_idle_loop_has_no_blocker(loop):
    """A loop that waits in `select` and gets no turn runs no application: the machine is busy."""
    lease = loop.acquire()
    waits = threading.Event()
    select = lease._loop._selector.select

    def observed_select(timeout=None):
        if timeout != 0:  # with 0, callbacks are ready to run
            waits.set()
        return select(timeout)

    async def observe():
        lease._loop._selector.select = observed_select

    lease.call(observe(), timeout=60, doing="a call")
    assert waits.wait(60)

    assert blocker_of(lease._thread, lease._loop) is None
    lease.release()


def test_clock_of_the_machine_is_captured(monkeypatch):
    from signal_gateway.clock import MovableClock, SystemClock

    clocks = [SystemClock(), MovableClock()]
    monkeypatch.setattr("time.monotonic", lambda: 1 / 0)
    monkeypatch.setattr("time.time", lambda: 1 / 0)
    monkeypatch.setattr("datetime.datetime", None)

    assert all(clock.monotonic() > 0 and clock.now().year > 2000 for clock in clocks)
    monkeypatch.undo()
    assert abs(clocks[0].monotonic() - time.monotonic()) < 60
