"""Approvals: who is who, who fills which place, and what a signature is worth, whatever happened since."""

from __future__ import annotations

import itertools
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.governance.approvals.acts import Act, Request, Reviewed
from seatrial.governance.approvals.emergency import overdue, unreviewed
from seatrial.governance.approvals.identity import Identities, normalised
from seatrial.governance.approvals.judge import Standing, judge
from seatrial.governance.approvals.policy import NOBODY, ApprovalPolicy, Emergency, Level
from seatrial.governance.approvals.seats import seats
from seatrial.ids import Digest
from seatrial.registry.people import Role
from seatrial.values import Duration

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SEEN = Reviewed(Digest("sha256:1"), {"ci": Digest("sha256:c"), "plan": Digest("sha256:p")})
CHANGED = Reviewed(Digest("sha256:2"), {"ci": Digest("sha256:d"), "plan": Digest("sha256:p")})
POLICY = ApprovalPolicy(
    people={"ann": ("a.lee@example.com",), "bob": ()},
    roles={"risk": ("ann", "bob"), "clinical": ("cleo",)},
    teams={"credit": ("carl",)},
)
TWO = Level(count=2)
REQUEST = Request(
    id="a-0001", kind="release", model="credit", version=3, subject="sha256:p", requested_by="olga", requested_at=NOW,
    authors=("mia", "olga"),
)  # fmt: skip


def acts(*given: dict[str, Any]) -> tuple[Act, ...]:
    plain = {"kind": "sign", "at": NOW, "role": Role.APPROVER, "reviewed": SEEN}
    made = []
    for n, one in enumerate(given, start=1):
        whole = {**plain, "seq": n, **one}
        whole.setdefault("meaning", "approval" if whole["kind"] == "sign" else None)
        made.append(Act(**whole))
    return tuple(made)


def stand(*given: dict[str, Any], wanted: Level = TWO, now: datetime = NOW, **more: Any) -> Standing:
    evidence = more.pop("evidence", SEEN)
    return judge(REQUEST, acts(*given), wanted, evidence, more.pop("policy", POLICY), now, **more)


# ── who is who ─────────────────────────────────────────────────────────────────────────────────────────────────────

SPELLINGS = [
    str.upper,
    str.title,
    lambda name: f"  {name}\t",
    lambda name: name.replace("@", "+ci@") if "@" in name else name + "+ci",
    lambda name: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in name),  # full width
    lambda name: "\u200b".join(name),
    lambda name: unicodedata.normalize("NFD", name),
]


@given(st.from_regex(r"[a-z][a-z0-9._-]{0,12}(@[a-z]{1,8}\.com)?", fullmatch=True), st.permutations(SPELLINGS))
def test_one_person_is_one_however_the_name_is_spelled(name: str, spellings: list[Any]) -> None:
    spelled = name
    for spell in spellings:
        assert normalised(spell(name)) == normalised(name)
        spelled = spell(spelled)
    assert normalised(spelled) == normalised(name) == normalised(normalised(spelled))


@pytest.mark.parametrize(("one", "other"), [("ann", "anna"), ("ann@a.com", "ann@b.com"), ("+ann", "+bob"), ("a", "")])
def test_other_people_stay_other_people(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


def test_declared_names_are_one_person_and_no_name_is_two_people() -> None:
    people = Identities({"ann": ("A.Lee@Example.com", "ann-work"), "bob": ()})
    assert people.who("a.lee+x@example.com") == people.who("ANN-work") == people.who("ann") == "ann"
    assert not people.same("ann-work", "bob")
    with pytest.raises(ValueError, match="'x' stands for 'ann' and for 'bob'"):
        Identities({"ann": ("X",), "bob": ("x",)})


# ── who fills which place ──────────────────────────────────────────────────────────────────────────────────────────

ROLES = ("risk", "clinical")


@given(
    st.lists(st.sampled_from(ROLES), max_size=3),
    st.integers(0, 4),
    st.dictionaries(st.sampled_from("abcde"), st.frozensets(st.sampled_from(ROLES))),
)
def test_as_many_places_are_filled_as_can_be(roles: list[str], count: int, people: dict[str, frozenset[str]]) -> None:
    """Against all assignments there are."""
    found = seats(Level(count=count, roles=tuple(roles)), people)
    asked = [seat.role for seat in found]
    assert asked == [*roles, *[""] * (max(count, len(roles)) - len(roles))]
    by = [seat.by for seat in found if seat.by is not None]
    assert len(by) == len(set(by)), "nobody fills two"
    assert all(not seat.role or seat.role in people[seat.by] for seat in found if seat.by is not None)
    most = max(
        sum(not role or role in people[who] for role, who in zip(some, order, strict=True))
        for size in range(len(asked) + 1)
        for some in itertools.combinations(asked, size)
        for order in itertools.permutations(people, size)
    ) if people else 0  # fmt: skip
    assert len(by) == most


def test_the_stricter_level_asks_for_everything_that_either_asks_for() -> None:
    one, other = Level(count=3, within=Duration(60.0)), Level(roles=("risk", "risk"), within=Duration(30.0))
    assert one.stricter(other) == Level(count=3, roles=("risk", "risk"), within=Duration(30.0))
    assert NOBODY.stricter(NOBODY).people == 0


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"least": Level(roles=("risk",))}, "held by nobody"),
        ({"least": Level(roles=("risk", "risk")), "roles": {"risk": ("ann", "ANN")}}, "2 times, and held by 1"),
        ({"roles": {"admin": ("ann",)}}, "role of access"),
        ({"emergency": Emergency(roles=("oncall",))}, "held by nobody"),
        ({"expires": Duration(0.0)}, "not empty"),
        ({"people": {"ann": ("x",), "bob": ("x",)}}, "stands for"),
    ],
)  # fmt: skip
def test_a_policy_that_nobody_could_meet_is_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ApprovalPolicy(**settings)


# ── what a signature is worth ──────────────────────────────────────────────────────────────────────────────────────


def test_n_of_m_people() -> None:
    assert stand().missing == ("2 approvals of anybody who may approve",)
    assert stand({"by": "ann"}).missing == ("1 approval of anybody who may approve",)
    assert stand({"by": "ann"}, {"by": "A.Lee+x@example.com"}).status == "waiting", "one person, two names"
    both = stand({"by": "ann"}, {"by": "bob"})
    assert (both.status, both.missing, both.open) == ("approved", (), True)
    assert stand(wanted=NOBODY).open


def test_functions_are_filled_by_different_people() -> None:
    wanted = Level(roles=("clinical", "risk"))
    assert stand({"by": "ann"}, {"by": "bob"}, wanted=wanted).missing == ("1 approval of role clinical",)
    assert stand({"by": "ann"}, {"by": "CLEO"}, wanted=wanted).open


@pytest.mark.parametrize("name", ["mia", "MIA", "mia+2", "ｏｌｇａ"])
def test_an_author_approves_nothing_and_signs_as_author(name: str) -> None:
    found = stand({"by": "ann"}, {"by": name})
    assert (found.status, found.signed[1].holds) == ("waiting", "their own")
    assert "of their own change" in found.missing[1]
    assert stand({"by": name, "meaning": "author"}).signed[0].holds == "holds"


def test_who_belongs_to_the_owner_is_not_independent() -> None:
    found = stand({"by": "carl"}, {"by": "ann"}, owner="credit")
    assert (found.status, found.signed[0].holds) == ("waiting", "not independent")
    assert stand({"by": "carl"}, {"by": "ann"}, owner="fraud").open


def test_a_review_is_on_the_record_and_releases_nothing() -> None:
    assert stand({"by": "ann", "meaning": "review"}, {"by": "bob"}).status == "waiting"
    assert stand({"by": "ann", "meaning": "responsibility"}, {"by": "bob"}).open


def test_a_signature_is_void_when_the_evidence_changes_and_says_which_part() -> None:
    found = stand({"by": "ann"}, {"by": "bob", "reviewed": CHANGED}, evidence=CHANGED)
    assert [(one.holds, one.changed) for one in found.signed] == [("void", ("ci",)), ("holds", ())]
    assert "ann's approval is void: what CI found changed since" in found.missing
    again = stand({"by": "ann"}, {"by": "bob", "reviewed": CHANGED}, {"by": "ann", "reviewed": CHANGED},
                  evidence=CHANGED)  # fmt: skip
    assert again.open
    assert again.missing == ()


def test_a_signature_runs_out_unless_the_release_began_before() -> None:
    end = NOW + POLICY.expires.delta
    given = ({"by": "ann"}, {"by": "bob"})
    assert stand(*given, now=end - timedelta(microseconds=1)).open
    late = stand(*given, now=end)
    assert late.status == "waiting"
    assert "ann's approval of 2026-03-01 has expired" in late.missing
    assert stand(*given, now=end + DAY, since=NOW + DAY).open


def test_a_rejection_holds_until_it_is_taken_back_or_about_something_else() -> None:
    given = ({"by": "ann"}, {"by": "bob"}, {"by": "cleo", "kind": "reject", "reason": "no holdout"})
    found = stand(*given)
    assert (found.status, found.open, found.missing) == ("rejected", False, ("rejected by cleo: no holdout",))
    assert stand(*given, {"by": "cleo", "kind": "withdraw", "of": 3}).open
    assert stand(*given, evidence=CHANGED).status == "waiting"
    glass = {"by": "ed", "kind": "break_glass", "until": NOW + DAY, "due": NOW + 3 * DAY}
    assert stand(*given, glass).status == "rejected", "an emergency is for approvals that are missing"


def test_a_signature_that_was_taken_back_counts_no_more() -> None:
    given = ({"by": "ann"}, {"by": "bob"}, {"by": "ann", "kind": "withdraw", "of": 1})
    assert [one.holds for one in stand(*given).signed] == ["taken back", "holds"]
    assert stand(*given).status == "waiting"
    assert stand(*given, {"by": "ann"}).open


def test_an_emergency_lasts_for_its_time_and_for_this_release_only() -> None:
    glass = {"by": "ed", "kind": "break_glass", "until": NOW + DAY, "due": NOW + 3 * DAY}
    assert stand(glass).status == "emergency"
    assert stand(glass, now=NOW + DAY - timedelta(microseconds=1)).open
    assert not stand(glass, now=NOW + DAY).open
    assert not stand(glass, evidence=CHANGED).open
    assert stand({"by": "ann"}, {"by": "bob"}, glass).status == "approved"


def test_a_review_is_due_until_somebody_made_it() -> None:
    glass = {"by": "ed", "kind": "break_glass", "until": NOW + DAY, "due": NOW + 3 * DAY}
    asked = acts(glass)
    assert unreviewed(asked) == asked
    assert overdue(asked, NOW + 3 * DAY - timedelta(microseconds=1)) == ()
    assert overdue(asked, NOW + 3 * DAY) == asked
    assert overdue(acts(glass, {"by": "ann", "kind": "review", "of": 1}), NOW + 9 * DAY) == ()


def test_a_request_that_was_taken_back_is_closed() -> None:
    assert stand({"by": "ann"}, {"by": "bob"}, {"by": "olga", "kind": "close"}).status == "closed"


@given(st.lists(st.tuples(st.sampled_from(["ann", "ANN", "bob", "cleo", "mia", "olga"]),
                          st.sampled_from(["sign", "withdraw"])), max_size=10))  # fmt: skip
def test_no_order_of_acts_lets_fewer_people_release_it(given: list[tuple[str, Any]]) -> None:
    """Never fewer than two people who are no authors, whose last word is a signature."""
    made: list[dict[str, Any]] = []
    open_of: dict[str, list[int]] = {}
    for name, kind in given:
        person = normalised(name)
        if kind == "sign":
            open_of.setdefault(person, []).append(len(made) + 1)
            made.append({"by": name})
        elif open_of.get(person):
            made.append({"by": name, "kind": "withdraw", "of": open_of[person].pop()})
    standing = {person for person, left in open_of.items() if left} - {"mia", "olga"}
    assert stand(*made).open is (len(standing) >= 2)
