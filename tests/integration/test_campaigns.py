"""The campaigns in short, and that each of them reports a store that loses events."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(campaign, *arguments):
    command = [sys.executable, "-m", f"tests.campaigns.{campaign}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT)


def figure(result, name):
    return next(int(line.split()[-2]) for line in result.stdout.splitlines() if line.strip().startswith(f"{name}  "))


def test_a_store_loses_and_repeats_nothing_while_datastorage_misbehaves_in_every_way():
    result = run("faults", "--seconds", "3", "--outage", "2")

    assert result.returncode == 0, result.stdout + result.stderr


def test_a_store_in_memory_loses_and_repeats_nothing_either_as_long_as_its_process_lives():
    result = run("faults", "--seconds", "3", "--outage", "2", "--durability", "memory")

    assert result.returncode == 0, result.stdout + result.stderr


def test_the_fault_campaign_reports_one_event_in_ten_thousand_that_is_lost():
    result = run("faults", "--seconds", "0", "--outage", "1", "--durability", "memory", "--leave-out-every", "10000")

    assert result.returncode == 1, result.stdout + result.stderr
    assert figure(result, "lost") > 0


def test_a_store_whose_process_is_killed_loses_and_repeats_nothing():
    result = run("kill", "--kills", "10")

    assert result.returncode == 0, result.stdout + result.stderr


def test_the_kill_campaign_reports_what_a_store_in_memory_loses():
    result = run("kill", "--kills", "10", "--durability", "memory")

    assert result.returncode == 1, result.stdout + result.stderr
    assert figure(result, "lost") > 0


def test_the_kill_campaign_reports_a_lost_event_in_a_hundred():
    result = run("kill", "--kills", "5", "--leave-out-every", "100", "--seed", "1469432335")

    assert result.returncode == 1, result.stdout + result.stderr
    assert figure(result, "lost") > 0


def test_replicas_never_make_two_active_requests_of_a_problem_and_miscount_nothing():
    result = run("replicas", "--rounds", "1")

    assert result.returncode == 0, result.stdout + result.stderr


def test_the_replicas_campaign_reports_two_active_requests_of_a_problem():
    result = run("replicas", "--rounds", "1", "--same", "80", "--others", "120", "--random-names")

    assert result.returncode == 1, result.stdout + result.stderr
    assert re.search(r"moments with two active of a problem +[1-9]\d*  FAILED", result.stdout), result.stdout


def test_a_small_suite_beside_six_busy_processes_has_no_error_and_loses_no_event():
    result = run("busy", "--runs", "1", "--busy", "6", "--tests", "8", "--workers", "2", "--no-quickstart")

    assert result.returncode == 0, result.stdout + result.stderr
    assert "recorded events             16" in result.stdout
