"""The matrix can fail: with the old constructor put back, each of its tests does, and with its own symptom."""

import ast
from fnmatch import fnmatch
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.slow

MATRIX = Path(__file__).with_name("test_per_test_servers.py")
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"

SYMPTOMS = {
    "test_metrics_are_isolated": "*Duplicated timeseries in CollectorRegistry: *gateway_signals_received_total*",
    "test_gateway_instance_is_new": "*the server of the test before was handed out again, and it has stopped*",
    "test_configuration_is_per_server": "*the second server answered 202, by the settings of the first*",
    "test_events_are_told_apart_by_correlation_id": "*no barrier reaches the servers' own buffers: *[[][]], [[][]]*",
    "test_audit_store_is_one_per_process": "*3 audit stores for 3 servers*",
    "test_flusher_is_continuous_across_server_teardown": "*cut off at server teardown: *audit-flusher-of-one-server*",
    "test_datastorage_url_is_right_or_refused": "*no DataStorage at http://127.0.0.1:* (from the default port): "
    "ConnectError: * Connection refused*",
    "test_every_event_is_delivered_after_its_server_is_gone": "*10 of 10 events lost at server teardown*",
    "test_resources_are_constant_in_the_number_of_servers": "*13 flusher threads for 12 servers*",  # one is the suite's
}


def test_each_row_has_a_symptom_to_fail_with():
    rows = [node.name for node in ast.parse(MATRIX.read_text()).body if isinstance(node, ast.FunctionDef)]

    assert [name for name in rows if name.startswith("test_")] == list(SYMPTOMS)


def test_old_wiring_fails_each_row_with_its_own_symptom(pytester, monkeypatch):
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    arguments = ["-c", str(PYPROJECT), str(MATRIX), "-p", "no:cacheprovider", "--junitxml=report.xml"]

    result = pytester.runpytest_subprocess(*arguments, "--old-wiring", timeout=120)

    result.assert_outcomes(failed=len(SYMPTOMS))
    messages = {
        case.attrib["name"]: failure.attrib["message"]
        for case in ElementTree.parse(pytester.path / "report.xml").iter("testcase")
        for failure in case.iter("failure")
    }
    assert {name: message for name, message in messages.items() if not fnmatch(message, SYMPTOMS[name])} == {}
    assert messages.keys() == SYMPTOMS.keys()
