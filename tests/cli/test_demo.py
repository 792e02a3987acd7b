"""The demo's run on the embedded broker: a short plan, through the same processes as `stream-monitor run`."""

import dataclasses
import io
import time

import pytest
from rich.console import Console

from stream_monitor.cli.demo import result
from stream_monitor.cli.demo_run import DemoRun, Monitor, Pace
from stream_monitor.cli.demo_view import DemoView
from stream_monitor.errors import BrokerError
from stream_monitor.evaluation.demo_plan import demo_plan
from stream_monitor.evaluation.scoreboard import Scoreboard
from stream_monitor.streaming.embedded import EmbeddedBroker


@pytest.mark.embedded
@pytest.mark.slow
def test_a_short_demo_catches_what_it_plants_and_leaves_no_process(tmp_path):
    whole = demo_plan(history=36, gap=4, records_per_window=200)
    plantings = (whole.plantings[0], whole.plantings[1])
    plan = dataclasses.replace(whole, plantings=plantings, windows=plantings[-1].last + 4 - whole.first)
    board, text = Scoreboard(plan), io.StringIO()
    view = DemoView(Console(file=text, width=80), plan, board)
    with (
        EmbeddedBroker() as broker,
        DemoRun(plan, board, view, Pace(0.2), broker.bootstrap, tmp_path, began=time.monotonic()) as run,
    ):
        run.start()
        run.learn()
        run.live()
    assert [planting.text for planting in board.missed] == []
    assert "ALERT   completeness: email after 1 window" in text.getvalue()
    document = result(plan, board, 7, 1.0, run.first_alert)
    assert (document["planted"], document["caught"]) == (2, 2)
    assert document["plantings"][0]["caught"]["field"] == "email"
    assert run.stopped


@pytest.mark.embedded
def test_a_monitor_that_ends_is_told_with_its_last_words(tmp_path):
    monitor = Monitor("127.0.0.1:1", tmp_path, arguments=("--window", "never"))
    with pytest.raises(BrokerError, match=r"(?s)ended with exit code 2.*last words.*never"):
        check_until_it_fails(monitor, seconds=20)
    monitor.stop()


def check_until_it_fails(monitor, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        monitor.check()
        time.sleep(0.05)
