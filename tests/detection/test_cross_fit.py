import numpy as np
import pytest

from stream_monitor.detection.cross_fit import FOLDS, blocks, blocks_apart, cross_fit, trim
from stream_monitor.detection.readings import Layer, Readings, Table
from stream_monitor.detection.verdict import Aspect

N = 200


def history(windows, seed=0, faults=()):
    """A null rate that hardly ever happens, a level and an energy; faults have 30 % nulls."""
    rng = np.random.default_rng(seed)
    table = Table.empty()
    for number in range(windows):
        readings = Readings()
        nulls = rng.binomial(N, 0.3 if number in faults else 0.01)
        readings.rate(Aspect.COMPLETENESS, "a", "null", nulls, N, Layer.MISSING)
        readings.level(Aspect.INTEGRITY, "a", "mean", rng.normal(0, 1), N, Layer.VALUE, floor=0.01)
        readings.energy(Aspect.INTEGRITY, "a", "ks", rng.exponential(1), N, Layer.VALUE)
        table = table.below(Table.of(readings, number))
    return table


@pytest.mark.parametrize("windows", [0, 1, 3, 5, 7, 32, 151])
def test_blocks_are_contiguous_and_of_nearly_equal_size(windows):
    folds = blocks(windows)
    assert len(folds) == windows
    assert (np.diff(folds) >= 0).all()
    if windows:
        sizes = np.bincount(folds)
        assert len(sizes) == min(FOLDS, windows)
        assert sizes.max() - sizes.min() <= 1


def test_windows_that_teach_about_other_fields_are_cut_on_their_own():
    few, many = frozenset(), frozenset({"a"})
    folds = blocks_apart([many] * 45 + [few] * 8)
    assert (folds[:45] == blocks(45)).all()
    assert (folds[45:] == blocks(8)).all()
    assert (blocks_apart([few] * 32) == blocks(32)).all()
    assert blocks_apart([many, few]).tolist() == [0, 0]
    assert len(blocks_apart([])) == 0


def test_a_window_is_judged_without_its_block():
    table, windows = history(40), 40
    folds = blocks(windows)
    before = cross_fit(table, np.ones(windows, np.bool_), folds)
    table.first[folds == 2, 0] = 150  # its whole block goes bad: it can't excuse itself
    after = cross_fit(table, np.ones(windows, np.bool_), folds)
    assert (after[folds == 2, 0] > 20).all()
    assert (after[folds == 2, 1:] == before[folds == 2, 1:]).all()


@pytest.mark.parametrize("faults", [{11}, {11, 12}, {11, 77}, {11, 40, 77}, {11, 12, 40, 77}])
def test_trimming_drops_planted_faults_and_hardly_anything_else(faults):
    _, healthy = trim(history(100, faults=faults), blocks(100))
    dropped = set(np.flatnonzero(~healthy).tolist())
    assert faults <= dropped
    assert len(dropped - faults) <= 1


def test_trimming_a_healthy_history_drops_hardly_anything():
    dropped = [int((~trim(history(80, seed), blocks(80))[1]).sum()) for seed in range(10)]
    assert sum(dropped) <= 2


def test_faults_are_judged_by_limits_learned_without_them():
    faults = set(range(30, 38))
    surprise, healthy = trim(history(100, faults=faults), blocks(100))
    assert not healthy[list(faults)].any()
    assert (surprise[list(faults), 0] > 15).all()


def test_what_a_field_does_often_is_a_habit_and_teaches():
    habits = set(range(4, 100, 8))
    _, healthy = trim(history(100, faults=habits), blocks(100))
    assert (~healthy).sum() <= 1


def test_trimming_never_drops_more_than_a_fifth_a_round():
    table = history(50)
    table.first[:, 1] = np.where(np.arange(50) % 2, 1e6, -1e6) * np.linspace(1, 50, 50)  # no window is like another
    _, healthy = trim(table, blocks(50))
    assert healthy.sum() >= 50 - 3 * 10


def test_a_history_of_no_or_one_window_can_be_judged():
    for windows in (1, 2, 3):
        surprise, healthy = trim(history(windows), blocks(windows))
        assert np.isfinite(surprise).all()
        assert healthy.all()
