"""What the demo plants is what the monitor catches: the plan through the core, without Kafka."""

import dataclasses

import pytest

from stream_monitor.alerting.cloudevents import alert_data
from stream_monitor.config.sensitivity import Sensitivity
from stream_monitor.detection.verdict import Aspect
from stream_monitor.evaluation.demo_plan import demo_plan
from stream_monitor.evaluation.scoreboard import Scoreboard
from stream_monitor.monitor import TopicMonitor
from stream_monitor.profiling.stream_profiler import StreamProfiler


def watched(plan):
    """The score after a monitor has seen the whole plan."""
    board, monitor, profiler = Scoreboard(plan), TopicMonitor("orders"), StreamProfiler("orders", partition_count=4)
    for partition in range(4):
        profiler.assign(partition)
    sensitivity, offsets = Sensitivity.of(None, None), [0] * 4
    for number in range(plan.first, plan.end):
        messages, positions = plan.messages(number), []
        for message in messages:
            positions.append(offsets[message.partition])
            offsets[message.partition] += 1
        values, times = [m.encoded() for m in messages], [m.timestamp_ms for m in messages]
        profiler.add(values, times, [m.partition for m in messages], positions, keys=[m.key for m in messages])
        for delta in profiler.drain():
            monitor.merge(delta)
        for change in monitor.advance(sensitivity).changes:
            board.alerted(alert_data(change), 0.0)
    return board


@pytest.mark.slow
def test_a_corruption_of_every_aspect_is_caught_within_a_window_and_nothing_else_alerts():
    plan = demo_plan(history=48, gap=5, records_per_window=300)
    plantings = plan.plantings[:7]
    assert {planting.corruption.aspect for planting in plantings} == set(Aspect)
    board = watched(dataclasses.replace(plan, plantings=plantings, windows=plantings[-1].last + 4 - plan.first))
    assert [planting.text for planting in board.missed] == []
    assert all(catch.windows == 1 for catch in board.catches.values())
    assert [alert["explanation"] for alert in board.false] == []
