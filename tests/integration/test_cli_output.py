"""The output of the `audit` commands on a full disk, a closed stdout, a device, a pipe and a narrow encoding."""

import json
import os
import stat
import subprocess
import threading
from datetime import timedelta

import pytest
import yaml
from tests.support.command_line import COMMAND, one_line_mistake, run
from tests.support.stored_events import order_event, store_events

from signal_gateway.audit import DataStorageClient
from signal_gateway.testing import EmbeddedDataStorage

CASE = "Größe-日本"


@pytest.fixture
def url():
    with EmbeddedDataStorage() as datastorage:
        client = DataStorageClient(datastorage.url)
        store_events(client, *(order_event(number, age=timedelta(seconds=-number)) for number in range(20)))
        store_events(client, order_event(20).model_copy(update={"correlation_id": CASE}))
        client.close()
        yield datastorage.url


def shell(command, url):
    """Run `audit` with the arguments of a shell command, as the shell redirects it."""
    program = f"{COMMAND[0]} -m signal_gateway audit {command}"
    environment = os.environ | {"SIGNAL_GATEWAY_DATASTORAGE": url}
    return subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=60, env=environment)


@pytest.mark.parametrize(
    "command", ["list", "list --json --limit 1", "export", "export --format csv", "cases", "verify"]
)
def test_output_on_a_full_disk_is_one_line_about_it(url, command):
    line = one_line_mistake(shell(f"{command} > /dev/full", url))

    assert "No space left on device" in line


@pytest.mark.parametrize("command", ["list", "export", "verify"])
def test_closed_output_is_one_line_about_it(url, command):
    assert "stdout is closed" in one_line_mistake(shell(f"{command} >&-", url))


@pytest.mark.parametrize("command", [["list"], ["cases"], ["show", CASE], ["hold", CASE, "--reason", "x"], ["holds"]])
def test_characters_that_the_output_cannot_encode_are_escaped(url, command):
    run("audit", "hold", CASE, "--reason", "x", "--datastorage", url)

    result = run("audit", *command, "--datastorage", url, PYTHONIOENCODING="ascii")

    assert result.returncode == 0, result.stderr


def test_request_is_reconstructed_exactly_in_a_narrow_encoding(gateway, gateway_datastorage):
    gateway.cluster.workload("prod/Deployment/payment-api")
    labels = {"namespace": "prod", "deployment": "payment-api", "title": CASE}
    name = gateway.send_alert("HighLatency", **labels).json()["remediationRequestName"]
    gateway.audit_trail.one("gateway.crd.created", correlation_id=name)
    ask = ("audit", "reconstruct", name, "--datastorage", gateway_datastorage.url)

    wide, narrow = (run(*ask, PYTHONIOENCODING=encoding) for encoding in ("utf-8", "ascii"))

    assert wide.returncode == narrow.returncode == 0, wide.stderr
    assert CASE in wide.stdout
    assert yaml.safe_load(wide.stdout) == yaml.safe_load(narrow.stdout)


@pytest.mark.parametrize("command", ["hold", "release"])
def test_user_without_a_name_is_asked_for_one(url, command):
    program = f"env -u USER -u LOGNAME -u LNAME -u USERNAME setpriv --reuid 54321 {' '.join(COMMAND)}"
    arguments = ["-c", "import getpass; getpass.getuser()"]
    unknown = subprocess.run([*program.split()[:-2], *arguments], capture_output=True, timeout=60)
    if b"KeyError" not in unknown.stderr and b"OSError" not in unknown.stderr:
        pytest.skip("every user has a name here: run the tests as root, with setpriv of util-linux")

    result = subprocess.run(
        ["bash", "-c", f"{program} audit {command} x --reason y --datastorage {url}"],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert "--by is missing" in one_line_mistake(result)


@pytest.mark.parametrize("command", [["show"], ["list", "--correlation-id"], ["reconstruct"], ["cases", "--severity"]])
def test_argument_in_another_encoding_is_one_line_about_it(url, command):
    bad = os.fsdecode(b"\xff\xfe")

    assert "encoding of this locale" in one_line_mistake(run("audit", *command, bad, "--datastorage", url))


def test_export_to_a_pipe_goes_through_it(url, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()

    result = run("audit", "export", "--output", pipe, "--datastorage", url)
    if result.returncode or not stat.S_ISFIFO(pipe.lstat().st_mode):
        pytest.fail(f"the pipe is gone: {result.stderr}")
    reader.join()

    assert len(received[0].splitlines()) == 21
    assert os.listdir(tmp_path) == ["pipe"]


def test_export_to_a_link_replaces_its_target(url, tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "disk" / "export")

    result = run("audit", "export", "--output", link, "--datastorage", url)

    assert result.returncode == 0, result.stderr
    assert link.is_symlink()
    assert len((tmp_path / "disk" / "export").read_bytes().splitlines()) == 21


@pytest.mark.parametrize("path", ["", ".", "/"])
def test_export_to_a_directory_is_one_line_about_it(url, path):
    assert "cannot write --output" in one_line_mistake(run("audit", "export", "--output", path, "--datastorage", url))


def test_checkpoint_stays_if_a_new_one_cannot_be_written(url, tmp_path):
    kept = tmp_path / "checkpoint.json"
    assert run("audit", "verify", "--write-checkpoint", kept, "--datastorage", url).returncode == 0
    before = json.loads(kept.read_text())

    # no file of this process may have a byte: as on a full disk
    program = f"ulimit -f 0; {COMMAND[0]} -m signal_gateway audit verify --write-checkpoint {kept} --datastorage {url}"
    result = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=60)

    assert result.returncode == 2
    assert "cannot write --write-checkpoint" in result.stderr
    assert json.loads(kept.read_text()) == before
    assert os.listdir(tmp_path) == ["checkpoint.json"]
