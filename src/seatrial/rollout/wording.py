"""Verdicts in words."""

from __future__ import annotations

from seatrial.rollout.metric import Metric
from seatrial.rollout.verdicts import JOINED, MetricVerdict


def harm_text(v: MetricVerdict) -> str:
    """``log_loss is worse: +31.0% [+12.1%, +52.0%], n 812 canary / 7,301 champion``."""
    interval = "" if v.lower is None or v.upper is None else f" [{number(v, v.lower)}, {number(v, v.upper)}]"
    estimate = "" if v.estimate is None else f": {number(v, v.estimate)}{interval}"
    candidate = "shadow" if v.arms == "shadow" else "canary"
    what = "exposures" + v.method.removeprefix(JOINED) if v.losses else "units"
    return f"{v.metric} is worse{estimate}, n {v.count_candidate:,} {candidate} / {v.count_champion:,} champion {what}"


def surrogate_text(metric: Metric) -> str:
    """``surrogate of retention_7d (historic correlation 0.62)``; empty for a metric that stands for itself."""
    of = metric.surrogate_of
    return "" if of is None else f"surrogate of {of.metric} (historic correlation {of.correlation:g})"


def number(v: MetricVerdict, value: float) -> str:
    """A difference with its sign and unit."""
    if v.scale == "relative":
        return f"{value:+.2%}"
    return f"{100 * value:+.2f}pp" if v.method.startswith("exact") else f"{value:+.4g}"


def need_text(v: MetricVerdict) -> str:
    return f"{v.metric}: {v.needs or v.verdict}"
