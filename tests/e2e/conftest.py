import contextlib

import pytest
from tests.e2e.alertmanager import alertmanager_part, notifying
from tests.e2e.part import ReservedPort


@pytest.fixture
def alertmanager(program, tmp_path):
    """Start a real Alertmanager that notifies a webhook."""
    with contextlib.ExitStack() as started:

        def start(webhook_url):
            path = program("prometheus-alertmanager")
            configuration = notifying(webhook_url)
            return started.enter_context(
                alertmanager_part(path, tmp_path, port=ReservedPort(), configuration=configuration)
            )

        yield start
