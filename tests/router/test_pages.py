"""Two rankers inside the service: one page, sticky, and rows that the analysis credits."""

from __future__ import annotations

import pytest

from routerparts import of_arm
from seatrial import interleave
from seatrial.control.analyses.interleaving import Question, compare
from seatrial.engines.inputs import open_log
from seatrial.errors import Unavailable

LISTS = {"1": ["a", "b", "c", "d"], "2": ["a", "d", "x", "b"]}


def test_a_page_is_that_of_the_rollouts_coins_and_the_same_when_asked_again(directory, router):
    shown = router.interleave("ann", "shoes", LISTS, length=3)
    assert shown == interleave(LISTS["1"], LISTS["2"], salt="r-1", unit="ann", query="shoes", length=3)
    assert directory.router().interleave("ann", "shoes", LISTS, length=3) == shown
    assert {one for n in range(50) for one in router.interleave(f"u{n}", "shoes", LISTS).teams} > {"candidate"}


def test_rankers_are_called_with_the_query(router):
    rankers = {1: lambda query: [query, "b"], 2: lambda query: ["c", query]}
    assert set(router.interleave("ann", "shoes", rankers, length=4).items) == {"shoes", "b", "c"}


def test_outside_a_rollout_the_page_is_the_champions(directory, now):
    pages = [directory.router().interleave(None, "shoes", LISTS)]
    directory.put(canary_weight=0, mirrored=0, rollout=None, phase=None)
    pages.append(directory.router().interleave("ann", "shoes", LISTS))
    directory.put()
    directory.kill("champion", now)
    pages.append(directory.router().interleave("ann", "shoes", LISTS))
    assert {page.items for page in pages} == {tuple(LISTS["1"])}
    directory.kill("off", now)
    with pytest.raises(Unavailable, match="ST0794"):
        directory.router().interleave("ann", "shoes", LISTS)


@pytest.mark.parametrize("ranker", [lambda query: 1 / 0, lambda query: None, ["a", "a"], lambda query: []])
def test_a_ranker_that_fails_brings_nothing_to_the_page(router, ranker):
    assert router.interleave("ann", "shoes", {**LISTS, "2": ranker}).items == tuple(LISTS["1"])
    assert set(router.interleave("ann", "shoes", {**LISTS, "1": ranker}).items) == set(LISTS["2"])


def test_without_any_list_it_says_so(router):
    with pytest.raises(Unavailable, match="ST0796 no ranker of model 'fraud' gave a list for 'shoes'"):
        router.interleave("ann", "shoes", {"1": lambda query: 1 / 0})


def test_logged_pages_are_credited_by_the_analysis(directory, router):
    """Users who click what only the candidate brings, and as many pages without a click."""
    for n in range(200):
        page = router.interleave(f"u{n}", "shoes", LISTS, length=4)
        assert router.log_page(page, ["x"] if "x" in page.items else [])
        assert router.log_page(router.interleave(f"v{n}", "socks, red", LISTS, length=4))
    assert router.flush(60)
    found = compare(open_log(str(directory.state / "pages" / "fraud" / "*.csv")), Question())
    assert found.sums.rows == 400
    assert found.sums.changed == 0
    assert found.result == "candidate"
    assert found.alarms == []


def test_a_click_on_what_was_not_shown_is_refused(router):
    with pytest.raises(ValueError, match="clicked, but not shown"):
        router.log_page(router.interleave("ann", "shoes", LISTS), ["zebra"])


def test_nobody_without_a_unit_tosses_coins(directory, router):
    assert of_arm(router, "canary")
    assert router.interleave("", "shoes", LISTS).teams == (None,) * 4
