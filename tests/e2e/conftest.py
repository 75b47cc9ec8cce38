import re
import subprocess
import threading
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import yaml

LISTENING = re.compile(r'msg="Listening on" address=(\S+)')


class Alertmanager:
    """A real Alertmanager that notifies one webhook."""

    def __init__(self, program, directory, webhook_url):
        config = directory / "alertmanager.yml"
        config.write_text(
            yaml.safe_dump(
                {
                    "route": {
                        "receiver": "gateway",
                        "group_by": ["alertname"],
                        "group_wait": "0s",
                        "group_interval": "1s",
                        "repeat_interval": "1h",
                    },
                    "receivers": [
                        {"name": "gateway", "webhook_configs": [{"url": webhook_url, "send_resolved": True}]}
                    ],
                }
            )
        )
        self._process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.path={directory / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                "--cluster.listen-address=",
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        self._log = []
        self._is_listening = threading.Event()
        self.url = None
        self._reader = threading.Thread(target=self._read_log)
        self._reader.start()
        if not self._is_listening.wait(20) or self.url is None:
            self.stop()
            pytest.fail("Alertmanager did not start:\n" + "".join(self._log))

    def fire(self, *labels):
        now = datetime.now(UTC)
        self._post([{"labels": one, "startsAt": (now - timedelta(minutes=1)).isoformat()} for one in labels])

    def resolve(self, *labels):
        now = datetime.now(UTC)
        times = {
            "startsAt": (now - timedelta(minutes=1)).isoformat(),
            "endsAt": (now - timedelta(seconds=1)).isoformat(),
        }
        self._post([{"labels": one, **times} for one in labels])

    def stop(self):
        self._process.terminate()
        self._process.wait(10)
        self._reader.join(10)
        self._process.stderr.close()

    def _post(self, alerts):
        response = httpx.post(f"{self.url}/api/v2/alerts", json=alerts, trust_env=False)
        assert response.status_code == 200, response.text

    def _read_log(self):
        for line in self._process.stderr:
            self._log.append(line)
            if match := LISTENING.search(line):
                self.url = f"http://{match[1]}"
                self._is_listening.set()
        self._is_listening.set()


@pytest.fixture
def alertmanager(program, tmp_path):
    started = []

    def start(webhook_url):
        started.append(Alertmanager(program("prometheus-alertmanager"), tmp_path, webhook_url))
        return started[-1]

    yield start
    for one in started:
        one.stop()
