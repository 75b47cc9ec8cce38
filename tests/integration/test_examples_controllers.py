from pathlib import Path

FOLDER = Path(__file__).parents[2] / "examples" / "controllers"
EXAMPLE = {path.stem: path.read_text() for path in FOLDER.glob("*.py")}

DEADLY = """
def test_controller_dies_while_a_test_waits(gateway, gateway_cluster, progress, workload):
    gateway_cluster.faults.fail(verb="patch", resource="remediationrequests/status", status=403, times=1)
    name = gateway.send_alert("X", namespace="prod", deployment=workload).json()["remediationRequestName"]

    progress.wait_for(name, "Completed", timeout=60)
"""


def test_example_runs_where_it_was_copied_to_with_nothing_left_to_deliver(suite):
    result = suite("-n", "2", **EXAMPLE)

    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(["gateway: 10 servers, 2 flushers, 73 events recorded, 73 delivered, *0 pending"])


def test_controller_that_dies_ends_the_wait_at_once_and_says_why(suite):
    result = suite("test_deadly.py", test_deadly=DEADLY, **EXAMPLE)

    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines(["*TimeoutError: rr-* has not entered Completed, and the controller has ended;*"])
    result.stdout.fnmatch_lines(["*ApiError: this request was made to fail*"])
