import subprocess
import sys

PROGRAM = """
import gc
from signal_gateway.web.serving.allocator import collect_less_often

before = gc.get_threshold()
collect_less_often()
after = gc.get_threshold()
print(gc.get_freeze_count() > 1000, gc.isenabled(), after[0] > before[0], after[1:] == before[1:])
"""


def test_collector_leaves_out_what_lives_at_the_start_and_stays_on():
    # in a process of its own: the collector is the process's
    process = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)

    assert process.stdout.split() == ["True"] * 4
