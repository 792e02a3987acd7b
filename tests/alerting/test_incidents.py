import msgpack
import pytest

from stream_monitor.alerting.changes import Reason, Status
from stream_monitor.alerting.cloudevents import cloud_event_json
from stream_monitor.alerting.incidents import IncidentBook
from stream_monitor.alerting.severity import Severity
from stream_monitor.detection.verdict import Aspect
from stream_monitor.errors import FormatError, SensitivityError
from tests.alerting.kit import MINUTE, START, Wish, finding, judgement

NULLS = finding()
TYPES = finding(Aspect.CONFORMITY, "age", metric="type_string")
WISH = Wish()


def play(book, windows, wish=WISH):
    """Changes by window; `windows` holds one tuple of findings a window."""
    return {at: changes for at, found in enumerate(windows) if (changes := book.update(judgement(at, *found), wish))}


def stories(changes):
    return {at: [(change.status.value, change.field) for change in those] for at, those in changes.items()}


def test_an_incident_opens_is_updated_every_10_windows_and_is_resolved_after_3_quiet_ones():
    changes = play(IncidentBook("orders"), [(NULLS,)] * 22 + [()] * 5)
    said = {0: "opened", 10: "updated", 20: "updated", 24: "resolved"}
    assert stories(changes) == {at: [(status, "email")] for at, status in said.items()}
    assert len({change.incident for those in changes.values() for change in those}) == 1
    assert len({change.id for those in changes.values() for change in those}) == 4
    assert changes[24][0].reason is Reason.QUIET
    assert changes[24][0].window.end_ms == START + 25 * MINUTE
    assert changes[24][0].findings == (NULLS,)


def test_two_quiet_windows_do_not_end_an_incident():
    changes = play(IncidentBook("orders"), [(NULLS,), (), (), (NULLS,), (), (), ()])
    assert stories(changes) == {0: [("opened", "email")], 6: [("resolved", "email")]}


def test_findings_of_several_aspects_within_two_windows_join_one_incident():
    changes = play(IncidentBook("orders"), [(NULLS,), (), (TYPES,), (NULLS, TYPES)])
    assert stories(changes) == {0: [("opened", "email")], 2: [("updated", "age")]}


def test_another_cause_later_opens_its_own_incident():
    changes = play(IncidentBook("orders"), [(NULLS,), (NULLS,), (NULLS,), (NULLS, TYPES), (NULLS,), (NULLS,), (NULLS,)])
    assert stories(changes) == {0: [("opened", "email")], 3: [("opened", "age")], 6: [("resolved", "age")]}


def test_another_aspect_of_the_same_field_joins_however_late():
    changes = play(IncidentBook("orders"), [(NULLS,)] * 5 + [(NULLS, finding(Aspect.UNIQUENESS, "email"))])
    assert stories(changes) == {0: [("opened", "email")]}


def test_lesser_findings_of_an_aspect_follow_its_first():
    other = finding(Aspect.COMPLETENESS, "phone")
    changes = play(IncidentBook("orders"), [(NULLS,)] * 5 + [(NULLS, other), (NULLS, other)])
    assert stories(changes) == {0: [("opened", "email")]}


def test_findings_of_aspects_that_do_not_alert_open_nothing():
    book = IncidentBook("orders")
    told = [change for at in range(6) for change in book.update(judgement(at, NULLS), WISH)]
    told += book.update(judgement(6, NULLS, TYPES, aspects=(Aspect.COMPLETENESS,)), WISH)
    assert [change.status for change in told] == [Status.OPENED]
    assert len(book.open) == 1


def test_causes_that_take_turns_in_front_are_told_once():
    other = finding(Aspect.COMPLETENESS, "phone")
    changes = play(IncidentBook("orders"), [(NULLS, other), (other, NULLS), (NULLS, other), (other, NULLS), (NULLS, other)])
    assert stories(changes) == {0: [("opened", "email")], 1: [("updated", "phone")]}


def test_a_rising_severity_is_told_at_once_and_does_not_fall():
    worse = finding(share=0.9)
    changes = play(IncidentBook("orders"), [(NULLS,), (worse,), (NULLS,), (NULLS,)])
    assert stories(changes) == {0: [("opened", "email")], 1: [("updated", "email")]}
    assert [changes[at][0].severity for at in changes] == [Severity.WARNING, Severity.CRITICAL]


def test_muted_windows_publish_nothing_and_the_incident_ends_after_the_mute():
    wish = Wish(mute=(START + 1 * MINUTE, START + 6 * MINUTE))
    changes = play(IncidentBook("orders"), [(NULLS,), (NULLS,), (), (), (), (TYPES,), (), (), ()], wish)
    assert stories(changes) == {0: [("opened", "email")], 8: [("resolved", "email")]}


def test_a_window_that_a_mute_begins_in_is_muted():
    wish = Wish(mute=(START + 30_000, START + 10 * MINUTE))
    assert play(IncidentBook("orders"), [(NULLS,)] * 3, wish) == {}


def test_backfilled_and_cold_windows_open_nothing():
    book = IncidentBook("orders")
    assert book.update(judgement(0, NULLS), WISH, backfill=True) == []
    assert book.update(judgement(1, NULLS, state="cold"), WISH) == []
    assert book.update(judgement(2, NULLS, alerting=False), WISH) == []
    assert book.open == ()


def test_accept_resolves_and_reject_keeps_open():
    book = IncidentBook("orders")
    (opened,) = book.update(judgement(0, NULLS), WISH)
    assert book.reject(opened.incident).rejected
    assert book.find(opened.incident).causes == [(Aspect.COMPLETENESS, "email")]
    change = book.accept(opened.incident)
    assert (change.status, change.reason, change.incident) == (Status.RESOLVED, Reason.ACCEPTED, opened.incident)
    assert change.explanation.startswith("Accepted as the new normal. It was: 21 % of orders.email is null")
    with pytest.raises(SensitivityError, match=r"expected the id of an open incident of orders \(open: none\)"):
        book.accept(opened.incident)


def test_a_reset_resolves_all():
    book = IncidentBook("orders")
    play(book, [(NULLS,), (), (), (NULLS, TYPES)])
    assert [(change.field, change.reason) for change in book.clear()] == [("email", Reason.RESET), ("age", Reason.RESET)]
    assert book.open == ()


def test_ids_depend_on_the_cause_and_the_window_only():
    (one,) = IncidentBook("orders").update(judgement(7, NULLS), WISH)
    (same,) = IncidentBook("orders", prefix="other").update(judgement(7, finding(days=1e12, observed=0.9)), WISH)
    (later,) = IncidentBook("orders").update(judgement(8, NULLS), WISH)
    assert (one.incident, one.id) == (same.incident, same.id) == ("6b799509-bb1c-532c-abc0-6083eb9d39a5", one.id)
    assert later.incident != one.incident


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_restored_book_has_the_same_future(cut):
    windows = [(NULLS,), (NULLS, TYPES), (), (finding(Aspect.VOLUME, None, metric="records"),), (NULLS,), (), (), (), (TYPES,)]
    whole = IncidentBook("orders")
    play(whole, windows[:cut])
    again = IncidentBook.restore(msgpack.unpackb(msgpack.packb(whole.snapshot())))
    for at, found in enumerate(windows[cut:], cut):
        one, other = ([cloud_event_json(change) for change in book.update(judgement(at, *found), WISH)] for book in (whole, again))
        assert one == other
    assert msgpack.packb(again.snapshot()) == msgpack.packb(whole.snapshot())


def test_what_is_no_snapshot_is_refused_kindly():
    with pytest.raises(FormatError, match="expected incidents of version 1, got 9"):
        IncidentBook.restore({"version": 9})
    with pytest.raises(FormatError, match="reset the topic"):
        IncidentBook.restore({"version": 1, "topic": "orders"})
