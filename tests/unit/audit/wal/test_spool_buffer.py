"""The bytes under a segment: mapped, written where that is refused, and guarded where there is no GIL."""

import errno
import mmap
import os
import sys
import threading

import pytest

from signal_gateway.audit.wal.buffer import HEADER_BYTES, FileBuffer, MappedBuffer
from signal_gateway.audit.wal.directory import SegmentDirectory

DEADLINE = 60.0
SIZE = 64 * 1024


@pytest.fixture(params=["anonymous", "mapped", "guarded", "written"])
def buffer(request, tmp_path, monkeypatch):
    if request.param == "guarded":
        monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    if request.param == "anonymous":
        buffer = MappedBuffer.anonymous(SIZE)
    else:
        fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        if request.param == "written":
            buffer = FileBuffer(fd, SIZE)
        else:
            os.truncate(fd, SIZE)
            buffer = MappedBuffer(fd, SIZE, fresh=True)
    yield buffer
    buffer.close()


def test_what_is_written_comes_one_behind_the_other(buffer):
    write = buffer.write
    write(b"one")
    write(b"two")

    assert buffer.limit() == HEADER_BYTES + 6
    assert buffer.read(HEADER_BYTES, HEADER_BYTES + 6) == b"onetwo"


def test_it_takes_what_fits_and_not_a_byte_more(buffer):
    write = buffer.write
    write(b"x" * (SIZE - HEADER_BYTES - 1))

    with pytest.raises(ValueError):  # noqa: PT011 - mmap's own message
        write(b"xx")
    write(b"x")

    assert buffer.limit() == SIZE


@pytest.mark.parametrize("end", ["seal", "forget", "close"])
def test_nothing_is_written_afterwards(buffer, end):
    write = buffer.write
    write(b"one")
    before = buffer.read(0, HEADER_BYTES + 100)

    getattr(buffer, end)()

    with pytest.raises(ValueError):  # noqa: PT011 - mmap's own message
        write(b"two")
    if end == "seal":
        assert buffer.read(0, HEADER_BYTES + 100) == before


def test_seal_among_writing_threads_lets_each_write_do_all_or_nothing(buffer):
    together = threading.Barrier(5, timeout=DEADLINE)
    written = []

    def write_until_refused(mark):
        write, count = buffer.write, 0
        together.wait()
        try:
            while True:
                write(bytes([mark]) * 10)
                count += 1
        except ValueError:
            written.append((mark, count))

    threads = [threading.Thread(target=write_until_refused, args=(mark,)) for mark in range(1, 5)]
    for thread in threads:
        thread.start()
    together.wait()
    buffer.seal()
    for thread in threads:
        thread.join(DEADLINE)

    content = buffer.read(HEADER_BYTES, SIZE).rstrip(b"\0")
    frames = [content[offset : offset + 10] for offset in range(0, len(content), 10)]
    assert all(len(set(frame)) == 1 for frame in frames)
    assert sorted(written) == [(mark, sum(frame[0] == mark for frame in frames)) for mark in range(1, 5)]


def test_without_a_gil_each_write_waits_for_the_lock(monkeypatch):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    buffer = MappedBuffer.anonymous(SIZE)
    done = threading.Event()

    def write():
        buffer.write(b"one")
        done.set()

    with buffer._guard:
        thread = threading.Thread(target=write)
        thread.start()
        assert not done.wait(0.1)
        assert buffer.limit() == HEADER_BYTES
    assert done.wait(DEADLINE)
    thread.join()

    assert buffer.limit() == HEADER_BYTES + 3
    buffer.close()


def test_with_a_gil_a_write_is_the_mappings_own(monkeypatch):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    buffer = MappedBuffer.anonymous(SIZE)

    assert buffer.write.__self__ is buffer._mapping
    buffer.close()


@pytest.mark.parametrize("refused", ["posix_fallocate", "mmap"])
@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.ENODEV, errno.EINVAL])
def test_store_writes_where_the_file_system_refuses_to_map(
    fault_server, open_store, make_event, spool_directory, monkeypatch, refused, code
):
    map_anything = mmap.mmap

    def refuse(fd, *args, **settings):
        if fd < 0:
            return map_anything(fd, *args, **settings)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os if refused == "posix_fallocate" else mmap, refused, refuse)
    store = open_store(max_spool_bytes=256 * 1024)
    events = [make_event(number) for number in range(300)]
    for event in events:
        store.record(event)

    assert store.stats.storage == "written"
    assert store.flush(timeout=DEADLINE).ok
    assert list(fault_server.stored) == [event.event_id for event in events]
    store.close()
    assert not list(spool_directory.iterdir())


@pytest.mark.parametrize("refused", ["posix_fallocate", "mmap"])
def test_what_no_file_system_refuses_for_good_is_no_reason_to_write(spool_directory, monkeypatch, refused):
    def refuse(*_):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    segments = SegmentDirectory(spool_directory, service="shop")
    segments.open()
    monkeypatch.setattr(os if refused == "posix_fallocate" else mmap, refused, refuse)

    with pytest.raises(OSError, match="memory"):
        segments.make_segment(SIZE)

    assert segments.storage == "mapped"
    assert not [path for path in spool_directory.iterdir() if path.suffix != ".lock"]
    segments.close(is_empty=True)


def test_store_without_a_gil_takes_every_threads_events_in_order(fault_server, open_store, make_event, monkeypatch):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    store = open_store(max_spool_bytes=4 * 1024 * 1024)
    recorded = {lane: [] for lane in range(8)}

    def record(lane):
        for number in range(250):
            event = make_event(number, correlation_id=f"order-{lane}")
            store.record(event)
            recorded[lane].append(event.event_id)

    threads = [threading.Thread(target=record, args=(lane,)) for lane in recorded]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    assert store.close(timeout=DEADLINE).ok
    for lane, ids in recorded.items():
        assert [one for one, event in fault_server.stored.items() if event["correlation_id"] == f"order-{lane}"] == ids
    assert len(fault_server.stored) == 2000


@pytest.mark.parametrize("kind", ["guarded", "written"])
def test_forked_child_does_not_wait_for_a_lock_that_its_parents_thread_held(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.truncate(fd, SIZE)
    buffer = FileBuffer(fd, SIZE) if kind == "written" else MappedBuffer(fd, SIZE, fresh=True)
    lock = buffer._lock if kind == "written" else buffer._guard
    held, done = threading.Event(), threading.Event()
    refused = threading.Event()

    def hold():
        with lock:
            held.set()
            done.wait(DEADLINE)

    def write():
        try:
            buffer.write(b"a frame")
        except ValueError:
            refused.set()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(DEADLINE)
    buffer.forget()  # as a child does, where nobody will ever let go of that lock
    writer = threading.Thread(target=write)
    writer.start()

    assert refused.wait(DEADLINE / 2)
    done.set()
    holder.join()
    writer.join()
    buffer.close()
