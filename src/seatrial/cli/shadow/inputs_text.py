"""Comparisons of inputs for people, and their exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cli import output
from seatrial.errors import Exit

if TYPE_CHECKING:
    from rich.table import Table

EXITS = {
    "agrees": Exit.OK,
    "diverges": Exit.GATE_FAILED,
    "unclear": Exit.UNDECIDED,
    "not_observed": Exit.UNDECIDED,
}
_ICONS = {"agrees": "✔", "diverges": "✖", "unclear": "?", "not_observed": "?"}


def tell(d: dict[str, Any], remedy: str) -> None:
    """Counts, one line a feature, and the verdict. ``remedy``: what to do where nothing was observed."""
    from seatrial.control.documents.wording import count

    counted = [count(d["pairs"], "pair") + " with features as used on both sides"]
    said = {
        "championTold": "only the champion told",
        "shadowTold": "only the shadow told",
        "unmatchedChampion": "unmatched champion records",
        "unmatchedShadow": "unmatched shadow records",
        "duplicates": "duplicate records",
        "conflicting": "ids that contradict themselves",
    }
    counted += [f"{d[name]:,} {words}" for name, words in said.items() if d[name]]
    output.text(" · ".join(counted))
    if d["features"]:
        output.text("")
        output.show(_table(d))
    output.text("")
    output.text(_verdict(d, remedy))


def _verdict(d: dict[str, Any], remedy: str) -> str:
    icon, most = _ICONS[d["result"]], f"{d['maxDivergence']:.2%}"
    if d["result"] == "not_observed":
        return f"{icon} not observed: {remedy}"
    named = ", ".join(f["name"] for f in d["features"] if f["result"] == d["result"])
    if d["result"] == "agrees":
        return f"{icon} no feature diverges in more than {most} of the pairs"
    proven = "proven" if d["result"] == "diverges" else "may be chance"
    return f"{icon} {d['result']}: {named} in more than {most} of the pairs ({proven})"


def _table(d: dict[str, Any]) -> Table:
    from seatrial.cli.tables import table

    headers = ("FEATURE", "PAIRS", "DIVERGING", "RATE", "DIFFER", "ONE SIDE", "TYPE", "STALE", "LARGEST", "RESULT")
    return table(headers, [_row(f) for f in d["features"]], right=headers[1:-1])


def _row(f: dict[str, Any]) -> tuple[object, ...]:
    if not f["pairs"]:
        return (f["name"], 0, *[None] * 7, "not observed")
    sizes = []
    if f["largestAbsolute"]:
        sizes.append(f"{f['largestAbsolute']:.4g} ({f['largestRelative']:.2%})")
    if f["largestGapSeconds"]:
        sizes.append(f"{f['largestGapSeconds']:.4g} s")
    rate = f"{f['rate']:.2%} [{f['lower']:.2%}, {f['upper']:.2%}]"
    alone = f["championOnly"] + f["shadowOnly"]
    counts = [f"{n:,}" for n in (f["pairs"], f["diverging"])]
    kinds = [f"{n:,}" for n in (f["differing"], alone, f["mistyped"], f["stale"])]
    return (f["name"], *counts, rate, *kinds, ", ".join(sizes), f["result"])
