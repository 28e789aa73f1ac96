"""Team-draft interleaving in the service: the published lists and credits, the same for who asks again, and fair."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import seatrial as st
from seatrial import interleaving

LISTS = some.lists(some.integers(0, 6), unique=True, max_size=6)
PLAYED = {"champion": -1, "candidate": 1, None: 0}


def shown(champion: Any, candidate: Any, *, unit: str = "ann", query: str = "shoes", **more: Any) -> st.Interleaved:
    return st.interleave(champion, candidate, salt="r-1", unit=unit, query=query, **more)


def every_draft(champion: Any, candidate: Any, length: int) -> Iterator[st.Interleaved]:
    """All that interleaving can show, once for each way in which the coins can fall."""
    for coins in product([False, True], repeat=min(len(champion), len(candidate))):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(interleaving, "_coins", lambda *key, coins=coins: iter(coins))
            yield shown(champion, candidate, length=length)


def test_lists_and_teams_are_those_of_the_enumeration() -> None:
    """abc against adb, ``team_draft_abc_adb`` of the reference values: a is in either team, and shown first anyhow."""
    table = json.loads((Path(__file__).parent / "stats" / "oracles.json").read_text())
    expected = next(row["expected"] for row in table if row["id"] == "team_draft_abc_adb")
    drafts = [*every_draft("abc", "adb", 3)]
    lists = Counter("".join(map(str, draft.items)) for draft in drafts)
    assert {items: Fraction(n, len(drafts)) for items, n in lists.items()} == {
        items: Fraction(share) for items, share in expected["p_list"].items()
    }
    teams = Counter(played for draft in drafts for played in zip(draft.items, draft.teams, strict=True))
    for item, shares in expected["credit_A_B_per_doc"].items():
        found = [Fraction(teams[item, team], len(drafts)) for team in ("champion", "candidate")]
        assert found == [Fraction(share) for share in shares], item


@settings(max_examples=60, deadline=None)
@given(champion=LISTS, candidate=LISTS, length=some.integers(1, 9))
def test_who_clicks_at_random_prefers_nobody(champion: list[int], candidate: list[int], length: int) -> None:
    """At every rank, over all coins, whatever the lists are: neither teams nor credits favour one."""
    drafts = [*every_draft(champion, candidate, length)]
    for rank in range(length):
        there = [draft for draft in drafts if rank < len(draft.items)]
        assert sum(draft.credits[rank] for draft in there) == 0
        assert sum(PLAYED[draft.teams[rank]] for draft in there) == 0


@given(champion=LISTS, candidate=LISTS, unit=some.text(min_size=1), length=some.integers(1, 9))
def test_a_page_holds_the_best_of_both(champion: list[int], candidate: list[int], unit: str, length: int) -> None:
    page = shown(champion, candidate, unit=unit, length=length)
    every = {*champion, *candidate}
    assert len({*page.items}) == len(page.items) == min(length, len(every))
    assert {*page.items} <= every
    for item, team, credit in zip(page.items, page.teams, page.credits, strict=True):
        assert credit in (0, PLAYED[team])
        assert team is None or item in (champion if team == "champion" else candidate)
    assert page.items == shown(champion, candidate, unit=unit, length=9).items[:length]


@given(ranked=LISTS)
def test_a_click_on_what_both_rank_alike_says_nothing(ranked: list[int]) -> None:
    page = shown(ranked, ranked)
    assert (page.items, {*page.credits}) == (tuple(ranked), {0} if ranked else set())


def test_a_click_counts_where_the_rankers_differ() -> None:
    """The shared head says nothing; what one ranks next and the other does not is the contest."""
    page = shown(["top", "a", "b"], ["top", "x", "y"])
    credits = dict(zip(page.items, page.credits, strict=True))
    assert credits["top"] == 0
    assert all(credits.get(item, -1) == -1 for item in "ab")
    assert all(credits.get(item, 1) == 1 for item in "xy")
    assert len({*page.credits}) == 3


def test_the_same_user_sees_the_same_page() -> None:
    first, second = "abcdefgh", "hgfedcba"
    script = (
        "import seatrial as st\n"
        f"print(st.interleave({first!r}, {second!r}, salt='r-1', unit='ann', query='shoes').items)"
    )
    elsewhere = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert elsewhere.stdout.strip() == str(shown(first, second).items)
    others = [
        {shown(first, second, unit=f"u{n}").items for n in range(50)},
        {shown(first, second, query=f"q{n}").items for n in range(50)},
        {st.interleave(first, second, salt=f"s{n}", unit="ann", query="shoes").items for n in range(50)},
    ]
    assert all(len(pages) > 5 for pages in others)
    assert len({shown(first, second, unit=unit, query=query).items for unit, query in (("a", "bc"), ("ab", "c"))}) == 2


def test_coins_are_fair_beyond_the_first_hash() -> None:
    """Of 80 rounds, each begun by the champion for about half of 1,000 users."""
    rounds = interleaving.COINS + 16
    champion, candidate = [*range(rounds)], [*range(1_000, 1_000 + rounds)]
    pages = [shown(champion, candidate, unit=f"u{n}", length=2 * rounds) for n in range(1_000)]
    first = [sum(page.teams[2 * turn] == "champion" for page in pages) for turn in range(rounds)]
    assert all(400 < n < 600 for n in first)
    assert len({*zip(*(page.teams[::2] for page in pages), strict=True)}) == rounds  # no round repeats another's coins


@pytest.mark.parametrize(
    ("champion", "candidate", "items", "teams"),
    [
        ([], [], (), ()),
        ([], ["a", "b"], ("a", "b"), (None, None)),
        (["a", "b"], [], ("a", "b"), (None, None)),
    ],
)
def test_without_a_contest_nobody_plays(champion: Any, candidate: Any, items: Any, teams: Any) -> None:
    page = shown(champion, candidate)
    assert (page.items, page.teams, page.credits) == (items, teams, (0,) * len(items))


def test_a_longer_list_fills_up_without_credit() -> None:
    page = shown(["a"], ["x", "y", "z"])
    assert {*page.items[:2]} == {"a", "x"}
    assert (page.items[2:], page.teams[2:], page.credits[2:]) == (("y",), (None,), (0,))
    page = shown(["a"], ["a", "b", "c"])
    assert (page.items, page.teams[1:], page.credits) == (("a", "b", "c"), (None, None), (0, 0, 0))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: shown("aba", "abc"), "the champion's list holds 'a' twice"),
        (lambda: shown("abc", "bb"), "the candidate's list holds 'b' twice"),
        (lambda: shown("abc", "abd", unit=""), "needs a unit"),
        (lambda: shown("abc", "abd", length=0), "0 items cannot be shown"),
        (lambda: shown("abc", "abd").row(["z"]), "clicked, but not shown: 'z'"),
    ],
)
def test_what_cannot_be_is_refused(call: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        call()


def test_a_row_is_ready_for_a_log() -> None:
    page = shown(["a", "b", "c"], ["a", "d", "b"])
    row = page.row(iter(["b", "a", "b"]), time=datetime(2026, 3, 1, tzinfo=UTC))
    assert json.loads(json.dumps(row)) == row
    assert row == {
        "time": "2026-03-01T00:00:00+00:00", "unit": "ann", "query": "shoes", "salt": "r-1",
        "items": [*page.items], "teams": [*page.teams], "credits": [*page.credits],
        "clicks": [item for item in page.items if item in "ab"],
        "champion": ["a", "b", "c"], "candidate": ["a", "d", "b"],
    }  # fmt: skip
    assert page.row()["clicks"] == []


def test_a_service_needs_nothing_but_the_hash() -> None:
    script = "import sys; before = {*sys.modules}; import seatrial.interleaving; print(*{*sys.modules} - before)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    roots = {name.partition(".")[0] for name in loaded}
    assert roots - {*sys.stdlib_module_names} == {"seatrial", "xxhash"}
