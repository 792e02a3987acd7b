"""The demo's plan: every aspect, quiet windows between, the same each time."""

import pytest

from stream_monitor.detection.verdict import Aspect
from stream_monitor.evaluation.demo_plan import demo_plan


@pytest.fixture(scope="module")
def plan():
    return demo_plan(history=10, records_per_window=60)


def test_every_aspect_is_planted(plan):
    assert {planting.corruption.aspect for planting in plan.plantings} == set(Aspect)


def test_plantings_are_apart_and_the_demo_ends_quietly(plan):
    starts = [planting.first for planting in plan.plantings]
    ends = [plan.live - 1, *(planting.last for planting in plan.plantings)]
    assert all(start - end > 5 for start, end in zip(starts, ends[:-1], strict=True))
    assert plan.end - plan.plantings[-1].last > 5


def test_only_planted_windows_differ_from_the_stream(plan):
    for number in range(plan.live, plan.live + 20):
        assert (plan.messages(number) != plan.stream.window(number)) == (plan.planted(number) is not None)


def test_the_same_seed_plants_the_same_messages(plan):
    first = plan.plantings[0].first
    assert demo_plan(history=10, records_per_window=60).messages(first) == plan.messages(first)


def test_what_is_planted_is_said_with_its_share(plan):
    assert plan.plantings[0].text == "email is null (25 %)"
