import math

import numpy as np
import pytest

from seatrial.charts.save import to_svg
from seatrial.charts.scatter import scatter_chart
from seatrial.evidence.scores import SCORE_BINS, score_bins
from seatrial.stats.ranking import spearman_from_grid


def grid_of(champion, shadow):
    grid = np.zeros((SCORE_BINS, SCORE_BINS), dtype=np.int64)
    np.add.at(grid, (score_bins(champion), score_bins(shadow)), 1)
    return grid


def test_a_score_lies_in_its_cell(drawn):
    ((_, (cell,)),) = drawn(scatter_chart(grid_of([0.2], [0.7])), "rect")
    assert cell["champion"] <= math.log(0.2 / 0.8) < cell["champion_end"]
    assert cell["shadow"] <= math.log(0.7 / 0.3) < cell["shadow_end"]
    assert cell["pairs"] == 1


@pytest.mark.parametrize("spread", [0.3, 4.0])
def test_no_pair_is_lost_and_both_axes_are_the_same(spread, drawn):
    rng = np.random.default_rng(3)
    z = rng.normal(-1, spread, size=(2, 5000))
    grid = grid_of(*(1 / (1 + np.exp(-z))))
    ((layer, cells),) = drawn(scatter_chart(grid), "rect")
    assert sum(cell["pairs"] for cell in cells) == 5000
    encoding = layer["encoding"]
    assert encoding["x"]["scale"]["domain"] == encoding["y"]["scale"]["domain"]
    assert len({cell["champion"] for cell in cells}) <= 64


def test_rank_correlation_is_in_the_subtitle():
    rng = np.random.default_rng(3)
    z = rng.normal(-1, 1, 2000)
    close, apart = z + rng.normal(0, 0.2, 2000), rng.normal(-1, 1, 2000)
    for other in (close, apart):
        grid = grid_of(1 / (1 + np.exp(-z)), 1 / (1 + np.exp(-other)))
        svg = to_svg(scatter_chart(grid, unmatched=7))
        assert f"{spearman_from_grid(grid):.3f}" in svg
        assert "agreement, not quality" in svg
        assert "2,000 requests, 7 without one answer" in svg
    assert "undefined" in to_svg(scatter_chart(grid_of([0.5], [0.5])))


def test_scores_at_the_ends_of_the_scale_are_drawn():
    assert to_svg(scatter_chart(grid_of([0.0, 1.0, 0.0], [1.0, 0.0, 0.0]))).startswith("<svg")


def test_empty_and_misshapen_grids():
    assert scatter_chart(np.zeros((128, 128))) is None
    with pytest.raises(ValueError, match="128"):
        scatter_chart(np.ones((3, 3)))
