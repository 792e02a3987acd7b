import pytest

from stream_monitor.alerting.severity import Severity, alerts_a_day, severity_of, threshold_days
from stream_monitor.detection.verdict import Aspect
from tests.alerting.kit import MINUTE, Wish, finding

DAY = 1440 * MINUTE


def test_an_aspect_alerts_at_its_share_of_the_budget_but_never_below_100_windows():
    assert threshold_days(Aspect.INTEGRITY, MINUTE, Wish(alerts_per_day=2)) == pytest.approx(3.5)
    assert threshold_days(Aspect.INTEGRITY, MINUTE, Wish(alerts_per_day=2, weights={"integrity": 4})) == pytest.approx(1.25)
    assert threshold_days(Aspect.INTEGRITY, DAY, Wish(alerts_per_day=2)) == pytest.approx(100)
    assert threshold_days(Aspect.INTEGRITY, MINUTE, Wish(weights={"integrity": 0})) == float("inf")


def test_the_budget_is_spent_in_full_unless_windows_are_long():
    assert alerts_a_day(MINUTE, Wish(alerts_per_day=2, weights={"volume": 0, "coherence": 3})) == pytest.approx(2)
    assert alerts_a_day(DAY, Wish(alerts_per_day=2)) == pytest.approx(0.07)


@pytest.mark.parametrize(("found", "expected"), [
    ([finding(days=7)], Severity.WARNING),
    ([finding(days=209)], Severity.WARNING),
    ([finding(days=211)], Severity.CRITICAL),
    ([finding(days=7, share=0.5)], Severity.CRITICAL),
    ([finding(Aspect.VOLUME, None, days=1e12, share=1.0)], Severity.INFO),
    ([finding(Aspect.VOLUME, None, days=1e12), finding(Aspect.TIMELINESS, None)], Severity.INFO),
    ([finding(Aspect.VOLUME, None, days=1e12), finding(days=8)], Severity.WARNING),
])
def test_severity(found, expected):
    assert severity_of(found, MINUTE, Wish()) is expected
