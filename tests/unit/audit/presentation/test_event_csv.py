"""CSV of events, read back with the csv module."""

import csv
import io
import json

import pytest

from signal_gateway.audit.presentation.event_csv import CSV_COLUMNS, CsvLines, harmless_cell


def rows_of(*events):
    lines = CsvLines()
    content = b"".join((lines.heading(), *map(lines.row, events)))
    return list(csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True))


def test_row_has_the_members_the_workload_and_the_payload():
    event = {
        "event_timestamp": "2026-11-28T20:00:00Z",
        "event_category": "gateway",
        "correlation_id": "rr-1",
        "resource_type": "Deployment",
        "resource_id": "payments/payment-api",
        "namespace": "payments",
        "duration_ms": 12,
        "sequence": 7,
        "error_message": 'two\nlines, "quoted"; and 支',
        "event_data": {"text": 'a,"b"', "nested": {"x": [1, None]}},
        "unknown_member": "left out",
    }

    (row,) = rows_of(event)

    assert list(row) == list(CSV_COLUMNS)
    assert row["workload"] == "payments/Deployment/payment-api"
    assert (row["duration_ms"], row["sequence"], row["severity"]) == ("12", "7", "")
    assert row["error_message"] == event["error_message"]
    assert json.loads(row["event_data"]) == event["event_data"]


@pytest.mark.parametrize(
    "formula",
    [
        "=HYPERLINK(1)",
        "+1+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        " =1",
        "\t=1",
        "\r=1",
        "\n@x",
        "'=1",
        '"=1"',
        "\uff1d1",
        "|calc",
        "%x",
        "\tx",
        "\xa0=1",
    ],
)
def test_cell_that_a_spreadsheet_would_run_begins_with_an_apostrophe(formula):
    (row,) = rows_of({"correlation_id": formula, "error_message": formula, "resource_type": formula})

    assert row["correlation_id"][0] == row["error_message"][0] == row["resource_type"][0] == "'"
    assert row["correlation_id"].replace("'", "") == formula.replace("'", "")


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("x;=1", "x;'=1"),
        ('x; "=1', "x;' \"=1"),
        ("x\n=1", "x\n'=1"),
        ("=1;=2", "'=1;'=2"),
        ("\n\n=1", "'\n\n'=1"),
        ("a\tb\n-c", "a\tb\n'-c"),
        ("\n" * 300_000 + "=", "'" + "\n" * 300_000 + "'="),
    ],
)
def test_formula_behind_a_separator_of_other_locales_is_harmless_too(text, harmless):
    assert harmless_cell(text) == harmless


@pytest.mark.parametrize("text", ["payment-api", "a=b", "rr-1", "{}", '{"a": "x=1; y"}', "a;b", "user@host", ""])
def test_harmless_text_is_not_changed(text):
    assert harmless_cell(text) == text
