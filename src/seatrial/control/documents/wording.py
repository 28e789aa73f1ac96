"""Documents in words: the lines, numbers and times that the command line and the pages have in common.

Words and icons follow Argo Rollouts where it has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

Document = Mapping[str, Any]

STATUS = {
    "running": "◌ Progressing",
    "paused": "॥ Paused",
    "promoted": "✔ Promoted",
    "aborted": "✖ Aborted",
}
STAGE = {"done": "✔", "current": "◌", "paused": "॥", "stopped": "✖", "pending": "·", "skipped": "»"}
VERDICT = {"pass": "✔", "fail": "✖", "inconclusive": "?", "insufficient": "◌", "immature": "◌", "invalid": "⚠"}


def verdict_line(v: Document) -> str:
    """``✔ loss −12.7% [−18%, −7%] must stay below +5% · n 293 canary / 940 champion exposures · look 4 · pass``"""
    measured = [v["metric"], estimate(v), interval(v), asked(v)]
    words = " ".join(word for word in measured if word) + surrogate(v)
    told = f"dry run: {v['verdict']}" if v["role"] == "dryRun" else v["verdict"]
    return f"{VERDICT[v['verdict']]} {words} · {sample(v)} · look {v['look']:,} · {told}"


def surrogate(v: Document) -> str:
    """`` · surrogate of retention_7d (historic correlation 0.62)``; empty for what stands for itself."""
    of = v.get("surrogateOf")
    return f" · surrogate of {of['metric']} (historic correlation {of['correlation']:g})" if of else ""


def ripeness(v: Document) -> str:
    """``partially mature: day 1 40%, day 2 0%, day 3 0%``; empty once the first day has matured."""
    found = v.get("maturity")
    if not found or not found["cohorts"] or found["cohorts"][0]["matured"] >= 1:
        return ""
    days = ", ".join(f"day {one['day']} {one['matured']:.0%}" for one in found["cohorts"])
    return f"{found['state'].replace('_', ' ')}: {days}"


def estimate(v: Document) -> str:
    """``−12.7%``; empty while there is none."""
    return "" if v["estimate"] is None else amount(v, v["estimate"])


def interval(v: Document) -> str:
    """``[−18%, −7%]``; empty while there is none."""
    if v["lower"] is None or v["upper"] is None:
        return ""
    return f"[{amount(v, v['lower'])}, {amount(v, v['upper'])}]"


def asked(v: Document) -> str:
    """``must stay below +5%``, or what a fail has proven: ``proven above +5%``."""
    good, bad = ("above", "below") if v["better"] == "increase" else ("below", "above")
    if v["crossed"] is not None:
        return f"proven {bad} {amount(v, v['crossed'])}"
    return f"must stay {good} {_bound(v)}"


def sample(v: Document) -> str:
    """``n 293 canary / 940 champion exposures``"""
    if v["method"].startswith("agreement"):
        return f"n {v['countCandidate']:,} pairs"
    candidate = "shadow" if v["arms"] == "shadow" else "canary"
    what = "units" if v["method"].startswith("exact") else "exposures"
    if v["population"] is not None:
        what = f"{v['population']} {what} ({_unobserved(v)} without an outcome to observe)"
    return f"n {v['countCandidate']:,} {candidate} / {v['countChampion']:,} champion {what}"


def _unobserved(v: Document) -> str:
    return f"{v['unobservedCandidate']:,} / {v['unobservedChampion']:,}"


def other_needs(judged: Document) -> list[str]:
    """What is missing beyond what the lines of the verdicts say."""
    said = [v["needs"] for v in judged["verdicts"] if v["needs"]]
    return [need for need in judged["needs"] if not any(one in need for one in said)]


def amount(v: Document, value: float) -> str:
    """A difference with sign and unit: per cent (relative), points (shares), or the metric's own unit."""
    if v["scale"] == "relative":
        return _signed(f"{value:+.1%}")
    if v["method"].startswith("agreement"):
        return _signed(f"{value:.3f}")
    if v["method"].startswith("exact"):
        return _signed(f"{100 * value:+.2f}pp")
    return _signed(f"{value:+.4g}")


def _bound(v: Document) -> str:
    if v["boundScale"] == "relative" and v["scale"] != "relative":
        return _signed(f"{v['bound']:+.1%}") + " of the champion's rate"
    return amount(v, v["bound"])


def size(value: float | None, sight: Document) -> str:
    """Of a forecast: relative, points of a share (what is judged exactly on units is one), or the metric's own unit."""
    if value is None:
        return ""
    if sight["scale"] == "relative":
        return f"{value:.1%}"
    return f"{100 * value:.3g}pp" if sight["note"].startswith("exact") else f"{value:.3g}"


def percent(value: float) -> str:
    return f"{value:g}%"


def clock(text: str) -> str:
    """``2013-07-05 10:00`` UTC; seconds only where they say something."""
    time = datetime.fromisoformat(text)
    return f"{time:%Y-%m-%d %H:%M:%S}" if time.second else f"{time:%Y-%m-%d %H:%M}"


def span(seconds: float) -> str:
    """A length of time in its two largest units: ``3d``, ``1d12h``, ``45m``, ``20s``."""
    whole, parts = round(seconds), []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        n, whole = divmod(whole, size)
        if n:
            parts.append(f"{n}{unit}")
    return "".join(parts[:2]) or "0s"


def count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _signed(text: str) -> str:
    return text.replace("-", "−")
