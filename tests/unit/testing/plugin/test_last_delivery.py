import gc
from types import SimpleNamespace

import pytest

from signal_gateway.audit import DataStorageClient
from signal_gateway.errors import ConfigurationError
from signal_gateway.testing.plugin.delivery import CrashedWorker, open_store, recover_crashed_workers
from signal_gateway.testing.plugin.session import SessionHarness
from signal_gateway.testing.plugin.settings import Setting
from signal_gateway.testing.plugin.verdict import Verdict

NOWHERE = Setting("http://127.0.0.1:9", "a test")
NO_TOKEN = Setting[str | None](None)


class NoOptions:
    def getoption(self, _name, default):
        return default

    def getini(self, _name):
        return ""


@pytest.fixture
def unusable_directory(tmp_path):
    file = tmp_path / "file"
    file.touch()
    yield file / "spool"
    gc.collect()  # a half-made store must have nothing to say


@pytest.fixture
def harness():
    return SessionHarness(NoOptions(), workerinput=None)


def node(worker, *, popen=True, via=None, **attributes):
    spec = SimpleNamespace(popen=popen, via=via)
    return SimpleNamespace(gateway=SimpleNamespace(id=worker, spec=spec), workerinput={}, **attributes)


def test_spool_that_can_not_be_made_says_how_to_have_it_elsewhere(unusable_directory):
    client = DataStorageClient(NOWHERE.value)

    with pytest.raises(ConfigurationError, match="can't be used: Not a directory") as caught:
        open_store(client, service="gateway", spool_directory=unusable_directory)

    assert "set TMPDIR" in caught.value.__notes__[0]
    client.close()


def test_crashed_workers_spool_that_can_not_be_opened_is_its_verdict(unusable_directory):
    workers = [CrashedWorker("gw0", "killed", unusable_directory)]

    (verdict,) = recover_crashed_workers(workers, datastorage=NOWHERE, token_file=NO_TOKEN, timeout=0.1)

    assert verdict.lost_events
    assert verdict.loss_message.startswith("gw0 crashed (killed): audit events may be left in the spool; ")
    assert f"'{unusable_directory}' can't be used: Not a directory" in verdict.loss_message
    assert verdict.recovery_message is None


def test_token_file_that_is_gone_at_the_end_is_the_verdict_of_a_crashed_worker(tmp_path):
    token_file = Setting(str(tmp_path / "gone"), "--gateway-datastorage-token-file")
    workers = [CrashedWorker("gw0", "killed", tmp_path)]

    (verdict,) = recover_crashed_workers(workers, datastorage=NOWHERE, token_file=token_file, timeout=0.1)

    assert "gone' (from --gateway-datastorage-token-file) can't be read" in verdict.loss_message


@pytest.mark.parametrize("spec", [{"popen": False}, {"via": "proxy"}])
def test_crashed_worker_on_another_machine_is_reported_with_its_spool(harness, spec):
    there = node("gw0", **spec)
    here = node("gw1", workeroutput={"gateway_verdicts": [Verdict("gw1", flushers=1).as_dict()]})
    for each, error in ((there, "lost connection"), (here, None)):
        harness.equip_worker(each)
        harness.collect_worker(each, error)

    must_fail = harness.finish(None)

    assert must_fail
    spool = there.workerinput["gateway_spool_directory"]
    (loss, _), _ = harness.report()
    assert loss.startswith("gateway: gw0 crashed (lost connection): audit events may be left in the spool; ")
    assert f"another machine, look there; kept, to deliver them: signal-gateway audit spool deliver {spool} " in loss


def test_crashed_worker_on_another_machine_is_nobodys_business_where_no_test_used_a_gateway(harness):
    there = node("gw0", popen=False)
    harness.equip_worker(there)
    harness.collect_worker(there, "lost connection")

    must_fail = harness.finish(None)

    assert not must_fail
    assert harness.report() == []


def test_command_that_delivers_can_be_pasted_into_a_shell():
    verdict = Verdict("main", pending=1, spool="/tmp/with a blank/spool")

    assert "signal-gateway audit spool deliver '/tmp/with a blank/spool' --datastorage URL" in verdict.loss_message
