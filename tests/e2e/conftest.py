import contextlib

import pytest
from tests.e2e.alertmanager import alertmanager_part, notifying
from tests.e2e.part import ReservedPort


@pytest.fixture
def alertmanager(program, tmp_path):
    """Start a real Alertmanager that notifies a webhook."""
    with contextlib.ExitStack() as started:

        def start(webhook_url):
            path, port = program("prometheus-alertmanager"), started.enter_context(ReservedPort())
            part = alertmanager_part(path, tmp_path, port=port, configuration=notifying(webhook_url))
            return started.enter_context(part)

        yield start
