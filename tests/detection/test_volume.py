"""The forecast of how many records come: it learns the hour and the weekday, and faults teach it little."""

import copy
import math

import numpy as np
import pytest

from stream_monitor.detection.volume import DAY_MS, MONDAY_MS, WEEK_MS, VolumeForecast

HALF_HOUR_MS = 1_800_000


def usual(start_ms):
    """Three times as many by day as by night, half as many at the weekend."""
    place = (start_ms - MONDAY_MS) % WEEK_MS
    day, hour = place // DAY_MS, place % DAY_MS / 3_600_000
    return 1000 * math.exp(0.55 * math.sin((hour - 8) / 24 * 2 * math.pi)) * (0.5 if day >= 5 else 1.0)


def counts(start_day, days, seed=0):
    rng = np.random.default_rng(seed)
    starts = range(MONDAY_MS + start_day * DAY_MS, MONDAY_MS + (start_day + days) * DAY_MS, HALF_HOUR_MS)
    return [(start, float(rng.poisson(usual(start)))) for start in starts]


def taught(days=21):
    forecast = VolumeForecast(HALF_HOUR_MS)
    for start, records in counts(0, days):
        forecast.learn(start, records)
    return forecast


def relative_errors(forecast, coming):
    """|log(forecast / usual)| of windows as they come."""
    out = []
    for start, records in coming:
        out.append(abs(math.log(forecast.forecast(start) / usual(start))))
        forecast.learn(start, records)
    return np.array(out)


def test_three_weeks_teach_the_hour_and_the_weekday():
    errors = relative_errors(taught(), counts(21, 7, seed=1))
    assert np.median(errors) < 0.03
    assert np.quantile(errors, 0.99) < 0.12
    assert errors.max() < 0.25


def test_the_season_knows_a_weekend_night_from_a_weekday_noon():
    forecast = taught()
    forecast.last_ms = -1  # nothing said of the last window: season alone
    for day, hour in ((0, 14), (2, 2), (5, 14), (6, 3)):
        start = MONDAY_MS + (21 + day) * DAY_MS + hour * 3_600_000
        assert forecast.forecast(start) == pytest.approx(usual(start), rel=0.12)


def test_errors_are_of_the_size_that_chance_gives():
    forecast, errors = taught(), []
    for start, records in counts(21, 7, seed=2):
        errors.append(forecast.error(start, records))
        forecast.learn(start, records)
    assert 0.8 < np.std(errors) < 2.0  # 1 for a Poisson count and a perfect forecast


def test_a_fault_teaches_little():
    forecast = taught()
    hurt = copy.deepcopy(forecast)
    begin = MONDAY_MS + 21 * DAY_MS
    for step in range(6):  # three hours of silence
        hurt.learn(begin + step * HALF_HOUR_MS, 0.0)
    after = counts(22, 6, seed=3)
    clean, scarred = relative_errors(forecast, after), relative_errors(hurt, after)
    assert np.median(scarred) < np.median(clean) + 0.01
    again = begin + WEEK_MS
    assert hurt.forecast(again) == pytest.approx(forecast.forecast(again), rel=0.15)


def test_silence_goes_on_to_be_news_in_its_second_window():
    forecast = taught()
    begin = MONDAY_MS + 21 * DAY_MS + 12 * 3_600_000
    forecast.learn(begin - HALF_HOUR_MS, usual(begin - HALF_HOUR_MS))
    for step in range(3):
        start = begin + step * HALF_HOUR_MS
        assert forecast.error(start, 0.0) < -30
        forecast.learn(start, 0.0)


def test_a_restored_forecast_has_the_same_future_to_the_bit():
    forecast = taught(9)
    back = VolumeForecast.from_state(forecast.to_state())
    for start, records in counts(9, 2, seed=4):
        assert back.error(start, records) == forecast.error(start, records)
        back.learn(start, records), forecast.learn(start, records)
    assert back.to_state() == forecast.to_state()


def test_the_first_window_has_no_error():
    assert VolumeForecast(60_000).error(0, 100.0) == 0.0
