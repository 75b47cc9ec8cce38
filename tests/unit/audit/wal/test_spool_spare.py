"""The segment that is made ahead of need, by the flusher: who needs it meanwhile waits for it."""

import logging
import threading

import orjson
import pytest

from signal_gateway.audit.wal.directory import SegmentDirectory
from signal_gateway.audit.wal.log import WriteAheadLog
from signal_gateway.clock import SystemClock

DEADLINE = 60.0
PAYLOAD = orjson.dumps({"event_id": "1", "padding": "x" * 1000})


class SlowSegments(SegmentDirectory):
    """Makes its second segment only when it is told to."""

    def __init__(self, directory):
        super().__init__(directory, service="shop")
        self.makers = []
        self.making = threading.Event()
        self.go_on = threading.Event()

    def make_segment(self, size):
        self.makers.append(threading.current_thread().name)
        if len(self.makers) == 2:
            self.making.set()
            assert self.go_on.wait(DEADLINE)
        return super().make_segment(size)


@pytest.fixture
def segments(spool_directory):
    return SlowSegments(spool_directory)


@pytest.fixture
def spool(segments):
    spool = WriteAheadLog(segments, max_bytes=1024 * 1024, clock=SystemClock(), log=logging.getLogger("spool"))
    spool.open()
    yield spool
    segments.go_on.set()
    spool.seal()
    spool.release()


def fill_first_segment(spool):
    (segment,) = spool._queue
    count = 0
    while segment.size - segment.buffer.limit() > len(PAYLOAD) + 20:
        spool.append(PAYLOAD)
        count += 1
    return count


@pytest.mark.usefixtures("storage")
def test_recorder_waits_for_the_segment_that_the_flusher_is_making(segments, spool):
    count = fill_first_segment(spool)
    flusher = threading.Thread(target=spool.prepare, name="flusher")
    recorder = threading.Thread(target=spool.append, args=(PAYLOAD,), name="recorder")

    flusher.start()
    assert segments.making.wait(DEADLINE)
    recorder.start()
    recorder.join(0.2)
    waits = recorder.is_alive()
    segments.go_on.set()
    recorder.join(DEADLINE)
    flusher.join(DEADLINE)

    assert waits
    assert segments.makers == ["MainThread", "flusher"]
    assert spool.counts().recorded == count + 1


def test_stores_counts_are_told_while_a_segment_is_being_made(segments, spool):
    count = fill_first_segment(spool)
    flusher = threading.Thread(target=spool.prepare)
    told = []
    reader = threading.Thread(target=lambda: told.append((spool.counts().recorded, spool.full)))

    flusher.start()
    assert segments.making.wait(DEADLINE)
    reader.start()
    reader.join(DEADLINE / 2)
    told_meanwhile = list(told)
    segments.go_on.set()
    flusher.join(DEADLINE)
    reader.join(DEADLINE)

    assert told_meanwhile == [(count, False)]
    assert segments.makers == ["MainThread", flusher.name]


def test_recorders_that_need_it_at_once_make_one_segment(segments, spool):
    count = fill_first_segment(spool)
    flusher = threading.Thread(target=spool.prepare, name="flusher")
    recorders = [threading.Thread(target=spool.append, args=(PAYLOAD,)) for _ in range(8)]

    flusher.start()
    assert segments.making.wait(DEADLINE)
    for recorder in recorders:
        recorder.start()
    segments.go_on.set()
    for thread in [flusher, *recorders]:
        thread.join(DEADLINE)

    assert segments.makers == ["MainThread", "flusher"]
    assert spool.counts().recorded == count + 8
