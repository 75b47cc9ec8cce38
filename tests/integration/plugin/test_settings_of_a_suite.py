import pytest
import yaml

from signal_gateway.apiserver import create_apiserver
from signal_gateway.testing import EmbeddedCluster, EmbeddedDataStorage, LiveServer
from signal_gateway.web.sockets import reserve_port

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


def test_stranger_at_the_datastorage_url_stops_the_session(suite):
    with EmbeddedCluster() as stranger:
        result = suite("--gateway-datastorage-url", stranger.url, test_it=ONE_ALERT)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{stranger.url}*"])


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["one process", "xdist"])
def test_own_datastorage_gets_the_events(suite, workers):
    with EmbeddedDataStorage() as datastorage:
        result = suite("--gateway-datastorage-url", datastorage.url, "-rP", *workers, test_it=ONE_ALERT)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"datastorage {datastorage.url} *"])


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
    with LiveServer(api.app, before_drain=api.stop) as server:
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
