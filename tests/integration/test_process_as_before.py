"""A gateway, a service, a cluster and a DataStorage leave their process as they found it."""

import asyncio
import faulthandler
import gc
import locale
import logging
import mimetypes
import os
import random
import resource
import signal
import socket
import sys
import threading
import warnings

import pytest
from prometheus_client import REGISTRY
from starlette.responses import PlainTextResponse

from signal_gateway.gateway.config import GatewayConfig
from signal_gateway.gateway.factory import create_gateway
from signal_gateway.testing import EmbeddedCluster, EmbeddedDataStorage, LiveServer, RecordingAuditStore, serve


def loggers():
    names = [None, *sorted(logging.root.manager.loggerDict)]
    found = [logging.getLogger(name) for name in names]
    return {
        one.name: (one.level, one.propagate, one.disabled, tuple(one.handlers), tuple(one.filters))
        for one in found
        if one.name == "root" or one.level or one.handlers or one.filters or not one.propagate or one.disabled
    }


def state():
    """Everything that the code of a process shares and that a library could change."""
    umask = os.umask(0)
    os.umask(umask)
    return {
        "loggers": loggers(),
        "level names": {level: logging.getLevelName(level) for level in range(60)},
        "logging": (logging.root.manager.disable, logging.getLoggerClass(), logging.getLogRecordFactory()),
        "raiseExceptions": logging.raiseExceptions,
        "warnings": (list(warnings.filters), warnings.showwarning),
        "signal handlers": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "wakeup file": signal.set_wakeup_fd(-1),
        "hooks": (sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook, sys.breakpointhook),
        "trace": (sys.gettrace(), sys.getprofile(), threading.gettrace(), sys.get_asyncgen_hooks()),
        "event loop policy": asyncio.get_event_loop_policy(),
        "environment": dict(os.environ),
        "metrics": set(REGISTRY._names_to_collectors),
        "faulthandler": faulthandler.is_enabled(),
        "garbage collection": (gc.isenabled(), gc.get_threshold(), gc.get_debug(), list(gc.callbacks)),
        "interpreter": (sys.getswitchinterval(), sys.getrecursionlimit(), threading.stack_size()),
        "import": (list(sys.path), list(sys.meta_path), list(sys.path_hooks)),
        "locale": locale.setlocale(locale.LC_ALL),
        "working directory": os.getcwd(),
        "umask": umask,
        "limits": [
            resource.getrlimit(one) for one in (resource.RLIMIT_NOFILE, resource.RLIMIT_STACK, resource.RLIMIT_CORE)
        ],
        "socket": (socket.getdefaulttimeout(), socket.socket, socket.getaddrinfo),
        "random": random.getstate(),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "mimetypes": (dict(mimetypes.types_map), list(mimetypes.knownfiles)),
        "threads": {thread.name for thread in threading.enumerate()},
    }


async def app(scope, receive, send):
    await PlainTextResponse("x")(scope, receive, send)


@pytest.fixture
def access_log():
    """The access log of a uvicorn of the user's own, with a level name of theirs."""
    use_all()  # imports modules and creates loggers, which is no change of state
    logger, handler = logging.getLogger("uvicorn.access"), logging.NullHandler()
    logger.addHandler(handler)
    logging.addLevelName(5, "FINE")
    yield
    logging.addLevelName(5, "Level 5")
    logger.removeHandler(handler)


@pytest.mark.usefixtures("access_log")
def test_process_is_as_before_after_a_gateway_a_service_a_cluster_and_a_datastorage():
    before = state()

    use_all()

    assert state() == before


@pytest.mark.usefixtures("access_log")
def test_process_is_as_before_while_they_run():
    before = state()

    with EmbeddedDataStorage() as datastorage, EmbeddedCluster() as cluster, LiveServer(app) as service:
        datastorage_url, cluster_url = datastorage.url, cluster.url
        service.client.get("/")
        during = state()

    started = during.pop("threads") - before.pop("threads")
    assert all(name.startswith(("gateway-", "audit reader ", "audit writer ")) for name in started), started
    assert during == before
    assert datastorage_url
    assert cluster_url


def use_all():
    with EmbeddedDataStorage(), EmbeddedCluster() as cluster, LiveServer(app) as service:
        gateway = create_gateway(GatewayConfig(), kubernetes=cluster.client(), audit_store=RecordingAuditStore())
        with serve(gateway, cluster=cluster) as live:
            assert live.send_alert("X", namespace="prod", deployment="api").status_code < 500
        assert service.client.get("/").text == "x"


FIRST_USE = """
    import logging
    import sys

    import httpx  # before the snapshot: it imports rich, which draws a number from the shared generator

    def test_first_gateway_of_a_process_changes_nothing(request):
        import asyncio, gc, locale, os, random, signal, threading, warnings

        def state():
            access = logging.getLogger("uvicorn.access")
            return {
                "access log": (access.level, access.propagate, tuple(access.handlers)),
                "level names": [logging.getLevelName(level) for level in range(60)],
                "warnings": list(warnings.filters),
                "signals": [signal.getsignal(number) for number in signal.valid_signals()],
                "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook),
                "environment": dict(os.environ),
                "gc": (gc.isenabled(), gc.get_threshold(), list(gc.callbacks)),
                "locale": locale.setlocale(locale.LC_ALL),
                "path": list(sys.path),
                "random": random.getstate(),
                "root": (logging.root.level, [type(one).__name__ for one in logging.root.handlers]),
            }

        logging.getLogger("uvicorn.access").addHandler(logging.NullHandler())
        before = state()
        gateway = request.getfixturevalue("gateway")
        assert gateway.send_alert("X", namespace="prod", deployment="api").status_code == 201
        gateway.settle()
        after = state()
        assert {key: (before[key], value) for key, value in after.items() if value != before[key]} == {}
"""


def test_first_gateway_of_a_process_leaves_its_global_state_alone(suite):
    result = suite(test_it=FIRST_USE)

    result.assert_outcomes(passed=1)


def test_access_log_of_the_users_own_server_still_reaches_caplog_after_a_gateway(suite):
    result = suite(
        test_it="""
        import logging

        def test_gateway(gateway):
            gateway.client.get("/healthz")

        def test_access_log(caplog):
            caplog.set_level(logging.INFO)
            logging.getLogger("uvicorn.access").info("GET /")
            assert caplog.messages == ["GET /"]

        def test_gateway_writes_no_line_into_it(caplog, gateway):
            caplog.set_level(logging.INFO)
            gateway.client.get("/healthz")
            assert not [one for one in caplog.records if one.name == "uvicorn.access"]
        """
    )

    result.assert_outcomes(passed=3)
