"""SessionHarness: the bodies of the pytest plugin's hooks, for a single process, an xdist controller or a worker.

Light to import: an xdist controller makes one for every run, also where no test uses a gateway.
"""

import os
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from signal_gateway.testing.on_demand import OnDemandDataStorage
from signal_gateway.testing.settings import resolve
from signal_gateway.testing.verdict import Verdict

if TYPE_CHECKING:
    from signal_gateway.testing.cluster import EmbeddedCluster, ExistingCluster
    from signal_gateway.testing.suite import Suite

__all__ = ["SessionHarness"]

_URL_KEY = "gateway_datastorage_url"
_VERDICT_KEY = "gateway_verdict"


class SessionHarness:
    """What the plugin keeps for a session.

    Args:
        option: Looks up a command line option.
        ini: Looks up an ini option.
        workerinput: What an xdist controller gave this process; None outside a worker.
    """

    def __init__(
        self,
        *,
        option: Callable[[str], Any],
        ini: Callable[[str], Any],
        workerinput: MutableMapping[str, Any] | None,
    ) -> None:
        self.settings = resolve(option=option, environ=os.environ, ini=ini)
        self._workerinput = workerinput
        self._suite: Suite | None = None
        self._on_demand: OnDemandDataStorage | None = None
        self._verdicts: dict[str, Verdict] = {}
        self._notes: list[str] = []

    @property
    def suite(self) -> "Suite":
        """What the tests of this process share; made when first asked for."""
        if self._suite is None:
            from signal_gateway.testing.suite import Suite

            given = self._workerinput or {}
            self._suite = Suite(
                self.settings, worker=given.get("workerid", "main"), shared_datastorage_url=given.get(_URL_KEY)
            )
        return self._suite

    def check(self) -> None:
        """Ask the services that were set whether they are what they should be.

        Raises:
            SignalGatewayError: One isn't; the message names it, where it came from and the cause.
        """
        self.suite.check_datastorage()
        if self.settings.kubeconfig.value is not None:
            with self.cluster():
                pass

    def cluster(self) -> "EmbeddedCluster | ExistingCluster":
        """Return a cluster for one test, not started."""
        from signal_gateway.testing.cluster import EmbeddedCluster, ExistingCluster

        setting = self.settings.kubeconfig
        return EmbeddedCluster() if setting.value is None else ExistingCluster(setting.value, source=setting.source)

    def equip_worker(self, workerinput: MutableMapping[str, Any]) -> None:
        """Give an xdist worker the URL of the run's DataStorage, unless one was set for all."""
        if self.settings.datastorage_url.value is not None:
            return
        if self._on_demand is None:
            self._on_demand = OnDemandDataStorage()
        workerinput[_URL_KEY] = self._on_demand.url

    def collect_worker(self, worker: str, output: MutableMapping[str, Any] | None, error: object) -> None:
        """Take over what an xdist worker said when it ended."""
        if output is None:
            self._notes.append(f"{worker} ended without a verdict ({error}): events in its memory are lost")
        elif _VERDICT_KEY in output:
            self._verdicts[worker] = Verdict(**output[_VERDICT_KEY])

    def finish(self, session: Any) -> None:
        """Close what the session shared, and let lost events fail it.

        Args:
            session: The `pytest.Session`; an exit status of 0 becomes 1 if events were not delivered.
        """
        if self._suite is not None:
            verdict = self._suite.close()
            if self._workerinput is not None:
                session.config.workeroutput[_VERDICT_KEY] = verdict.as_dict()
            else:
                self._verdicts[verdict.worker] = verdict
        if self._on_demand is not None:
            self._on_demand.close()
        if session.exitstatus == 0 and not all(verdict.is_clean for verdict in self._verdicts.values()):
            session.exitstatus = 1

    def summarise(self, terminalreporter: Any) -> None:
        """Write a line about the session's events, and one for each process that lost some, if there is any to say."""
        verdicts = list(self._verdicts.values())
        for note in self._notes:
            terminalreporter.write_line(f"gateway: {note}", red=True)
        for verdict in verdicts:
            if not verdict.is_clean:
                terminalreporter.write_line(f"gateway: {verdict.complaint}", red=True)
        if any(verdict.servers or verdict.flushers for verdict in verdicts):
            terminalreporter.write_line(_totals(verdicts))


def _totals(verdicts: list[Verdict]) -> str:
    def total(field: str) -> int:
        return sum(getattr(verdict, field) for verdict in verdicts)

    def counted(field: str, noun: str) -> str:
        count = total(field)
        return f"{count} {noun}{'' if count == 1 else 's'}"

    fates = ", ".join(f"{total(fate)} {fate}" for fate in ("delivered", "rejected", "pending"))
    made = f"{counted('servers', 'server')}, {counted('flushers', 'flusher')}"
    return f"gateway: {made}, {counted('recorded', 'event')} recorded, {fates}"
