"""NotifyingChain: a Prometheus with alerts that fire, and the two Alertmanagers that notify a webhook of them."""

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml
from tests.e2e.alertmanager import alertmanager_part
from tests.e2e.part import Part, ReservedPort

__all__ = ["FiringAlert", "Notifications", "NotifyingChain", "firing_alerts_of"]

FiringAlert = Mapping[str, Any]

_JUDGED = '{job="alertmanager",integration="webhook"}[10s]'
_FAILED = f"sum by (instance) (rate(alertmanager_notifications_failed_total{_JUDGED}))"
_SENT = f"sum by (instance) (rate(alertmanager_notifications_total{_JUDGED}))"
# what kube-prometheus alerts on, in a shorter window and without a delay
_JUDGES = {
    "AlertmanagerFailedToSendAlerts": f"{_FAILED} / {_SENT} > 0.01",
    "AlertmanagerClusterFailedToSendAlerts": f"min({_FAILED} / {_SENT}) > 0.01",
}


def firing_alerts_of(file: Path) -> list[FiringAlert]:
    """Return the alerts of a file of label sets as rules of Prometheus that always fire, each label set once."""
    rules: dict[str, FiringAlert] = {}
    for row in json.loads(file.read_text())["alerts"]:
        labels = {name: _named(value) for name, value in row["labels"].items()} | {"severity": row["severity"]}
        rule = {"alert": row["alert"], "expr": "vector(1)", "labels": labels}
        rules[json.dumps(rule, sort_keys=True)] = rule
    return list(rules.values())


class Notifications:
    """The notifications that have been sent, by the key of their group. Filled by a server, on another thread."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._has_grown = threading.Condition()

    def add(self, webhook: Mapping[str, Any]) -> None:
        """Count one notification."""
        with self._has_grown:
            self._counts[webhook["groupKey"]] += 1
            self._has_grown.notify_all()

    def wait_until_each_has_come(self, times: int, *, groups: int) -> None:
        """Wait until so many groups have been notified so many times each."""

        def have_come() -> bool:
            return len(self._counts) >= groups and min(self._counts.values()) >= times

        with self._has_grown:
            assert self._has_grown.wait_for(have_come, timeout=240), self._counts


class NotifyingChain:
    """A Prometheus whose alerts always fire, and a cluster of two Alertmanagers, which it watches.

    Args:
        prometheus: The program.
        alertmanager: The program.
        directory: For the files.
        alerts: The rules.
        webhooks: Each notification goes to each of these URLs.
    """

    def __init__(
        self,
        *,
        prometheus: str,
        alertmanager: str,
        directory: Path,
        alerts: Sequence[FiringAlert],
        webhooks: Sequence[str],
    ) -> None:
        self._programs = (prometheus, alertmanager)
        self._directory = directory
        self._alerts = alerts
        self._webhooks = webhooks
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            prometheus, alertmanager = self._programs
            ports, cluster = ([stack.enter_context(ReservedPort()) for _ in range(2)] for _ in range(2))
            self.alertmanagers = []
            for number, port in enumerate(ports):
                directory = self._directory / f"alertmanager-{number}"
                directory.mkdir()
                part = alertmanager_part(
                    alertmanager,
                    directory,
                    port=port,
                    configuration=self._routing(),
                    cluster=[cluster[number], cluster[1 - number]],
                )
                self.alertmanagers.append(stack.enter_context(part))
            port = stack.enter_context(ReservedPort())
            self.prometheus = stack.enter_context(self._prometheus(prometheus, port, ports))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def failed_notifications(self) -> list[float]:
        """Return the number of failed notifications of each Alertmanager."""
        return [part.sample("alertmanager_notifications_failed_total") for part in self.alertmanagers]

    def judged(self) -> set[str]:
        """Return the names of the rules about failed notifications that fired at some time."""
        return {row["metric"]["alertname"] for row in self._query('max_over_time(ALERTS{judge="failed"}[1h])')}

    def watched(self) -> int:
        """Return the number of Alertmanagers whose notifications Prometheus has seen."""
        return len(self._query(f"{_SENT} > 0"))

    def _query(self, query: str) -> list[Any]:
        response = httpx.get(f"{self.prometheus.url}/api/v1/query", params={"query": query}, trust_env=False)
        result: list[Any] = response.raise_for_status().json()["data"]["result"]
        return result

    def _prometheus(self, program: str, port: ReservedPort, alertmanagers: Sequence[ReservedPort]) -> Part:
        judges = [{"alert": name, "expr": expr, "labels": {"judge": "failed"}} for name, expr in _JUDGES.items()]
        rules = self._directory / "rules.yml"
        groups = [{"name": "judges", "rules": judges}, {"name": "given", "rules": list(self._alerts)}]
        rules.write_text(yaml.safe_dump({"groups": groups}))
        targets = [{"targets": [one.address for one in alertmanagers]}]
        configuration = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "alertmanager", "static_configs": targets}],
            "alerting": {"alertmanagers": [{"static_configs": targets}]},
        }
        file = self._directory / "prometheus.yml"
        file.write_text(yaml.safe_dump(configuration))
        command = [
            program,
            f"--config.file={file}",
            f"--storage.tsdb.path={self._directory / 'prometheus'}",
            f"--web.listen-address={port.address}",
            "--rules.alert.resend-delay=1s",
        ]
        return Part(command, port=port, until="Server is ready to receive web requests")

    def _routing(self) -> dict[str, Any]:
        return {
            "route": {
                "receiver": "webhooks",
                "group_by": ["..."],  # each alert alone: a group with an alert about an object hides the others
                "group_wait": "0s",
                "group_interval": "1s",
                "repeat_interval": "1s",
            },
            "receivers": [{"name": "webhooks", "webhook_configs": [{"url": url} for url in self._webhooks]}],
        }


def _named(value: str) -> str:
    """Return the name of a pod for a placeholder such as `{pod of prod/StatefulSet/db}`."""
    return f"{value[1:-1].rpartition('/')[2]}-0" if value.startswith("{pod of ") else value
