import math

import pytest

from stream_monitor.alerting.changes import Reason
from stream_monitor.alerting.explanation import explain, what
from stream_monitor.alerting.phrases import GENERIC, PHRASES, phrase_of
from stream_monitor.detection.verdict import Aspect
from tests.alerting.kit import START, finding

NAMES = """
parse_error type_bool type_int type_float type_string type_object type_array padded non_ascii new_pattern pattern:Aaa-999 length_mean
unknown_field null absent empty disguised repeated_new_value duplicate_rows duplicate_rows_but_one repeated_values distinct singles
adjacent_equal longest_run unseen_value below_range above_range low_tail high_tail mean spread rank_mean rank_spread rank_kurtosis ks
categories_g categories_jsd category_peak value_scan pair_rare:country pair_llr:country pair_pmi:country joint_bad joint_low joint_llr
joint_mean residual_raw residual_log residual_rank residual_big_raw residual_big_log residual_big_rank correlation:amount descending
trees_tail trees_low trees_chi trees_mean trees_divergence length_spread duplicate_keys principal records late future disordered delay
"""


@pytest.mark.parametrize("metric", NAMES.split())
@pytest.mark.parametrize("field", ["email", None])
def test_every_metric_has_a_phrase_of_its_own(metric, field):
    assert phrase_of(metric)[0] is not GENERIC
    sentence = what("orders", finding(name=field, metric=metric))
    assert "orders" in sentence
    assert sentence.endswith(".")
    assert "{" not in sentence


@pytest.mark.parametrize(("found", "sentence"), [
    (finding(expected=(0.0, 0.0)), "21 % of orders.email is null; usually none."),
    (finding(observed=0.9971, expected=(1.0, 1.0), metric="type_int"), "99.7 % of orders.email is an integer; usually all."),
    (finding(observed=0.0031, expected=(0.0, 0.0012)), "0.31 % of orders.email is null; up to 0.12 % is usual."),
    (finding(observed=0.211, expected=(0.18, 0.208)), "21.1 % of orders.email is null; 18-20.8 % is usual."),
    (finding(observed=0.5, expected=(-math.inf, math.inf)), "50 % of orders.email is null."),
    (finding(observed=1.0, expected=(1.0, 1.0), metric="distinct"), "100 % of orders.email is distinct."),
    (finding(name=None, metric="parse_error", observed=0.02, expected=(0, 0)),
     "2 % of the records of orders can't be parsed; usually none."),
    (finding(name="zip", metric="absent", observed=1.0, expected=(0, 0.1)),
     "100 % of the records of orders lack orders.zip; up to 10 % is usual."),
    (finding(metric="pattern:AA-99", expected=(0.9, 1.0)), "21 % of orders.email has the format AA-99; 90-100 % is usual."),
    (finding(name="price", metric="mean", observed=12.345, expected=(-0.1, 0.1)),
     "The mean of orders.price is 12.3; -0.1 to 0.1 is usual."),
    (finding(name="price", metric="spread", observed=4.21, expected=(0.9, 1.1)),
     "The spread of orders.price is 4.21; 0.9-1.1 is usual."),
    (finding(name="price", metric="ks", observed=0.31, expected=(0.0, 0.042)),
     "The values of orders.price are distributed unlike before (Kolmogorov-Smirnov distance 0.31; up to 0.042 is usual)."),
    (finding(name="price", metric="rank_mean", observed=0.2, expected=(0.4, 0.6)),
     "The values of orders.price are lower than usual (mean rank 0.2; 0.4-0.6 is usual)."),
    (finding(Aspect.COHERENCE, "city", metric="pair_rare:country", observed=0.08, expected=(0, 0.001)),
     "8 % of the records of orders pair orders.city with country as was hardly ever seen; up to 0.1 % is usual."),
    (finding(Aspect.VOLUME, None, metric="records", observed=120, expected=(900, 1100)),
     "orders got 120 records in the window; 900-1,100 is usual."),
    (finding(Aspect.TIMELINESS, None, metric="delay", observed=95_000, expected=(100, 2_500)),
     "The records of orders come 1.58 min after the event; 100 ms to 2.5 s is usual."),
    (finding(metric="null_rate", expected=(0, 0)), "21 % of orders.email is null; usually none."),
    (finding(metric="brightness", expected=(0, 0.1)), "orders.email is unlike before (brightness 0.21; up to 0.1 is usual)."),
    (finding(observed=math.nan, expected=(math.nan, math.nan), metric="brightness"), "orders.email is unlike before (brightness unknown)."),
])
def test_what_was_seen_is_said_with_sensible_digits(found, sentence):
    assert what("orders", found) == sentence


def test_an_explanation_tells_where_how_sure_and_what_else():
    causes = [(Aspect.CONFORMITY, "age"), (Aspect.VOLUME, None), (Aspect.INTEGRITY, "a"), (Aspect.INTEGRITY, "b")]
    others = [finding(*cause) for cause in causes]
    assert explain("orders", [finding(partitions=(1, 3)), *others, finding()]) == (
        "21 % of orders.email is null; 0.1-0.4 % is usual. Only partitions 1 and 3 are hit. "
        "Also unusual: age (conformity), volume, a (integrity) and 1 more. On healthy data this happens about once in 45 days."
    )


def test_it_is_as_sure_as_its_surest_aspect():
    assert explain("orders", [finding(days=0.1), finding(Aspect.VOLUME, None, days=60)]).endswith("happens about once in 60 days.")


def test_later_events_tell_since_when_and_how_it_ended():
    assert explain("orders", [finding(days=1e12)], since_ms=START, windows=11).endswith(
        "On healthy data this practically never happens. Seen in 11 windows since 2026-11-22 14:04 UTC.")
    assert explain("orders", [finding()], since_ms=START, windows=1, reason=Reason.QUIET) == (
        "Over; the data is back to usual. It was: 21 % of orders.email is null; 0.1-0.4 % is usual. "
        "Seen in 1 window since 2026-11-22 14:04 UTC.")


def test_names_can_not_drive_a_terminal_nor_fill_it():
    text = explain("orders", [finding(name="a\x1b[2J\n\u202e{0}" + "x" * 5000)])
    assert text.isprintable()
    assert r"orders.a\x1b[2J\n\u202e{0}xxx" in text
    assert len(text) < 400


def test_phrases_use_known_placeholders_only():
    for phrase in PHRASES.values():
        phrase.text.format(observed="", place="", records="", topic="", name="", higher="", more="")
