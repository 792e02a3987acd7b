from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# numpy starts threads of its own, which must not get in the way
PROGRAM = """
import time
import numpy
from stream_monitor.streaming.stop_signal import stop_on_signals
stop = stop_on_signals()
print("ready", flush=True)
{wait}
"""


def start(wait: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM.format(wait=wait)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_event_and_raises_nothing(number: signal.Signals) -> None:
    with start("assert stop.wait(10)") as process:
        process.send_signal(number)
        assert process.wait(10) == 0


def test_a_second_signal_ends_the_process() -> None:
    with start("stop.wait(10); print('stopping', flush=True); time.sleep(30)") as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 1
