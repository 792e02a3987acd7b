import numpy as np

from stream_monitor.profiling.half_space_trees import Forest


def test_a_forest_depends_on_its_seed_alone():
    one, same, other = Forest.draw(3, 5), Forest.draw(3, 5), Forest.draw(4, 5)
    assert (one.features == same.features).all()
    assert (one.thresholds == same.thresholds).all()
    assert not (one.features == other.features).all()


def test_every_node_halves_its_box():
    forest = Forest.draw(1, 3, trees=4, depth=5)
    for tree in range(4):
        low, high = {0: np.full(3, -0.05)}, {0: np.full(3, 1.05)}
        for node in range(15):  # inner nodes with inner children
            q, at = forest.features[tree, node], forest.thresholds[tree, node]
            assert low[node][q] < at < high[node][q]
            low[2 * node + 1], high[2 * node + 1] = low[node].copy(), high[node].copy()
            low[2 * node + 2], high[2 * node + 2] = low[node].copy(), high[node].copy()
            high[2 * node + 1][q] = low[2 * node + 2][q] = at


def test_points_fall_as_a_walk_from_the_root_says():
    forest = Forest.draw(2, 4, trees=3, depth=4)
    points = np.random.default_rng(0).random((50, 4))
    leaves = forest.leaves(points)
    for row, point in enumerate(points):
        for tree in range(3):
            node = 0
            for _ in range(4):
                node = 2 * node + (1 if point[forest.features[tree, node]] < forest.thresholds[tree, node] else 2)
            assert leaves[row, tree] == node - 15


def test_no_point_depends_on_its_batch():
    forest, points = Forest.draw(0, 3), np.random.default_rng(1).random((100, 3))
    assert (np.vstack([forest.leaves(point[None]) for point in points]) == forest.leaves(points)).all()


def test_a_forest_over_nothing_and_points_beyond_the_cube_do():
    assert Forest.draw(0, 0).leaves(np.zeros((2, 1))).shape == (2, 25)
    leaves = Forest.draw(0, 2).leaves(np.array([[np.nan, np.inf], [-np.inf, 1e308], [0.5, 0.5]]))
    assert ((leaves >= 0) & (leaves < 256)).all()
    assert Forest.draw(0, 2).leaves(np.zeros((0, 2))).shape == (0, 25)
