"""Each corruption does what it says, to as many messages as it is told, and is pure."""

import copy
from collections import Counter

import numpy as np
import orjson
import pytest

from stream_monitor.detection.verdict import Aspect
from stream_monitor.evaluation import corruptions
from stream_monitor.evaluation.catalogue import CITIES
from stream_monitor.evaluation.orders import OrderStream

WINDOW = OrderStream(seed=5).window(29_848_800)
EACH = pytest.mark.parametrize("corruption", corruptions.default_corruptions(), ids=lambda corruption: corruption.name)


def corrupted(corruption, fraction=0.25):
    return corruption.apply(WINDOW, fraction, np.random.default_rng(1))


def changed(after):
    return [(b, a) for b, a in zip(WINDOW, after, strict=True) if a != b]


def test_every_aspect_has_a_corruption_and_names_are_unique():
    known = corruptions.default_corruptions()
    assert {corruption.aspect for corruption in known} == set(Aspect)
    assert len({corruption.name for corruption in known}) == len(known) >= 17


@EACH
def test_it_changes_the_window_and_leaves_what_it_was_given(corruption):
    before = copy.deepcopy(WINDOW)
    assert corrupted(corruption) != WINDOW
    assert before == WINDOW


@EACH
def test_the_same_random_numbers_give_the_same_result(corruption):
    assert corrupted(corruption) == corrupted(corruption)


@EACH
def test_it_stands_an_empty_window_a_single_message_and_messages_that_are_bytes(corruption):
    assert corruption.apply([], 0.5, np.random.default_rng(1)) == []
    corruption.apply(WINDOW[:1], 0.5, np.random.default_rng(1))
    broken = corruptions.malformed().apply(WINDOW, 1.0, np.random.default_rng(1))
    corruption.apply(broken, 0.5, np.random.default_rng(1))


@EACH
def test_a_fraction_out_of_range_is_refused(corruption):
    with pytest.raises(ValueError, match="expected a fraction"):
        corruption.apply(WINDOW, 0.0, np.random.default_rng(1))


@pytest.mark.parametrize("corruption", [corruptions.nulls("email"), corruptions.missing("shipping.city"), corruptions.scaled("price")])
def test_as_many_messages_are_hit_as_asked(corruption):
    assert len(changed(corrupted(corruption))) == round(0.25 * len(WINDOW))


def test_null_missing_and_disguised_differ():
    field = "shipping.city"
    for corruption, there, value in (
        (corruptions.nulls(field), True, None), (corruptions.missing(field), False, None), (corruptions.disguised(field), True, "N/A"),
    ):  # fmt: skip
        assert all((after.has(field), after.get(field)) == (there, value) for _, after in changed(corrupted(corruption)))


def test_a_type_flip_keeps_the_digits():
    assert all(after.get("price") == str(before.get("price")) for before, after in changed(corrupted(corruptions.type_flip("price"))))


def test_dates_become_day_first():
    before, after = changed(corrupted(corruptions.date_format("created_at")))[0]
    year, month, day = before.get("created_at")[:10].split("-")
    assert after.get("created_at").startswith(f"{day}/{month}/{year} ")


def test_malformed_messages_are_no_json():
    for _, after in changed(corrupted(corruptions.malformed())):
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(after.encoded())


def test_a_renamed_field_keeps_its_value_and_its_place():
    for before, after in changed(corrupted(corruptions.renamed("shipping.city", "town"))):
        assert after.get("shipping.town") == before.get("shipping.city")
        assert not after.has("shipping.city")


def test_swapped_fields_hold_each_others_value():
    for before, after in changed(corrupted(corruptions.swapped("channel", "status"))):
        assert (after.get("channel"), after.get("status")) == (before.get("status"), before.get("channel"))


def test_a_shuffle_keeps_the_distribution_and_breaks_the_relation():
    after = corrupted(corruptions.shuffled("shipping.city"), 0.5)
    assert Counter(m.get("shipping.city") for m in after) == Counter(m.get("shipping.city") for m in WINDOW)
    country = {city.name: city.country for city in CITIES}
    assert sum(country[m.get("shipping.city")] != m.get("country") for m in after) > 0.2 * len(WINDOW)


def test_a_wrong_total_stays_near_the_right_one():
    for before, after in changed(corrupted(corruptions.wrong_product("total", "quantity", "price"))):
        assert 0.59 < after.get("total") / before.get("total") < 1.41


def test_frozen_fields_stand_still_for_a_run_in_each_partition():
    after = corrupted(corruptions.frozen("price"), 0.5)
    for partition in range(4):
        prices = [m.get("price") for m in after if m.partition == partition]
        longest = max(len([*run]) for _, run in __import__("itertools").groupby(prices))
        assert longest >= 0.45 * len(prices)


def test_a_replay_repeats_whole_records_and_is_not_late():
    after = corrupted(corruptions.replayed())
    ids = Counter(m.get("order_id") for m in after)
    assert sum(count == 2 for count in ids.values()) == round(0.25 * len(WINDOW))
    assert max(m.timestamp_ms for m in after) == max(m.timestamp_ms for m in WINDOW)


def test_near_duplicates_differ_from_an_order_in_one_field():
    after = corrupted(corruptions.near_duplicates("order_id"))
    rest = Counter(m.drop("order_id").encoded() for m in after)
    assert sum(count == 2 for count in rest.values()) == round(0.25 * len(WINDOW))


def test_volume_drops_and_surges():
    assert len(corrupted(corruptions.dropped())) == len(WINDOW) - round(0.25 * len(WINDOW))
    surge = corrupted(corruptions.surge(OrderStream(seed=5)), 1.0)
    assert len(surge) > 1.6 * len(WINDOW)
    assert len({m.get("order_id") for m in surge}) == len(surge)


def test_late_messages_are_older_than_the_window_and_disordered_ones_only_a_little():
    start = 29_848_800 * 60_000
    assert all(after.timestamp_ms < start - 100_000 for _, after in changed(corrupted(corruptions.late(180_000))))
    assert all(0 < before.timestamp_ms - after.timestamp_ms < 8_000 for before, after in changed(corrupted(corruptions.disordered(8_000))))


def test_an_unknown_name_is_refused_with_the_names_there_are():
    assert corruptions.named("replay").name == "replay"
    with pytest.raises(ValueError, match="volume_drop"):
        corruptions.named("nul")
