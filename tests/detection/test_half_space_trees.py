from itertools import pairwise

import numpy as np
import pytest
from river.anomaly import HalfSpaceTrees
from sklearn.metrics import roc_auc_score

from stream_monitor.detection.half_space_trees import RecordScorer, density_scores, node_masses, river_scores
from stream_monitor.profiling.half_space_trees import Forest

HEIGHT, TREES, WINDOW = 5, 4, 40


def river_trees(rows):
    trees = HalfSpaceTrees(n_trees=TREES, height=HEIGHT, window_size=WINDOW, seed=11)
    for row in rows:
        trees.learn_one(dict(enumerate(row)))
    return trees


def as_forest(trees):
    """The same splits in heap order, and river's own leaf masses."""
    inner, leaves = 2**HEIGHT - 1, 2**HEIGHT
    features, thresholds, masses = np.zeros((TREES, inner), np.int32), np.zeros((TREES, inner)), np.zeros((TREES, leaves))

    def copy(tree, node, place):
        if place >= inner:
            masses[tree, place - inner] = node.r_mass
            return
        features[tree, place], thresholds[tree, place] = node.feature, node.threshold
        for side, child in enumerate(node.children):
            copy(tree, child, 2 * place + 1 + side)

    for number, root in enumerate(trees.trees):
        copy(number, root, 0)
    return Forest(features, thresholds, HEIGHT), masses


@pytest.fixture(scope="module")
def twins():
    rows = np.random.default_rng(3).beta(2, 5, (WINDOW * 3, 3))
    trees = river_trees(rows.tolist())
    forest, masses = as_forest(trees)
    return trees, forest, masses, rows


def test_leaf_masses_of_a_window_are_rivers(twins):
    _, forest, masses, rows = twins
    leaves = forest.leaves(rows[-WINDOW:])
    counted = np.stack([np.bincount(column, minlength=2**HEIGHT) for column in leaves.T])
    assert (counted == masses).all()


def test_scores_by_mass_are_rivers_on_the_same_trees(twins):
    trees, forest, masses, _ = twins
    points = np.random.default_rng(4).random((200, 3))
    ours = river_scores(forest, masses, WINDOW, points)
    rivers = [trees.score_one(dict(enumerate(point))) for point in points.tolist()]
    assert np.abs(ours - rivers).max() < 1e-12
    assert len(set(rivers)) > 20  # they tell points apart


def test_a_node_holds_what_its_children_hold(twins):
    levels = node_masses(twins[2])
    assert [level.shape[1] for level in levels] == [2**k for k in range(HEIGHT + 1)]
    for above, below in pairwise(levels):
        assert (above == below[:, ::2] + below[:, 1::2]).all()


def test_masses_of_partitions_add_up(twins):
    _, forest, _, rows = twins
    counted = [np.stack([np.bincount(c, minlength=2**HEIGHT) for c in forest.leaves(part).T]) for part in (rows, rows[:50], rows[50:])]
    assert (counted[0] == counted[1] + counted[2]).all()


def test_thin_leaves_score_higher_than_dense_ones():
    scores = density_scores(np.array([[90.0, 0.0, 5.0, 5.0]]))[0]
    assert scores[1] > scores[2] == scores[3] > scores[0]


def test_trees_of_a_forest_differ_in_where_they_split():
    forest = Forest.draw(0, 1, margin=np.inf)
    assert np.unique(forest.thresholds[:, 0]).size == len(forest.thresholds)


def healthy(rng, n):
    return np.column_stack([rng.normal(0, 1, n), rng.lognormal(0, 2, n), rng.integers(0, 3, n), np.full(n, 7.0)])


def scored(scorer, X, size=250):
    return np.concatenate([scorer.score_batch(X[start : start + size]) for start in range(0, len(X), size)])


def planted(seed=0, n=3000):
    rng = np.random.default_rng(seed)
    X, odd = healthy(rng, n), rng.random(n) < 0.02
    X[odd, 0] += np.where(rng.random(odd.sum()) < 0.5, 8, -8)
    return X, odd


def test_planted_records_score_above_healthy_ones():
    X, odd = planted()
    assert roc_auc_score(odd[250:], scored(RecordScorer(), X)[250:]) > 0.94


def test_scores_depend_on_the_seed_and_the_past_alone():
    X, _ = planted(1, 2000)
    first, second, other = (scored(RecordScorer(seed), X) for seed in (0, 0, 1))
    assert (first == second).all()
    assert not (first == other).all()


def test_a_batch_is_scored_before_it_is_learned():
    X, _ = planted(2, 1500)
    blind, seeing = RecordScorer(), RecordScorer()
    scored(blind, X), scored(seeing, X)
    burst = np.full((250, 4), 60.0)
    alone = blind.score_batch(burst[:1])[0]
    assert (seeing.score_batch(burst) == alone).all()


def test_a_burst_is_not_learned_however_long_it_lasts():
    X, _ = planted(3, 2000)
    scorer = RecordScorer()
    scored(scorer, X)
    learned, burst = scorer.healthy, np.tile([25.0, 1.0, 1.0, 7.0], (250, 1)) + np.random.default_rng(0).normal(0, 0.1, (250, 4))
    first = scorer.score_batch(burst).mean()
    for _ in range(20):
        last = scorer.score_batch(burst).mean()
    assert last == first
    assert scorer.healthy == learned


def test_farther_out_is_more_anomalous_without_end():
    X, _ = planted(4, 1500)
    scorer = RecordScorer()
    scored(scorer, X)
    far = scorer.score_batch(np.array([[10.0**k, 1.0, 1.0, 7.0] for k in range(2, 140, 10)]))
    assert (np.diff(far) > 0).all()
    assert np.isfinite(far).all()


def test_what_is_not_finite_or_huge_or_constant_gives_finite_scores():
    scorer = RecordScorer()
    X = healthy(np.random.default_rng(5), 1000)
    X[::7, 0], X[::11, 1], X[::13, 2], X[3, 0] = np.nan, np.inf, -np.inf, 1e308
    X = np.column_stack([X, np.full(len(X), np.nan)])
    assert np.isfinite(scored(scorer, X)).all()
    assert scorer.score_batch(X[:0]).shape == (0,)
    assert np.isfinite(scorer.score_batch([[1e308, -1e308, 0, 0, 0]])).all()


def test_small_and_uneven_batches_do():
    X, odd = planted(6, 2000)
    scorer, rng, at, scores = RecordScorer(), np.random.default_rng(0), 0, []
    while at < len(X):
        size = int(rng.integers(1, 60))
        scores.append(scorer.score_batch(X[at : at + size]))
        at += size
    assert roc_auc_score(odd[300:], np.concatenate(scores)[300:]) > 0.95


@pytest.mark.parametrize("bad", [np.zeros(4), np.zeros((2, 3)), np.zeros((2, 0)), np.zeros((2, 2, 2))])
def test_records_of_another_shape_are_refused(bad):
    scorer = RecordScorer()
    scorer.score_batch(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="expected records of shape"):
        scorer.score_batch(bad)
