"""How each metric is put in words: one phrase a metric name, one a family where names have parameters (`pattern:<mask>`).

Placeholders: {place} the topic and field, {observed} the number with its unit, {records} "the records of <topic>", {name} what follows
the colon of a metric's name, {higher}, {more} the direction against what is usual. Numbers are in the units of `detection.units`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Unit(Enum):
    """What kind of number a metric is."""

    SHARE = "a fraction, shown in percent"
    NUMBER = "a number in the unit of the data, or a count"
    MILLISECONDS = "a duration"
    RATIO = "a fraction up to 1, a count above"
    STATISTIC = "a number that means little to people: shown in parentheses"


@dataclass(frozen=True, slots=True)
class Phrase:
    """A clause and the unit of its number. `label` names the statistic in parentheses."""

    text: str
    unit: Unit = Unit.SHARE
    label: str = ""


def _share(clause: str) -> Phrase:
    return Phrase("{observed} of {place} " + clause)


def _statistic(clause: str, label: str) -> Phrase:
    return Phrase(clause, Unit.STATISTIC, label)


_CONFORMITY = {
    "parse_error": Phrase("{observed} of {place} can't be parsed"),
    "type_bool": _share("is a boolean"),
    "type_int": _share("is an integer"),
    "type_float": _share("is a decimal number"),
    "type_string": _share("is a string"),
    "type_object": _share("is an object"),
    "type_array": _share("is an array"),
    "padded": _share("has white space at an end"),
    "non_ascii": _share("has characters outside ASCII"),
    "new_pattern": _share("has a format never seen before"),
    "pattern": _share("has the format {name}"),
    "length_mean": Phrase("The mean length of {place} is {observed} bytes", Unit.NUMBER),
    "length_spread": Phrase("The lengths of {place} spread by {observed} bytes", Unit.NUMBER),
    "unknown_field": Phrase("{observed} of {records} have {place}, a field never seen before"),
    "duplicate_keys": Phrase("{observed} of {place} name a key twice in one object"),
}
_COMPLETENESS = {
    "null": _share("is null"),
    "absent": Phrase("{observed} of {records} lack {place}"),
    "empty": _share("is empty"),
    "disguised": _share("stands for null, such as N/A or -1"),
    "repeated_new_value": _share("is one and the same new value, as if it stood for null"),
}
_UNIQUENESS = {
    "duplicate_rows": Phrase("{observed} of {records} are exact copies of others"),
    "duplicate_rows_but_one": Phrase("{observed} of {records} are copies of others in all but {place}"),
    "duplicate_record_keys": Phrase("{observed} of {records} repeat the Kafka key of another"),
    "repeated_values": _share("repeats another value of the window"),
    "distinct": Phrase("{observed} of {place} is distinct", Unit.RATIO),
    "singles": Phrase("{observed} of {place} occurs only once", Unit.RATIO),
    "adjacent_equal": _share("equals the value just before it"),
    "longest_run": Phrase("{place} keeps one value for {observed} records in a row", Unit.NUMBER),
}
_INTEGRITY = {
    "unseen_value": _share("is a value never seen before"),
    "below_range": _share("lies below all that was seen before"),
    "above_range": _share("lies above all that was seen before"),
    "low_tail": _share("lies in the low tail"),
    "high_tail": _share("lies in the high tail"),
    "mean": Phrase("The mean of {place} is {observed}", Unit.NUMBER),
    "spread": Phrase("The spread of {place} is {observed}", Unit.NUMBER),
    "rank_mean": _statistic("The values of {place} are {higher} than usual", "mean rank"),
    "rank_spread": _statistic("The values of {place} are {more} spread out than usual", "spread of ranks"),
    "rank_kurtosis": _statistic("{place} has {more} extreme values than usual", "kurtosis of ranks"),
    "ks": _statistic("The values of {place} are distributed unlike before", "Kolmogorov-Smirnov distance"),
    "categories_g": _statistic("The values of {place} are mixed unlike before", "G statistic"),
    "categories_jsd": _statistic("The values of {place} are mixed unlike before", "Jensen-Shannon divergence"),
    "category_peak": _statistic("One value or range of values of {place} is far from its usual share", "score"),
    "value_scan": _statistic("Values of {place} pile up where they usually don't", "score"),
}
_COHERENCE = {
    "pair_rare": Phrase("{observed} of {records} pair {place} with {name} as was hardly ever seen"),
    "pair": _statistic("{place} and {name} no longer go together as they did", "score"),
    "joint_bad": _share("does not fit the other fields"),
    "joint_low": _share("hardly fits the other fields"),
    "joint": _statistic("{place} no longer fits the other fields as it did", "score"),
    "residual_big": _share("is far from what the other fields say"),
    "residual": _statistic("{place} no longer follows from the other fields as it did", "residual"),
    "correlation": Phrase("The correlation of {place} with {name} is {observed}", Unit.NUMBER),
    "descending": _share("is lower than the value before it"),
    "trees_tail": Phrase("{observed} of {place} are of a kind hardly ever seen"),
    "trees_low": Phrase("{observed} of {place} are of a kind seldom seen"),
    "trees": _statistic("Taken whole, {place} look unlike before", "half-space trees"),
    "principal": _statistic("The fields of {topic} no longer vary together as they did", "principal components"),
    "autoencoder": _statistic("The fields of {topic} no longer vary together as they did", "reconstruction error"),
}
_FLOW = {
    "records": Phrase("{topic} got {observed} records in the window", Unit.NUMBER),
    "late": Phrase("{observed} of {records} came after their window was closed"),
    "future": Phrase("{observed} of {records} are dated in the future"),
    "disordered": Phrase("{observed} of {records} are older than one that came before them"),
    "delay": Phrase("{place} come {observed} after the event", Unit.MILLISECONDS),
}
PHRASES: dict[str, Phrase] = {**_CONFORMITY, **_COMPLETENESS, **_UNIQUENESS, **_INTEGRITY, **_COHERENCE, **_FLOW}
GENERIC = _statistic("{place} is unlike before", "{metric}")


def phrase_of(metric: str) -> tuple[Phrase, str]:
    """The phrase of a metric's name, and the parameter after its colon ("" if there is none).

    An unknown name takes the phrase of its longest known beginning (`residual_big_log`: `residual_big`; `null_rate`: `null`), or a
    generic one.
    """
    family, _, name = metric.partition(":")
    parts = family.split("_")
    for length in range(len(parts), 0, -1):
        known = PHRASES.get("_".join(parts[:length]))
        if known and (name or "{name}" not in known.text):
            return known, name
    return GENERIC, name
