from pathlib import Path

import pytest

from signal_gateway.audit import AuditStoreConfig
from signal_gateway.errors import ConfigurationError
from signal_gateway.gateway.service.config import ServiceConfig

LEAST = "audit:\n  datastorage_url: http://127.0.0.1:9000\n  spool_directory: /spool\n"


@pytest.fixture
def load(tmp_path):
    def load(text, **environment):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return ServiceConfig.load_from_file(path, environment=environment, pod_namespace_file=tmp_path / "no-pod")

    return load


def problems(load, text, **environment):
    with pytest.raises(ConfigurationError) as refusal:
        load(text, **environment)
    return str(refusal.value)


def test_least_configuration_has_the_documented_defaults(load):
    config = load(LEAST)

    assert config.server.listen == "127.0.0.1:8080"
    assert config.kubernetes.kubeconfig is None
    assert (config.logging.level, config.logging.format) == ("info", "json")
    assert config.gateway.controller_namespace == "kubernaut-system"
    assert config.audit.store == AuditStoreConfig(spool_directory=Path("/spool"))


def test_variables_override_the_file(load):
    config = load(
        LEAST + "processing:\n  retry:\n    max_attempts: 4\n    max_backoff: 7\n",
        SIGNAL_GATEWAY__PROCESSING__RETRY__MAX_ATTEMPTS="9",
        SIGNAL_GATEWAY__PROCESSING__SCOPE__ENABLED="false",
        SIGNAL_GATEWAY__KUBERNETES__KUBECONFIG="/etc/kubeconfig",
        SIGNAL_GATEWAY_TEST_POSTGRES_URL="not ours to read",
    )

    assert config.gateway.processing.retry.max_attempts == 9
    assert config.gateway.processing.retry.max_backoff == 7
    assert config.kubernetes.kubeconfig == Path("/etc/kubeconfig")


def test_variables_are_enough_with_an_empty_file(load):
    config = load(
        "",
        SIGNAL_GATEWAY__AUDIT__DATASTORAGE_URL="http://127.0.0.1:9000",
        SIGNAL_GATEWAY__AUDIT__SPOOL_DIRECTORY="/spool",
    )

    assert config.audit.datastorage_url == "http://127.0.0.1:9000"
    assert config.audit.spool_directory == Path("/spool")


def test_environment_of_the_process_is_read_by_default(tmp_path, monkeypatch):
    path = tmp_path / "config.yaml"
    path.write_text(LEAST)
    monkeypatch.setenv("SIGNAL_GATEWAY__LOGGING__LEVEL", "debug")

    assert ServiceConfig.load_from_file(path).logging.level == "debug"


@pytest.fixture
def in_pod(tmp_path):
    """Load the least configuration, and more, as in a pod of a namespace."""
    config, namespace = tmp_path / "config.yaml", tmp_path / "namespace"

    def load(content, more="", **environment):
        config.write_text(LEAST + more)
        namespace.write_bytes(content)
        return ServiceConfig.load_with_sources(config, environment=environment, pod_namespace_file=namespace)

    return load


def test_controller_namespace_in_a_pod_is_its_own(in_pod, tmp_path):
    config, sources = in_pod(b"alerting\n")

    assert config.gateway.controller_namespace == "alerting"
    assert sources.source_of(("controller_namespace",)) == str(tmp_path / "namespace")


def test_controller_namespace_that_is_said_holds_in_a_pod_too(in_pod):
    by_file, _ = in_pod(b"alerting", "controller_namespace: by-file\n")
    by_variable, _ = in_pod(
        b"alerting", "controller_namespace: by-file\n", SIGNAL_GATEWAY__CONTROLLER_NAMESPACE="by-variable"
    )

    assert by_file.controller_namespace == "by-file"
    assert by_variable.controller_namespace == "by-variable"


@pytest.mark.parametrize(
    ("content", "expected"), [(b"", "controller_namespace = ''"), (b"\xff", "the file is not UTF-8 text")]
)
def test_namespace_file_that_holds_none_is_an_error_that_names_it(in_pod, tmp_path, content, expected):
    with pytest.raises(ConfigurationError) as refusal:
        in_pod(content)

    assert str(tmp_path / "namespace") in str(refusal.value)
    assert expected in str(refusal.value)


def test_all_mistakes_are_told_at_once_each_with_its_source(load, tmp_path):
    message = problems(
        load,
        "controller_namespace: a\n"
        "controller_namespace: b\n"
        "processing:\n"
        "  retry: {max_attempts: 0, attempts: 1}\n"
        "server: {listen: 0.0.0.0}\n"
        "audit: {durability: disk}\n",
        SIGNAL_GATEWAY__PROCESSING__MAX_BODY_BYTES="large",
        SIGNAL_GATEWAY__PROCESING__RETRY__MAX_ATTEMPTS="1",
        SIGNAL_GATEWAY__LOGGING="debug",
    )

    file = tmp_path / "config.yaml"
    assert f"{file}:2: controller_namespace is given twice, first in line 1" in message
    assert f"{file}:4: processing.retry.max_attempts = 0: Input should be greater" in message
    assert f"{file}:4: processing.retry.attempts = 1: there is no such key; allowed here: initial_backoff" in message
    assert f"{file}:5: server.listen = '0.0.0.0': must be HOST:PORT" in message
    assert f"{file}:6: audit.durability = 'disk': Input should be 'process' or 'memory'" in message
    assert f"audit.datastorage_url: it is required; set it in {file} or as SIGNAL_GATEWAY__AUDIT__DATA" in message
    assert "variable SIGNAL_GATEWAY__PROCESSING__MAX_BODY_BYTES: processing.max_body_bytes = 'large'" in message
    assert "variable SIGNAL_GATEWAY__PROCESING__RETRY__MAX_ATTEMPTS: procesing = " in message
    assert "variable SIGNAL_GATEWAY__LOGGING: logging = 'debug': this is a section" in message


@pytest.mark.parametrize("said", ["", ", durability: process", ", spool_directory: null"])
def test_missing_spool_directory_is_an_error_with_both_remedies(load, tmp_path, said):
    message = problems(load, f"audit: {{datastorage_url: http://127.0.0.1:9000{said}}}\n")

    assert f"{tmp_path / 'config.yaml'}" in message
    assert "audit.spool_directory = None: it is required: name a local directory" in message
    assert "or set audit.durability to memory" in message


def test_memory_needs_no_spool_directory(load):
    config = load("audit: {datastorage_url: http://127.0.0.1:9000, durability: memory}\n")

    assert config.audit.store == AuditStoreConfig(durability="memory")


def test_spool_directory_in_memory_is_an_error_at_its_line(load, tmp_path):
    message = problems(load, LEAST + "  durability: memory\n")

    assert f"{tmp_path / 'config.yaml'}:3: audit.spool_directory = '/spool': has no effect" in message


def test_empty_spool_directory_does_not_mean_the_working_directory(load):
    message = problems(load, "audit: {datastorage_url: http://127.0.0.1:9000, spool_directory: ''}\n")

    assert "audit.spool_directory = '': must be a directory, such as " in message


def test_token_file_can_be_set_and_is_no_empty_name(load):
    assert load(LEAST).audit.token_file is None
    assert load(LEAST + "  token_file: /run/token\n").audit.token_file == Path("/run/token")
    assert "audit.token_file = '': must be a file, such as " in problems(load, LEAST + "  token_file: ''\n")


def test_size_of_the_spool_can_be_set(load):
    assert load(LEAST + "  max_spool_bytes: 10000000\n").audit.store.max_spool_bytes == 10_000_000
    assert "audit.max_spool_bytes = 1000000: " in problems(load, LEAST + "  max_spool_bytes: 1000000\n")


@pytest.mark.parametrize("url", ["", "127.0.0.1:9000", "ftp://storage", "http://"])
def test_datastorage_url_must_be_one(load, url):
    message = problems(load, f"audit: {{datastorage_url: '{url}', spool_directory: /spool}}\n")

    assert "audit.datastorage_url" in message
    assert "must be an http or https URL" in message


@pytest.mark.parametrize("listen", ["8080", "127.0.0.1:", "127.0.0.1:99999", "example.org:80"])
def test_address_to_listen_on_must_be_one(load, listen):
    assert "server.listen" in problems(load, LEAST + f"server: {{listen: '{listen}'}}\n")


@pytest.mark.parametrize("listen", ["[::1]:0", "localhost:8080", "127.0.0.1:0"])
def test_on_loopback_nobody_is_asked_unless_that_is_said(load, listen):
    config = load(LEAST + f"server: {{listen: '{listen}'}}\n")

    assert (config.server.listen, config.auth.mode) == (listen, "none")


def test_beyond_loopback_it_must_be_said_who_is_asked(load):
    beyond = LEAST + "server: {listen: '0.0.0.0:8080'}\n"

    message = problems(load, beyond)

    assert "auth.mode must be set, because server.listen = 0.0.0.0:8080 is not a loopback address" in message
    assert load(beyond + "auth: {mode: none}\n").auth.mode == "none"
    assert load(beyond, SIGNAL_GATEWAY__AUTH__MODE="kubernetes").auth.mode == "kubernetes"


def test_mode_token_needs_a_file_and_the_others_have_no_use_for_one(load):
    config = load(LEAST + "auth: {mode: token, token_file: /run/senders}\n")

    assert config.auth.token_file == Path("/run/senders")
    assert "auth.token_file = None: it is required with auth.mode = token" in problems(
        load, LEAST + "auth: {mode: token}\n"
    )
    assert "has no effect with auth.mode = none" in problems(load, LEAST + "auth: {token_file: /run/senders}\n")
    assert "auth.mode = 'tokens': Input should be 'none', 'token' or 'kubernetes'" in problems(
        load, LEAST + "auth: {mode: tokens}\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n- b\n", "mapping of sections"),
        ("just text\n", "mapping of sections"),
        ("a: [1\n", "is not YAML"),
        ("a: 1\n---\nb: 2\n", "is not YAML"),
    ],
)
def test_file_that_is_no_configuration_is_an_error(load, text, expected):
    message = problems(load, text)

    assert expected in message
    assert "config.yaml" in message


def test_missing_file_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match="No such file"):
        ServiceConfig.load_from_file(tmp_path / "nowhere.yaml", environment={})


def test_management_has_no_listener_of_its_own_unless_it_is_said(load):
    config = load(LEAST + "management: {listen: 0.0.0.0:8081}\n")

    assert config.management.listen == "0.0.0.0:8081"
    assert load(LEAST).management.listen is None
    assert "management.listen = '8081': must be HOST:PORT" in problems(load, LEAST + "management: {listen: '8081'}\n")


def test_drain_delay_is_not_negative(load):
    assert load(LEAST).server.drain_delay == 0
    assert load(LEAST + "server: {drain_delay: 5}\n").server.drain_delay == 5
    assert "server.drain_delay = -1" in problems(load, LEAST + "server: {drain_delay: -1}\n")


def test_key_given_twice_within_a_section_is_an_error(load):
    assert "logging.level is given twice" in problems(load, LEAST + "logging:\n  level: info\n  level: debug\n")


def test_empty_section_means_its_defaults(load):
    assert load(LEAST + "logging: {}\n").logging.level == "info"


@pytest.mark.parametrize("listen", ["8080", "'8080'", "':8080'"])
def test_port_alone_is_told_with_the_addresses_that_it_may_mean(load, listen):
    message = problems(load, LEAST + f"server: {{listen: {listen}}}\nmanagement: {{listen: {listen}}}\n")

    for section in ("server", "management"):
        assert f"{section}.listen = {listen}: must be HOST:PORT with an IP address" in message
    assert "127.0.0.1:8080 for this machine alone, or 0.0.0.0:8080 for every address" in message


@pytest.mark.parametrize("listen", ["true", "[a]", "1.5"])
def test_address_of_another_type_is_told_like_a_text(load, listen):
    assert "must be HOST:PORT" in problems(load, LEAST + f"server: {{listen: {listen}}}\n")


@pytest.mark.parametrize(
    ("variable", "right"),
    [
        ("SIGNAL_GATEWAY_SERVER_LISTEN", "SIGNAL_GATEWAY__SERVER__LISTEN"),
        ("SIGNAL_GATEWAY__SERVER_LISTEN", "SIGNAL_GATEWAY__SERVER__LISTEN"),
        ("SIGNAL_GATEWAY_SERVER__LISTEN", "SIGNAL_GATEWAY__SERVER__LISTEN"),
        ("SIGNAL_GATEWAY___SERVER__LISTEN", "SIGNAL_GATEWAY__SERVER__LISTEN"),
        ("SIGNAL_GATEWAY_PROCESSING_RETRY_MAX_ATTEMPTS", "SIGNAL_GATEWAY__PROCESSING__RETRY__MAX_ATTEMPTS"),
        ("SIGNAL_GATEWAY__AUDIT__DATASTORAGE__URL", "SIGNAL_GATEWAY__AUDIT__DATASTORAGE_URL"),
        ("SIGNAL_GATEWAY_CONTROLLER_NAMESPACE", "SIGNAL_GATEWAY__CONTROLLER_NAMESPACE"),
        ("SIGNAL_GATEWAY_AUDIT", "SIGNAL_GATEWAY__AUDIT__DATASTORAGE_URL"),
    ],
)
def test_variable_with_other_underscores_is_an_error_that_names_the_right_one(load, variable, right):
    message = problems(load, LEAST, **{variable: "hunter2"})

    assert f"variable {variable} has no effect" in message
    assert message.endswith(right)
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "variable",
    [
        "SIGNAL_GATEWAY_SERVICE_HOST",
        "SIGNAL_GATEWAY_SERVICE_PORT_MANAGEMENT",
        "SIGNAL_GATEWAY_PORT",
        "SIGNAL_GATEWAY_PORT_8080_TCP_ADDR",
        "SIGNAL_GATEWAY_REQUIRE_ALL",
        "SIGNAL_GATEWAYS",
    ],
)
def test_variable_of_others_is_left_out(load, variable):
    assert load(LEAST, **{variable: "tcp://10.0.0.1:8080"}) == load(LEAST)


@pytest.mark.parametrize("section", ["AUDIT", "PROCESSING__RETRY"])
@pytest.mark.parametrize("file", [LEAST, ""])
def test_variable_for_a_whole_section_is_an_error_whatever_sets_its_keys(load, section, file):
    variable = f"SIGNAL_GATEWAY__{section}"
    message = problems(load, file, **{variable: "x", "SIGNAL_GATEWAY__AUDIT__DURABILITY": "process"})

    assert f"variable {variable}: {section.lower().replace('__', '.')} = 'x': this is a section" in message
    assert f"such as {variable}__" in message


@pytest.mark.parametrize(
    ("listen", "management"),
    [
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("127.0.0.1:8080", "localhost:8080"),
        ("0.0.0.0:8080", "127.0.0.1:8080"),
        ("127.0.0.1:8080", "0.0.0.0:8080"),
        ("[::]:8080", "[::1]:8080"),
    ],
)
def test_equal_ports_are_an_error(load, listen, management):
    text = f"server: {{listen: '{listen}'}}\nmanagement: {{listen: '{management}'}}\nauth: {{mode: none}}\n"

    message = problems(load, LEAST + text)

    assert f"management.listen = {management} needs another port than server.listen = {listen}" in message


@pytest.mark.parametrize(
    ("listen", "management"),
    [
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:8080", "127.0.0.1:8081"),
        ("127.0.0.1:8080", "127.0.0.2:8080"),
        ("127.0.0.1:8080", "[::1]:8080"),
    ],
)
def test_listeners_that_do_not_collide_are_fine(load, listen, management):
    config = load(LEAST + f"server: {{listen: '{listen}'}}\nmanagement: {{listen: '{management}'}}\n")

    assert (config.server.listen, config.management.listen) == (listen, management)


def test_home_directory_is_expanded_in_every_path(load, monkeypatch):
    monkeypatch.setenv("HOME", "/home/operator")
    config = load(
        "audit: {datastorage_url: 'http://127.0.0.1:9000', spool_directory: ~/spool, token_file: ~/token}\n"
        "auth: {mode: token, token_file: ~/senders}\n"
        "server: {tls: {certificate: ~/tls.crt, key: ~/tls.key}}\n",
        SIGNAL_GATEWAY__KUBERNETES__KUBECONFIG="~/.kube/config",
    )

    paths = [config.audit.spool_directory, config.audit.token_file, config.auth.token_file]
    paths += [config.server.tls.certificate, config.server.tls.key, config.kubernetes.kubeconfig]
    names = ["spool", "token", "senders", "tls.crt", "tls.key", ".kube/config"]
    assert paths == [Path("/home/operator") / name for name in names]


def test_home_directory_of_an_unknown_user_is_an_error(load):
    message = problems(load, LEAST, SIGNAL_GATEWAY__KUBERNETES__KUBECONFIG="~nosuchuser/config")

    assert "kubernetes.kubeconfig = '~nosuchuser/config': the home directory of ~ is not known" in message


def test_empty_kubeconfig_does_not_mean_the_working_directory(load):
    assert "kubernetes.kubeconfig = '': must be a file" in problems(load, LEAST + "kubernetes: {kubeconfig: ''}\n")
