"""A small disk, and files and events that fill it."""

import subprocess
from contextlib import suppress

from signal_gateway.audit import AuditStoreFull


def run(*command):
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def fill_up(directory):
    with suppress(OSError), (directory / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def record_until_full(store, make_event):
    ids = []
    while True:
        event = make_event(len(ids))
        try:
            store.record(event)
        except AuditStoreFull as exc:
            return ids, exc
        ids.append(event.event_id)
