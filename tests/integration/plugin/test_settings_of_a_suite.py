import pytest
import yaml

from signal_gateway.apiserver import create_apiserver
from signal_gateway.datastorage import create_datastorage
from signal_gateway.testing import EmbeddedCluster, EmbeddedDataStorage, LiveServer
from signal_gateway.web.serving.sockets import reserve_port

ONE_ALERT = """
def test_alert(gateway, gateway_datastorage):
    response = gateway.send_alert("X", namespace="prod", deployment="api")
    name = response.json()["remediationRequestName"]
    gateway.audit_trail.one(event_type="gateway.crd.created", correlation_id=name)
    print("datastorage", gateway_datastorage.url, "namespace", gateway.config.controller_namespace)
"""


@pytest.fixture
def refused_url():
    with reserve_port() as sock:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"


def test_datastorage_that_does_not_answer_stops_the_session_before_the_first_test(suite, refused_url):
    result = suite("--gateway-datastorage-url", refused_url, test_it=ONE_ALERT)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{refused_url}*--gateway-datastorage-url*"])
    result.stdout.no_fnmatch_line("*passed*")


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["one process", "xdist"])
def test_source_of_the_wrong_url_is_named(suite, refused_url, monkeypatch, workers):
    monkeypatch.setenv("PYTEST_GATEWAY_DATASTORAGE_URL", refused_url)

    result = suite(*workers, test_it=ONE_ALERT)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{refused_url}*environment variable PYTEST_GATEWAY_DATASTORAGE_URL*"])


def test_unexpected_server_at_the_datastorage_url_stops_the_session(suite):
    with EmbeddedCluster() as unexpected_server:
        result = suite("--gateway-datastorage-url", unexpected_server.url, test_it=ONE_ALERT)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{unexpected_server.url}*"])


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["one process", "xdist"])
def test_own_datastorage_gets_the_events(suite, workers):
    with EmbeddedDataStorage() as datastorage:
        result = suite("--gateway-datastorage-url", datastorage.url, "-rP", *workers, test_it=ONE_ALERT)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"datastorage {datastorage.url} *"])


@pytest.fixture
def guarded(tmp_path):
    """Give the URL of a DataStorage that wants tokens, and files with the tokens that it knows, by their scopes."""
    tokens = {"read": "r" * 32, "write": "w" * 32, "read,write": "b" * 32}
    known = tmp_path / "known"
    known.write_text("".join(f"{scopes} {token}\n" for scopes, token in tokens.items()))
    known.chmod(0o600)
    files = {}
    for scopes, token in tokens.items():
        files[scopes] = tmp_path / f"{token[0]}.token"
        files[scopes].write_text(f"{token}\n")
    app = create_datastorage(f"sqlite:///{tmp_path / 'audit.db'}", token_file=known).app
    with LiveServer(app, name="DataStorage", lifespan="on") as server:
        yield server.url, files


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["one process", "xdist"])
@pytest.mark.parametrize("given", ["command line", "environment", "ini"])
def test_datastorage_that_wants_a_token_gets_it_from_the_file(suite, guarded, monkeypatch, workers, given):
    url, files = guarded
    token_file = str(files["read,write"])
    arguments = ["--gateway-datastorage-url", url, *workers]
    if given == "command line":
        arguments += ["--gateway-datastorage-token-file", token_file]
    elif given == "environment":
        monkeypatch.setenv("PYTEST_GATEWAY_DATASTORAGE_TOKEN_FILE", token_file)
    else:
        arguments += ["-o", f"gateway_datastorage_token_file={token_file}"]

    result = suite(*arguments, test_it=ONE_ALERT)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["gateway: 1 server, 1 flusher, 2 events recorded, 2 delivered, 0 rejected, 0 pending"])
    result.stdout.no_fnmatch_line("*" + "b" * 32 + "*")


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [(None, "wants a token"), ("read", "lacks the scope 'write'"), ("write", "lacks the scope 'read'")],
)
def test_token_that_is_not_good_enough_stops_the_session_before_the_first_test(suite, guarded, scopes, expected):
    url, files = guarded
    arguments = [] if scopes is None else ["--gateway-datastorage-token-file", str(files[scopes])]

    result = suite("--gateway-datastorage-url", url, *arguments, test_it=ONE_ALERT)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: DataStorage at {url} (from --gateway-datastorage-url) *{expected}*"])


@pytest.mark.parametrize("with_url", [True, False], ids=["missing file", "no DataStorage of one's own"])
def test_token_file_that_is_of_no_use_stops_the_session(suite, guarded, tmp_path, with_url):
    missing = str(tmp_path / "nowhere")
    arguments = ["--gateway-datastorage-url", guarded[0]] if with_url else []

    result = suite(*arguments, "--gateway-datastorage-token-file", missing, test_it=ONE_ALERT)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{missing}*--gateway-datastorage-token-file*"])


def test_controller_delivers_with_the_token_what_a_crashed_worker_left(suite, guarded):
    url, files = guarded
    arguments = ("--gateway-datastorage-url", url, "--gateway-datastorage-token-file", str(files["read,write"]))
    death = """
        import os, threading

        def test_death(gateway_audit_store, gateway):
            gateway_audit_store.client.deliver = lambda body, count: threading.Event().wait()
            gateway.send_alert("X", namespace="prod", deployment="api")
            os._exit(0)
    """

    result = suite("-n", "1", *arguments, test_death=death)

    result.stdout.fnmatch_lines(["gateway: gw0 crashed (*pytest delivered 2 audit events *"])


def test_own_cluster_gets_a_namespace_per_test_that_is_gone_afterwards(suite):
    from lightkube.resources.core_v1 import Namespace

    with EmbeddedCluster() as cluster:
        before = {namespace.metadata.name for namespace in cluster.lightkube().list(Namespace)}
        result = suite("--gateway-kubeconfig", str(cluster.kubeconfig), "-rP", test_it=ONE_ALERT)
        after = {namespace.metadata.name for namespace in cluster.lightkube().list(Namespace)}

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*namespace gateway-test-*"])
    assert after == before


def test_kubeconfig_that_is_not_there_stops_the_session(suite, tmp_path):
    missing = tmp_path / "nowhere"

    result = suite("--gateway-kubeconfig", str(missing), test_it=ONE_ALERT)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{missing}*--gateway-kubeconfig*"])


def test_cluster_without_the_crd_stops_the_session_and_says_how_to_install_it(suite, tmp_path):
    api = create_apiserver()
    with LiveServer(api.app, streams=api) as server:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "current-context": "bare",
                    "clusters": [{"name": "bare", "cluster": {"server": server.url}}],
                    "users": [{"name": "bare", "user": {}}],
                    "contexts": [{"name": "bare", "context": {"cluster": "bare", "user": "bare"}}],
                }
            )
        )
        result = suite("--gateway-kubeconfig", str(kubeconfig), test_it=ONE_ALERT)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: *{server.url}*--gateway-kubeconfig*kubectl apply -f *remediationrequests.yaml"]
    )


def test_header_says_what_the_session_runs_on_only_where_the_plugin_is_used(suite):
    used, unused = suite(test_it=ONE_ALERT), suite(test_other="def test_it():\n    pass", test_it="")

    used.stdout.fnmatch_lines(["gateway: DataStorage embedded, Kubernetes embedded"])
    unused.stdout.no_fnmatch_line("gateway*")


def test_header_names_the_source_of_each_setting(suite, monkeypatch):
    monkeypatch.setenv("PYTEST_GATEWAY_STOP_GRACE", "3")

    with EmbeddedDataStorage() as datastorage:
        result = suite(
            "--gateway-datastorage-url", datastorage.url, "-o", "gateway_startup_timeout=20", test_it=ONE_ALERT
        )

    result.stdout.fnmatch_lines(
        [
            f"gateway: DataStorage {datastorage.url} (from --gateway-datastorage-url), Kubernetes embedded,"
            " startup_timeout 20.0 (from ini option gateway_startup_timeout),"
            " stop_grace 3.0 (from environment variable PYTEST_GATEWAY_STOP_GRACE)"
        ]
    )


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["one process", "xdist"])
def test_audit_db_is_kept_and_the_next_run_adds_to_it(suite, tmp_path, stored, workers):
    database = tmp_path / "audit.db"

    for _ in range(2):
        suite("--gateway-audit-db", str(database), *workers, test_it=ONE_ALERT).assert_outcomes(passed=1)

    with EmbeddedDataStorage(database) as datastorage:
        correlation_ids = stored(datastorage.url)
    assert len(correlation_ids) == 4
    assert len(set(correlation_ids)) == 2


def test_audit_db_and_a_datastorage_of_ones_own_are_too_much(suite, tmp_path):
    with EmbeddedDataStorage() as datastorage:
        result = suite(
            *("--gateway-datastorage-url", datastorage.url, "--gateway-audit-db", str(tmp_path / "a.db")),
            test_it=ONE_ALERT,
        )

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: gateway_audit_db*leave one of them out"])


def test_unknown_amount_of_report_is_refused(suite):
    result = suite("--gateway-report", "verbose", test_it=ONE_ALERT)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: gateway_report is 'verbose' (from --gateway-report): give one of none, brief, full"]
    )


def test_startup_that_takes_too_long_fails_by_the_setting(suite):
    result = suite(
        "-o",
        "gateway_startup_timeout=0.2",
        test_it="""
        import asyncio
        from contextlib import asynccontextmanager
        from starlette.applications import Starlette

        @asynccontextmanager
        async def never(app):
            await asyncio.Event().wait()
            yield

        def test_start(gateway_serve):
            gateway_serve(Starlette(lifespan=never))
        """,
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*HarnessError*0.2 s*"])
