"""An alert in a few sentences: what, where, how much, what is usual, in which partitions, how sure, since when.

Names of fields, patterns of formats and counts only: never a value of a record. What a name may hide (control characters, text direction)
is escaped.

>>> finding = Finding(Aspect.COMPLETENESS, "email", "control_chart", "null", 0.21, (0.001, 0.004), 45.2, 0.21, (3,), ())
>>> explain("orders", [finding])
'21 % of orders.email is null; 0.1-0.4 % is usual. Only partition 3 is hit. On healthy data this happens about once in 45 days.'
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from stream_monitor.alerting.changes import Reason
from stream_monitor.alerting.phrases import Phrase, Unit, phrase_of
from stream_monitor.alerting.times import clock_time
from stream_monitor.alerting.wording import duration, how_often, listing, number, percent, printable, told_apart, usual
from stream_monitor.detection.verdict import Aspect, Finding

_ENDINGS = {
    Reason.QUIET: "Over; the data is back to usual.",
    Reason.ACCEPTED: "Accepted as the new normal.",
    Reason.RESET: "Closed, as the baseline was reset.",
}


def explain(topic: str, findings: Sequence[Finding], *, since_ms: int | None = None, windows: int = 1, reason: Reason | None = None) -> str:
    """The explanation of an incident from its ranked findings (at least one).

    Args:
        topic: the monitored topic.
        findings: of one window; the first is what the text is about, the others are named.
        since_ms: start of the incident's first window; None at the opening.
        windows: windows in which it was seen.
        reason: why it was resolved; None while it is open.
    """
    lead = findings[0]
    parts = [what(topic, lead), _partitions(lead), _others(findings)]
    if reason is None:
        parts.append(_sure(max(finding.return_period_days for finding in findings)))
    if since_ms is not None:
        seen = f"{windows} window{'s' if windows != 1 else ''}"
        parts.append(f"Seen in {seen} since {clock_time(since_ms)}.")
    if reason is not None:
        parts = [_ENDINGS[reason], f"It was: {parts[0]}", *parts[1:]]
    return " ".join(filter(None, parts))


def what(topic: str, finding: Finding) -> str:
    """The sentence on one finding: what is seen, where, how much, and what is usual."""
    phrase, name = phrase_of(finding.metric)
    observed, expected = _numbers(phrase, finding)
    clause = phrase.text.format(observed=observed, **_places(topic, finding, name))
    if phrase.unit is Unit.STATISTIC:
        label = phrase.label.format(metric=printable(finding.metric))
        clause += f" ({'; '.join(filter(None, [f'{label} {observed}', expected]))})"
        expected = ""
    sentence = "; ".join(filter(None, [clause, expected]))
    return (sentence if not sentence.startswith("the ") else f"T{sentence[1:]}") + "."


def _places(topic: str, finding: Finding, name: str) -> dict[str, str]:
    records = f"the records of {printable(topic)}"
    middle = (finding.expected[0] + finding.expected[1]) / 2
    up = not finding.observed < middle
    place = records if finding.field is None else f"{printable(topic)}.{printable(finding.field)}"
    return {
        "topic": printable(topic), "records": records, "place": place, "name": printable(name),
        "higher": "higher" if up else "lower", "more": "more" if up else "less",
    }


def _numbers(phrase: Phrase, finding: Finding) -> tuple[str, str]:
    """What is observed and what is usual, with units; nothing is said of a range that the number lies in: other numbers gave it away."""
    low, high = finding.expected
    if low <= finding.observed <= high:
        low, high = -math.inf, math.inf
    unit = phrase.unit
    if unit is Unit.RATIO:
        unit = Unit.SHARE if max(finding.observed, high if math.isfinite(high) else 0) <= 1 else Unit.NUMBER
    if unit is Unit.SHARE:
        observed, low_text, high_text = told_apart(finding.observed, (low, high), percent, 2)
        if low_text == high_text in {"0", "100"}:
            return f"{observed} %", "usually none" if high_text == "0" else "usually all"
        return f"{observed} %", usual(low, high, low_text, high_text, " %")
    write = duration if unit is Unit.MILLISECONDS else number
    observed, low_text, high_text = told_apart(finding.observed, (low, high), write, 3)
    return observed, usual(low, high, low_text, high_text)


def _partitions(finding: Finding) -> str:
    if not finding.partitions:
        return ""
    names = listing([str(partition) for partition in finding.partitions])
    return f"Only partition {names} is hit." if len(finding.partitions) == 1 else f"Only partitions {names} are hit."


def _others(findings: Sequence[Finding]) -> str:
    """The other causes, each once."""
    lead = (findings[0].aspect, findings[0].field)
    causes = dict.fromkeys((finding.aspect, finding.field) for finding in findings)
    names = [_cause(aspect, field) for aspect, field in causes if (aspect, field) != lead]
    return f"Also unusual: {listing(names, 3)}." if names else ""


def _cause(aspect: Aspect, field: str | None) -> str:
    return aspect.value if field is None else f"{printable(field)} ({aspect.value})"


def _sure(days: float) -> str:
    often = how_often(days)
    return f"On healthy data this {often} happens." if often.startswith("practically") else f"On healthy data this happens {often}."
