"""Reconciliations in words."""

from __future__ import annotations

from seatrial.rollout.reconciliation.judge import Reconciled, Reconciliation
from seatrial.values import Share

_SAID = {
    "fail": "is worse",
    "pass": "loses no more than its margin",
    "inconclusive": "is not shown to differ",
    "insufficient": "has too few units with an outcome",
    "immature": "has not matured",
    "invalid": "cannot be judged",
}


def reconciled_text(metric: Reconciled) -> str:
    """``returns is worse: −2.1% [−3.0%, −1.2%], n 9,012 canary / 9,120 champion units by first exposure, diluted: 40%
    of the champion's units met the candidate in time``."""
    parts = [f"{metric.metric} {_SAID[metric.verdict]}{_difference(metric)}"]
    if metric.units_candidate and metric.units_champion:
        parts.append(
            f"n {metric.units_candidate:,} canary / {metric.units_champion:,} champion units by first exposure"
        )
    if metric.maturity != "mature":
        units = sum(cohort.units for cohort in metric.cohorts)
        ripe = sum(cohort.matured for cohort in metric.cohorts)
        parts.append(f"{ripe:,} of {units:,} units have matured")
    if metric.diluted:
        parts.append(f"diluted: {metric.diluted:.0%} of the champion's units met the candidate in time")
    return ", ".join(parts)


def reconciliation_text(found: Reconciliation, holdout: Share | None = None) -> str:
    """One sentence of everything. ``holdout``: of the plan, whose units the candidate was held against."""
    told = "; ".join(reconciled_text(metric) for metric in found.metrics)
    against = f"; {holdout_text(found, holdout)}" if holdout is not None else ""
    return f"day {found.day}, {found.days_since:.3g} days after the rollout: {told}{against}"


def holdout_text(found: Reconciliation, holdout: Share) -> str:
    """``held against the 5% of the units that stayed on the champion: not diluted``."""
    diluted = any(metric.diluted for metric in found.metrics)
    word = "diluted since some of them met the candidate" if diluted else "not diluted"
    return f"held against the {holdout} of the units that stayed on the champion: {word}"


def amount(metric: Reconciled, value: float) -> str:
    """A difference with its sign: relative, points of a share, or the metric's own unit."""
    if metric.scale == "relative":
        text = f"{value:+.2%}"
    else:
        text = f"{value:+.4g}"
    return text.replace("-", "−")


def interval(metric: Reconciled) -> str:
    """``[−3.0%, −1.2%]``; empty while there is none."""
    if metric.lower is None or metric.upper is None:
        return ""
    return f"[{amount(metric, metric.lower)}, {amount(metric, metric.upper)}]"


def _difference(metric: Reconciled) -> str:
    if metric.estimate is None:
        return ""
    return f": {amount(metric, metric.estimate)} {interval(metric)}".rstrip()
