"""Real API servers: etcd and kube-apiserver of KUBEBUILDER_ASSETS, or the cluster of a kubeconfig.

A cluster that runs already is used only if SIGNAL_GATEWAY_CONFORMANCE_KUBECONFIG names its kubeconfig: the cases make
namespaces and definitions in it, which nobody may find in theirs because KUBECONFIG happened to be set.
"""

import functools
import os
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import yaml

KUBECONFIG = "SIGNAL_GATEWAY_CONFORMANCE_KUBECONFIG"
START_DEADLINE = 60.0
READ_DEADLINE = 60.0


@functools.cache
def version_of_assets():
    """Return the version of the kube-apiserver in KUBEBUILDER_ASSETS, such as (1, 20)."""
    program = Path(os.environ["KUBEBUILDER_ASSETS"]) / "kube-apiserver"
    printed = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(number) for number in re.search(r"v(\d+)\.(\d+)", printed).groups())


@functools.cache
def version_of_cluster(kubeconfig):
    """Return the version of a cluster that runs already, such as (1, 32)."""
    with existing_server(kubeconfig) as (http, _, _):
        version = http.get("/version").json()
    return int(version["major"]), int(re.match(r"\d+", version["minor"])[0])


@contextmanager
def existing_server(kubeconfig):
    """Give client, cluster and user of the current context of a kubeconfig."""
    config = yaml.safe_load(Path(kubeconfig).read_text())

    def named(what, name):
        return next(item[what] for item in config[f"{what}s"] if item["name"] == name)

    context = named("context", config["current-context"])
    cluster, user = named("cluster", context["cluster"]), named("user", context["user"])
    verify = False
    if not cluster.get("insecure-skip-tls-verify"):
        verify = ssl.create_default_context(cafile=cluster.get("certificate-authority"))
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    with httpx.Client(base_url=cluster["server"], headers=headers, verify=verify, timeout=READ_DEADLINE) as http:
        yield http, cluster, user


@contextmanager
def real_server(assets):
    """Run etcd and kube-apiserver, as controller-runtime's envtest does."""
    directory = Path(tempfile.mkdtemp(prefix="kube-apiserver-"))
    token, port = secrets.token_hex(8), free_port()
    etcd_url, peer_url = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
    key, tokens = directory / "service-account.key", directory / "tokens.csv"
    etcd = [
        assets / "etcd",
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls={etcd_url}",
        f"--advertise-client-urls={etcd_url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--unsafe-no-fsync",
    ]
    apiserver = [
        assets / "kube-apiserver",
        f"--etcd-servers={etcd_url}",
        f"--cert-dir={directory / 'certificates'}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--api-audiences=api",
        f"--token-auth-file={tokens}",
        "--authorization-mode=AlwaysAllow",
        "--disable-admission-plugins=ServiceAccount",
        "--service-cluster-ip-range=10.0.0.0/24",
    ]
    url, headers = f"https://127.0.0.1:{port}", {"Authorization": f"Bearer {token}"}
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        tokens.write_text(f"{token},admin,admin,system:masters\n")
        stack.enter_context(Program(etcd))
        program = stack.enter_context(Program(apiserver))
        client = httpx.Client(base_url=url, headers=headers, verify=False, timeout=READ_DEADLINE)
        http = stack.enter_context(client)
        wait_until_ready(http, program)
        yield http, {"server": url, "insecure-skip-tls-verify": True}, {"token": token}


class Program:
    """A program that runs for a while; its standard error is read on a thread, so that it never waits for us."""

    def __init__(self, command):
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.tail = []

    def _read(self):
        for line in self._process.stderr:
            self.tail = [*self.tail[-20:], line.decode(errors="replace")]
            self._news.set()

    def wait_for_news(self, timeout):
        """Return when it has logged something, or the time is over."""
        self._news.wait(timeout)
        self._news.clear()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._process.terminate()
        self._process.wait(START_DEADLINE)
        self._thread.join(START_DEADLINE)
        self._process.stderr.close()


def wait_until_ready(http, program):
    """Ask for /readyz whenever the server has logged something."""
    deadline = time.monotonic() + START_DEADLINE
    while time.monotonic() < deadline:
        try:
            if http.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        program.wait_for_news(0.2)
    raise RuntimeError(f"kube-apiserver was not ready after {START_DEADLINE} s:\n{''.join(program.tail)}")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
