"""`signal-gateway config`: needs no server, and reaches for none."""

import os
import sys
from pathlib import Path

import pytest
from tests.support.command_line import NOBODY, one_line_mistake, run

CUSTOM_SOURCE = os.pathsep.join([str(Path(__file__).parents[2] / "examples/custom_source"), *sys.path])


@pytest.fixture
def config_file(tmp_path):
    def write(more=""):
        path = tmp_path / "gateway.yaml"
        path.write_text(f"audit:\n  datastorage_url: {NOBODY}\n  spool_directory: {tmp_path / 'spool'}\n{more}")
        return path

    return write


def test_configuration_that_is_fine_is_one_line(config_file, tmp_path):
    result = run("config", "check", config_file())

    assert (result.returncode, result.stderr, result.stdout.count("\n")) == (0, "", 1)
    assert str(tmp_path / "gateway.yaml") in result.stdout
    assert not (tmp_path / "spool").exists()


def test_configuration_that_is_wrong_lists_everything_with_its_source(config_file):
    path = config_file("server: {listen: 8080}\nprocesing: {}\n")

    result = run("config", "check", path, SIGNAL_GATEWAY__LOGGING__LEVEL="loud", SIGNAL_GATEWAY__AUDIT__URL="x")

    assert (result.returncode, result.stdout) == (2, "")
    for expected in (
        f"{path}:4: server.listen = 8080",
        f"{path}:5: procesing",
        "variable SIGNAL_GATEWAY__LOGGING__LEVEL: logging.level = 'loud'",
        "variable SIGNAL_GATEWAY__AUDIT__URL: audit.url = 'x': there is no such key",
    ):
        assert expected in result.stderr, expected


def test_secret_of_a_wrong_configuration_is_not_shown(config_file):
    result = run("config", "check", config_file(), SIGNAL_GATEWAY__AUDIT__TOKEN="hunter2")

    assert "audit.token = ***: there is no such key" in result.stderr
    assert "hunter2" not in result.stderr


def test_file_that_is_missing_is_one_line(tmp_path):
    assert "nowhere.yaml" in one_line_mistake(run("config", "check", tmp_path / "nowhere.yaml"))


def test_settings_are_explained_with_value_source_and_meaning(config_file):
    path = config_file("processing:\n  max_body_bytes: 1000\n")

    result = run("config", "explain", path, SIGNAL_GATEWAY__LOGGING__LEVEL="debug")

    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert f"audit.datastorage_url: {NOBODY}  # {path}:2" in lines
    assert f"processing.max_body_bytes: 1000  # {path}:5" in lines
    description = lines[lines.index(f"processing.max_body_bytes: 1000  # {path}:5") + 1]
    assert description == "    Largest request body that is accepted, in bytes."
    assert "logging.level: debug  # variable SIGNAL_GATEWAY__LOGGING__LEVEL" in lines
    assert "processing.retry.max_attempts: 3  # default" in lines


def test_defaults_are_explained_without_a_file():
    result = run("config", "explain")

    assert "processing.retry.max_attempts: 3  # default" in result.stdout
    assert "logging.format: json  # default" in result.stdout
    assert "audit.datastorage_url: must be set" in result.stdout


def test_configuration_that_is_wrong_is_not_explained_but_refused(config_file):
    result = run("config", "explain", config_file("processing: {retry: {max_attempts: 0}}\n"))

    assert (result.returncode, result.stdout) == (2, "")
    assert "processing.retry.max_attempts = 0" in result.stderr


@pytest.mark.parametrize(
    ("adapters", "expected"),
    [
        ("nowhere:Adapter", "cannot import nowhere:Adapter: No module named 'nowhere'. Install it"),
        ("falco:Nothing", "cannot import falco:Nothing: module 'falco' has no attribute 'Nothing'"),
        ("falco:HARMLESS", "falco:HARMLESS is not an adapter: it lacks name, signal_type, parse"),
        ("falco:FalcoAdapter, falco:FalcoAdapter", "two adapters have the name 'falco'"),
        ("falco", "must be package.module:name, such as my_sources.falco:FalcoAdapter"),
    ],
)
def test_source_of_ones_own_that_can_not_be_had_is_an_error(config_file, adapters, expected):
    result = run("config", "check", config_file(), SIGNAL_GATEWAY__ADAPTERS=adapters, PYTHONPATH=CUSTOM_SOURCE)

    assert (result.returncode, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr
    assert expected in result.stderr


def test_source_of_ones_own_is_found(config_file):
    path = config_file("adapters: [falco:FalcoAdapter]\n")

    assert run("config", "check", path, PYTHONPATH=CUSTOM_SOURCE).returncode == 0


def senders(tmp_path, text):
    (tmp_path / "senders").write_text(text)
    (tmp_path / "senders").chmod(0o600)
    return f"auth: {{mode: token, token_file: '{tmp_path / 'senders'}'}}\n"


def test_files_that_the_service_needs_are_all_checked_at_once(config_file, tmp_path):
    more = "  token_file: nowhere/token\nkubernetes: {kubeconfig: nowhere/kubeconfig}\n" + senders(tmp_path, "short\n")

    result = run("config", "check", config_file(more), SIGNAL_GATEWAY__ADAPTERS="nowhere:Adapter")

    assert (result.returncode, result.stdout) == (2, "")
    for expected in ("'nowhere/token'", "nowhere/kubeconfig", "senders, line 1", "cannot import nowhere:Adapter"):
        assert expected in result.stderr, expected
    assert "Traceback" not in result.stderr


def test_files_that_are_fine_pass_the_check(config_file, tmp_path, cluster):
    (tmp_path / "token").write_text("a-token-that-nobody-guesses-0123456789\n")
    more = f"  token_file: {tmp_path / 'token'}\nkubernetes: {{kubeconfig: {cluster.kubeconfig}}}\n"
    more += senders(tmp_path, "a-token-that-nobody-guesses-0123456789 alertmanager\n")

    result = run("config", "check", config_file(more))

    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("place", ["file/spool", "file", "link"])
def test_spool_directory_that_can_not_be_one_is_an_error(config_file, tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "file")

    error = one_line_mistake(
        run("config", "check", config_file(), SIGNAL_GATEWAY__AUDIT__SPOOL_DIRECTORY=str(tmp_path / place))
    )

    assert f"spool_directory '{tmp_path / place}' can't be used: Not a directory; set a local directory" in error


def test_spool_directory_where_nothing_can_be_created_is_an_error(config_file):
    error = one_line_mistake(
        run("config", "check", config_file(), SIGNAL_GATEWAY__AUDIT__SPOOL_DIRECTORY="/proc/spool")
    )

    assert "spool_directory '/proc/spool' can't be used" in error


def test_check_leaves_nothing_in_the_spool_directory_that_a_service_uses(config_file, tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()

    result = run("config", "check", config_file())

    assert (result.returncode, list(spool.iterdir())) == (0, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gateway.yaml", "spool"]
