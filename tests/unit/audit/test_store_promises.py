"""The 19 cases that a store survives, and the tests that show each.

1. The server answers 400, and `flush` says so:
    test_audit_store_barrier::test_rejected_event_is_reported_by_one_flush_and_not_by_later_ones
    test_audit_store_delivery::test_one_bad_event_among_500_is_rejected_alone
2. Batches are no larger than configured:
    test_audit_store_delivery::test_batches_hold_no_more_than_configured
3. `record` races `close`:
    test_audit_store_close::test_record_racing_close_is_taken_or_refused_and_never_both
4. `flush` races `close`:
    test_audit_store_close::test_flushes_racing_closes_all_return
5. One bad event among 500:
    test_audit_store_delivery::test_one_bad_event_among_500_is_rejected_alone
6. The server is down under load:
    test_campaigns::test_a_store_loses_and_repeats_nothing_while_datastorage_misbehaves_in_every_way
    test_store_limits::test_full_store_refuses_what_comes_and_drops_nothing
7. The server stores, and its answer is lost:
    test_audit_store_delivery::test_lost_answers_make_no_duplicates
8. SIGKILL at any moment:
    test_campaigns::test_a_store_whose_process_is_killed_loses_and_repeats_nothing
    test_spool_ownership::test_live_store_of_another_process_keeps_its_events_and_a_killed_one_does_not
    test_store_exit::test_threads_that_record_when_the_process_ends_lose_nothing
9. 429 with Retry-After:
    test_audit_store_delivery::test_429_with_retry_after_waits_then_delivers
10. The server takes less at once than we send:
    test_audit_store_delivery::test_413_halves_the_batch_and_what_passes_is_remembered
    test_audit_store_delivery::test_400_about_the_size_is_found_out_and_remembered
11. A 2xx that does not name the events is no acknowledgement:
    test_audit_store_delivery::test_2xx_of_a_mock_or_a_proxy_delivers_nothing
    test_audit_store_delivery::test_201_of_a_recorded_response_delivers_nothing
12. Old spools and wrong clocks:
    test_store_clocks::test_spool_of_30_days_ago_is_delivered
    test_store_clocks::test_event_of_a_clock_that_is_ahead_is_marked_and_hurts_no_other
13. `close` while the server is down:
    test_audit_store_close::test_close_with_the_server_down_returns_in_time_and_says_what_is_pending
14. 50 threads of 1 000 events:
    test_audit_store_concurrency::test_50_threads_of_1000_events_each_are_stored_in_the_order_of_each_thread
15. Fork under load:
    test_audit_store_concurrency::test_fork_in_the_midst_of_load_loses_and_repeats_nothing
    test_store_fork::test_fork_in_the_midst_of_a_delivery_that_hangs
16. A full disk:
    test_spool_disk_full::test_disk_that_fills_up_refuses_events_and_loses_none
17. A torn or corrupt segment:
    test_spool_corruption::test_each_byte_of_the_last_frame_may_be_wrong
    test_spool_corruption::test_damage_in_the_middle_costs_one_event_and_is_set_aside
18. An unexpected server at the URL:
    test_audit_store_delivery::test_fault_that_is_not_the_events_keeps_them_until_it_is_over
19. Two stores on one directory:
    test_spool_ownership::test_two_stores_on_one_directory_deliver_their_own_events
"""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
CASES = re.split(r"^\d+\. ", __doc__ or "", flags=re.MULTILINE)[1:]
NUMBERS = [int(number) for number in re.findall(r"^(\d+)\. ", __doc__ or "", flags=re.MULTILINE)]


def defined_in(module):
    (path,) = TESTS.rglob(f"{module}.py")
    return {
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_skipped(node)
    }


def is_skipped(node):
    return any("mark.skip(" in ast.unparse(decorator) for decorator in node.decorator_list)


def test_every_case_is_in_the_table():
    assert [number - 1 for number in NUMBERS] == list(range(19))


@pytest.mark.parametrize("case", CASES, ids=NUMBERS)
def test_case_has_tests_that_exist(case):
    named = re.findall(r"(\w+)::(test_\w+)", case)

    missing = [f"{module}::{name}" for module, name in named if name not in defined_in(module)]

    assert named
    assert not missing
