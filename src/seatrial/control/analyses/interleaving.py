"""Which of two rankers users prefer, from a log of interleaved pages: credit by user, and what speaks against it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal

from seatrial.engines.impressions import Impression, impressions
from seatrial.engines.inputs import Input
from seatrial.errors import UsageError
from seatrial.interleaving import Item, interleave
from seatrial.stats.lists import ndcg, rbo, topk_overlap
from seatrial.stats.preference import Preference, preference
from seatrial.stats.srm import alarms, sample_ratio_log_e

Document = dict[str, Any]
Result = Literal["candidate", "champion", "undecided"]

PLAYED = {"champion": -1, "candidate": 1, None: 0}
MOST_CHANGED = 0.02
"""Share of pages that are not what their key says, above which nothing is concluded; as for pairs of a shadow."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """``columns``: names by part, see `engines.impressions`. ``k``: depth of gain and overlap. ``planned``: users for
    whom the bounds are tightest. ``once``: this is the only look, and was planned to be."""

    columns: Mapping[str, str] = field(default_factory=dict)
    k: int = 10
    alpha: float = 0.05
    planned: int = 500
    once: bool = False


@dataclass(slots=True)
class _User:
    """Sums over one user's pages."""

    clicks: int = 0
    credit: int = 0
    team: int = 0
    gains: list[tuple[float, float]] = field(default_factory=list)

    def gain(self) -> tuple[float, float]:
        """The mean gains of the champion's and the candidate's lists over the user's pages."""
        champion, candidate = zip(*self.gains, strict=True)
        return fmean(champion), fmean(candidate)


@dataclass(slots=True)
class _Sums:
    """One pass over the pages."""

    k: int
    rows: int = 0
    without_unit: int = 0
    changed: int = 0
    checked: int = 0
    uncontested: int = 0
    clicks: int = 0
    uncredited: int = 0
    users: dict[str, _User] = field(default_factory=lambda: defaultdict(_User))
    coins: dict[tuple[str, str | int], bool] = field(default_factory=dict)
    alike: list[tuple[float, float]] = field(default_factory=list)

    def add(self, page: Impression | None) -> None:
        self.rows += 1
        if page is None:
            self.without_unit += 1
            return
        credits, changed = _credits(page)
        self.checked += changed is not None
        if changed:
            self.changed += 1
            return
        if not any(page.teams):
            self.uncontested += 1
        self.uncredited += credits is None
        teams = [PLAYED[team] for team in page.teams]
        self._toss(page, credits or teams)
        user = self.users[page.unit]
        for item, credit, team in zip(page.items, credits or teams, teams, strict=True):
            if item in page.clicks:
                user.clicks, user.credit, user.team = user.clicks + 1, user.credit + credit, user.team + team
        self.clicks += len(page.clicks)
        if page.champion is not None and page.candidate is not None:
            self._compare(page.champion, page.candidate, page.clicks, user)

    def _toss(self, page: Impression, credits: Sequence[int]) -> None:
        """Who won the first coin that shows: asked again, the same user's same query shows the same one."""
        won = next((credit for credit in credits if credit), 0)
        if won:
            self.coins.setdefault((page.unit, self.rows if page.query is None else page.query), won > 0)

    def _compare(self, champion: Sequence[Item], candidate: Sequence[Item], clicks: frozenset[Item], u: _User) -> None:
        alike = rbo(champion, candidate)
        overlap = topk_overlap(champion, candidate, self.k)
        if alike is not None and overlap is not None:
            self.alike.append((alike, overlap))
        before, after = (_gain(ranked, clicks, self.k) for ranked in (champion, candidate))
        if before is not None and after is not None:
            u.gains.append((before, after))


@dataclass(frozen=True)
class Comparison:
    """What the log says: ``credit`` decides, ``teams`` is the same without taking out what the coins alone give."""

    name: str
    question: Question
    sums: _Sums
    credit: Preference
    teams: Preference
    gains: Sequence[tuple[float, float]]
    gain: Preference
    alarms: Sequence[str]

    @property
    def bounds(self) -> tuple[float, float] | None:
        return self.credit.interval if self.question.once else self.credit.every_look

    @property
    def result(self) -> Result:
        if self.alarms or self.credit.status != "ok" or self.bounds is None:
            return "undecided"
        low, high = self.bounds
        return "candidate" if low > 0 else "champion" if high < 0 else "undecided"


def compare(source: Input, question: Question) -> Comparison:
    """One look at a log. Raises UsageError (ST0292, ST0293) where the log cannot be read, (ST0295) for the question."""
    if not (question.k >= 1 and 0 < question.alpha < 0.5 and question.planned >= 1):
        raise UsageError(
            "ST0295",
            "k and the planned users are 1 or more, and alpha is between 0 and 0.5.",
            remedy="e.g. --alpha 0.05",
        )
    sums = _Sums(question.k)
    for page in impressions(source, question.columns):
        sums.add(page)
    users = [user for user in sums.users.values() if user.clicks]
    gains = [user.gain() for user in users if user.gains]

    def leaning(values: Iterable[float]) -> Preference:
        return preference([*values], alpha=question.alpha, planned=question.planned)

    return Comparison(
        source.name,
        question,
        sums,
        credit=leaning(user.credit / user.clicks for user in users),
        teams=leaning(user.team / user.clicks for user in users),
        gains=gains,
        gain=leaning(candidate - champion for champion, candidate in gains),
        alarms=_alarms(sums),
    )


def _credits(page: Impression) -> tuple[tuple[int, ...] | None, bool | None]:
    """What clicks are worth, and whether the page is another one than its key and lists give; None: nobody can tell."""
    if page.champion is None or page.candidate is None or page.query is None or page.salt is None or not page.items:
        return page.credits, None
    shown = interleave(
        page.champion, page.candidate, salt=page.salt, unit=page.unit, query=page.query, length=len(page.items)
    )
    return shown.credits, (shown.items, shown.teams) != (page.items, page.teams)


def _gain(ranked: Sequence[Item], clicks: frozenset[Item], k: int) -> float | None:
    """NDCG@k of a list with clicks as grades. What was clicked and is not in its first k ranks lies behind them."""
    within = [float(item in clicks) for item in ranked[:k]]
    grades = [*within, *[0.0] * (k - len(within)), *[1.0] * (len(clicks) - int(sum(within)))]
    return ndcg(grades, range(0, -len(grades), -1), k)


def _alarms(sums: _Sums) -> list[str]:
    """Why nothing can be concluded from clicks."""
    found = []
    won = sum(sums.coins.values())
    if alarms(sample_ratio_log_e(won, len(sums.coins), 0.5)):
        found.append(f"the candidate won {won:,} of {len(sums.coins):,} coins: these are not fair")
    if sums.changed > MOST_CHANGED * max(1, sums.checked):
        found.append(f"{sums.changed:,} of {sums.checked:,} pages are not what their lists, salt, unit and query give")
    return found


def comparison_document(c: Comparison) -> Document:
    """Everything as one document (``seatrial.interleaving.v1``). Shares are of credit: one half is no preference."""
    sums = c.sums
    return {
        "schema": "seatrial.interleaving.v1",
        "log": c.name,
        "result": c.result,
        "reason": _reason(c),
        "decidedAt": "one look" if c.question.once else "every look",
        "alpha": c.question.alpha,
        "credit": "teams" if sums.uncredited else "contested",
        "preference": _leaning(c.credit),
        "teams": _leaning(c.teams),
        "ndcg": _gains(c),
        "agreement": _agreement(c),
        "coins": {"tossed": len(sums.coins), "candidate": sum(sums.coins.values())},
        "alarms": [*c.alarms],
        "data": {
            "pages": sums.rows,
            "clicks": sums.clicks,
            "uncontested": sums.uncontested,
            "leftOut": {"withoutUnit": sums.without_unit, "changed": sums.changed},
        },
    }


def _gains(c: Comparison) -> Document | None:
    """Mean gains of both lists, a user counting once; None where the log has no lists, or no clicks."""
    if not c.gains:
        return None
    champion, candidate = zip(*c.gains, strict=True)
    return {
        "k": c.question.k,
        "champion": fmean(champion),
        "candidate": fmean(candidate),
        "difference": c.gain.mean,
        "interval": _ends(c.gain.interval),
        "everyLook": _ends(c.gain.every_look),
    }


def _agreement(c: Comparison) -> Document | None:
    if not c.sums.alike:
        return None
    alike, overlap = zip(*c.sums.alike, strict=True)
    return {"label": "agreement, not quality", "rbo": fmean(alike), "overlap": fmean(overlap), "k": c.question.k}


def _leaning(p: Preference) -> Document:
    """A preference between -1 and 1 as a share of credit between 0 and 1."""
    return {
        "status": p.status,
        "users": p.users,
        "candidate": p.wins,
        "champion": p.losses,
        "neither": p.users - p.wins - p.losses,
        "share": None if p.mean is None else (1 + p.mean) / 2,
        "interval": _ends(p.interval, share=True),
        "everyLook": _ends(p.every_look, share=True),
        "pValue": p.p_value,
        "signPValue": p.sign_p_value,
        "delta": p.delta,
    }


def _ends(interval: tuple[float, float] | None, *, share: bool = False) -> list[float] | None:
    return None if interval is None else [(1 + end) / 2 if share else end for end in interval]


def _reason(c: Comparison) -> str:
    if c.alarms:
        return c.alarms[0]
    if c.result != "undecided":
        return f"users' clicks prefer the {c.result}"
    return {
        "no_data": "nobody clicked",
        "degenerate": "no user's clicks tell the rankers apart",
        "not_enough": f"the clicks of {c.credit.wins + c.credit.losses} users tell the rankers apart, 50 are needed",
        "ok": "no preference is shown yet",
    }[c.credit.status]
