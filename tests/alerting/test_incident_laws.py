"""What holds for any run of judgements."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.alerting.changes import Status
from stream_monitor.alerting.incidents import QUIET_WINDOWS, UPDATE_WINDOWS, IncidentBook
from stream_monitor.detection.verdict import Aspect
from tests.alerting.kit import MINUTE, START, Wish, finding, judgement

FIELDS = st.sampled_from([None, "a", "b", "c"])
FINDINGS = st.builds(finding, st.sampled_from(Aspect), FIELDS, days=st.floats(1, 1e12), share=st.floats(0, 1))
WINDOWS = st.lists(st.lists(FINDINGS, max_size=4), max_size=40)
MUTES = st.tuples(st.integers(0, 40), st.integers(0, 10)).map(lambda pair: (START + pair[0] * MINUTE, START + sum(pair) * MINUTE))


def play(windows, mute):
    """Changes by incident, in order, each with the number of its window; and the book."""
    book, stories = IncidentBook("orders"), {}
    for at, found in enumerate([*windows, *[()] * 10]):
        for change in book.update(judgement(at, *found), Wish(mute=mute)):
            stories.setdefault(change.incident, []).append((at, change))
    return stories, book


@settings(max_examples=150, deadline=None)
@given(WINDOWS, MUTES)
def test_each_incident_opens_once_and_ends_once_and_only_gets_worse(windows, mute):
    stories, _ = play(windows, mute)
    for story in stories.values():
        changes = [change for _, change in story]
        assert [change.status is Status.OPENED for change in changes] == [True, *[False] * (len(changes) - 1)]
        assert Status.RESOLVED not in [change.status for change in changes[:-1]]
        ranks = [change.severity.rank for change in changes]
        assert ranks == sorted(ranks)
        assert all(change.findings and change.explanation for change in changes)


@settings(max_examples=150, deadline=None)
@given(WINDOWS, MUTES)
def test_no_event_is_told_twice_and_none_in_muted_windows(windows, mute):
    stories, book = play(windows, mute)
    told = [change for story in stories.values() for _, change in story]
    assert len({change.id for change in told}) == len(told)
    assert not [change for change in told if mute[0] <= change.window.start_ms < mute[1]]
    muted_to_the_end = mute[1] > START + (len(windows) + 10 - QUIET_WINDOWS) * MINUTE
    assert not book.open or muted_to_the_end


@settings(max_examples=150, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_one_cause_has_one_incident_at_a_time_and_is_told_every_so_often(seen):
    stories, _ = play([(finding(),) if one else () for one in seen], (0, 0))
    spans = sorted((story[0][0], story[-1][0]) for story in stories.values())
    assert all(before[1] < after[0] for before, after in pairwise(spans))
    for story in stories.values():
        updates = [at for at, change in story if change.status is not Status.RESOLVED]
        assert all(after - before >= UPDATE_WINDOWS for before, after in pairwise(updates))
    assert bool(stories) == any(seen)


@settings(max_examples=100, deadline=None)
@given(WINDOWS)
def test_every_alerting_window_has_an_open_incident(windows):
    book = IncidentBook("orders")
    for at, found in enumerate(windows):
        book.update(judgement(at, *found), Wish())
        assert not found or any(incident.quiet == 0 for incident in book.open)
