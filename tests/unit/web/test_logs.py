import io
import json
import logging
import warnings
from datetime import UTC, datetime

import pytest

from signal_gateway.web.logs import log_formatter, logs_written

LOGGER = "signal_gateway.test"


@pytest.fixture
def log():
    return logging.getLogger(LOGGER)


def written(say, *, format="json", level="info"):
    """Return what is written of what is said meanwhile."""
    stream = io.StringIO()
    with logs_written(stream, level=level, format=format):
        say()
    return stream.getvalue()


def entries(say, **settings):
    return [json.loads(line) for line in written(say, **settings).splitlines()]


def fail(message):
    raise RuntimeError(message)


def test_record_is_an_object_in_one_line_with_its_time_in_utc(log):
    before = datetime.now(UTC).replace(microsecond=0)

    [entry] = entries(lambda: log.warning("%d events\nwait", 2))

    timestamp = entry.pop("timestamp")
    assert entry == {"level": "warning", "logger": LOGGER, "event": "2 events\nwait"}
    assert timestamp.endswith("Z")
    assert before <= datetime.fromisoformat(timestamp) <= datetime.now(UTC)


def test_known_extra_keys_stand_in_the_line_and_no_others(log):
    extra = {"request_id": "0190b7d3", "correlation_id": "rr-1", "status": 201, "duration_ms": 0.5, "token": "hunter2"}

    [entry] = entries(lambda: log.info("done", extra=extra | {"fingerprint": None}))

    assert {key: entry[key] for key in entry if key not in ("timestamp", "level", "logger", "event")} == {
        "request_id": "0190b7d3",
        "correlation_id": "rr-1",
        "status": 201,
        "duration_ms": 0.5,
    }


@pytest.mark.parametrize("format", ["json", "console"])
def test_secrets_are_masked_in_message_extra_and_traceback(log, format):
    secret = "hunter" + str(2)  # not as a whole in a traceback's lines of this file

    def say():
        try:
            try:
                fail(f"password={secret} is wrong")
            except RuntimeError as exc:
                raise LookupError(f"sent Authorization: Bearer {secret}") from exc
        except LookupError:
            log.exception("at postgresql://me:%s@db", secret, extra={"path": f"/?token={secret}"}, stack_info=True)

    text = written(say, format=format)

    assert secret not in text
    for expected in ("postgresql://me:***@db", "/?token=***", "password=*** is wrong", "Authorization: ***"):
        assert expected in text, expected


def test_exception_is_in_the_line_of_its_record(log):
    def say():
        try:
            fail("on purpose")
        except RuntimeError:
            log.exception("it failed")

    [entry] = entries(say)

    assert entry["event"] == "it failed"
    assert entry["exception"].startswith("Traceback (most recent call last):\n")
    assert entry["exception"].endswith("RuntimeError: on purpose")


def test_text_that_is_no_unicode_is_written_all_the_same(log):
    record = log.makeRecord(LOGGER, logging.INFO, __file__, 1, "spool \udcff in %r", ({"ü"},), None)

    text = log_formatter("json").format(record)

    assert text.isascii()
    assert json.loads(text)["event"] == "spool \udcff in {'ü'}"


def test_console_has_one_line_for_a_record_whatever_others_wrote(log):
    extra = {"path": "/\x1b[31m", "request_id": "0190b7d3"}

    [line] = written(lambda: log.info("alert a\nb \x1b]0;x\x07", extra=extra), format="console").splitlines()

    assert line.split()[1:] == [
        *("[info", "]", "alert", "a\\nb", "\\x1b]0;x\\x07", f"[{LOGGER}]"),
        *("request_id=0190b7d3", "path=/\\x1b[31m"),
    ]


def test_console_shows_an_exception_under_its_line(log):
    def say():
        try:
            fail("on \x1b[31m purpose")
        except RuntimeError:
            log.exception("it failed")

    line, first, *_, last = written(say, format="console").splitlines()

    assert "it failed" in line
    assert first == "Traceback (most recent call last):"
    assert last == "RuntimeError: on \\x1b[31m purpose"


@pytest.mark.parametrize(
    ("level", "of_ours", "of_libraries"),
    [
        ("debug", ["debug", "info", "warning"], ["warning"]),
        ("info", ["info", "warning"], ["warning"]),
        ("warning", ["warning"], ["warning"]),
        ("error", [], []),
    ],
)
def test_level_is_the_least_that_is_written_and_libraries_only_warn(log, level, of_ours, of_libraries):
    loggers = [log, logging.getLogger("httpx"), logging.getLogger("uvicorn.error")]

    def say():
        for logger in loggers:
            logger.debug("debug")
            logger.info("info")
            logger.warning("warning")

    said = [(entry["logger"], entry["event"]) for entry in entries(say, level=level)]

    expected = zip(loggers, [of_ours, of_libraries, of_libraries], strict=True)
    assert said == [(logger.name, event) for logger, events in expected for event in events]


def test_warnings_of_python_are_records():
    def say():
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("password=hunter2 is old", DeprecationWarning, stacklevel=1)

    [entry] = entries(say)

    assert (entry["logger"], entry["level"]) == ("py.warnings", "warning")
    assert "DeprecationWarning: password=*** is old" in entry["event"]


def test_everything_is_as_before_afterwards(log):
    root, ours = logging.getLogger(), logging.getLogger("signal_gateway")
    before = (root.level, ours.level, list(root.handlers), warnings.showwarning)

    def say():
        assert log.isEnabledFor(logging.DEBUG)
        fail("on purpose")

    with pytest.raises(RuntimeError):
        written(say, level="debug")

    assert (root.level, ours.level, root.handlers, warnings.showwarning) == before


def test_caplog_goes_on_seeing_records_as_they_are(log, caplog):
    def say():
        log.warning("password=%s", "hunter2")

    written(say)

    assert caplog.messages == ["password=hunter2"]


def test_formatter_leaves_the_record_to_other_handlers_as_it_is(log):
    record = log.makeRecord(LOGGER, logging.INFO, __file__, 1, "password=%s", ("hunter2",), None)

    log_formatter("json").format(record)

    assert record.getMessage() == "password=hunter2"
