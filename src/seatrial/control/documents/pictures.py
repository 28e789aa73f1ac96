"""Which pictures a rollout has: the traffic, every metric that was estimated, the verdicts, and the shadow's scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from seatrial.control.documents.story import difference
from seatrial.evidence.snapshot import Evidence
from seatrial.evidence.tally import TOTAL
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.verdicts import Decision, MetricVerdict

if TYPE_CHECKING:
    import altair as alt

Draw = Callable[[], "alt.LayerChart"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that can be drawn: drawing takes a tenth of a second, so a page asks for it when it is shown."""

    name: str
    caption: str
    draw: Draw


def pictures(
    plan: Plan, decisions: Sequence[Decision], look: Decision | None, evidence: Evidence | None, *, width: int
) -> list[Picture]:
    """In the order in which they are read; ``look``: the latest decision that judged something; ``width``: in pixels,
    of what is drawn over time."""
    return [*_pictures(plan, decisions, look, evidence, width)] if decisions else []


def _pictures(
    plan: Plan, decisions: Sequence[Decision], look: Decision | None, evidence: Evidence | None, width: int
) -> Iterator[Picture]:
    judged = {} if look is None else {v.metric: v for v in (*look.verdicts, *look.signals)}
    steps = ", ".join(dict.fromkeys(d.stage_name for d in decisions))
    yield Picture("traffic", f"Traffic over event time: {steps}.", partial(_traffic, decisions, width))
    estimated = {v.metric for d in decisions for v in (*d.verdicts, *d.signals) if v.estimate is not None}
    for metric in plan.metrics:
        if metric.kind == "agreement" and (found := _latest(decisions, metric.name)) is not None:
            caption = f"{metric.name}: {found.method} by segment, at the last look that judged it: {found.verdict}."
            yield Picture(f"metric-{metric.name}", caption, partial(_agreement, found, metric))
        elif metric.name in estimated:
            told = f"; at the last look {difference(v, metric)}: {v.verdict}" if (v := judged.get(metric.name)) else ""
            caption = f"{metric.name} over event time{told}."
            yield Picture(f"metric-{metric.name}", caption, partial(_interval, decisions, plan, metric.name, width))
    if judged:
        told = ", ".join(f"{name} {v.verdict}" for name, v in judged.items())
        caption = f"Verdicts over event time; at the last look {told}."
        yield Picture("verdicts", caption, partial(_verdicts, decisions, width))
    if evidence is not None and TOTAL in evidence.shadow.grid and evidence.shadow.grid[TOTAL].any():
        caption = f"Scores of shadow and champion for the same {evidence.shadow.pairs:,} requests."
        yield Picture("scores", caption, partial(_scores, evidence))


def _latest(decisions: Sequence[Decision], metric: str) -> MetricVerdict | None:
    """What the latest look with an estimate said of it."""
    verdicts = (v for d in reversed(decisions) for v in (*d.verdicts, *d.signals) if v.metric == metric)
    return next((v for v in verdicts if v.estimate is not None), None)


def _agreement(verdict: MetricVerdict, metric: Metric) -> alt.LayerChart:
    from seatrial.charts.agreement import Point, agreement_chart

    points = [
        Point(f.segment, f.estimate, None if f.lower is None or f.upper is None else (f.lower, f.upper), f.count,
              f.verdict != "insufficient")
        for f in verdict.segments
        if f.estimate is not None
    ]  # fmt: skip
    statistic = verdict.method.partition("(")[2].rstrip(")")
    return _drawn(agreement_chart(points, statistic=statistic, floor=metric.floor, segment_floor=metric.segment_floor))


def _traffic(decisions: Sequence[Decision], width: int) -> alt.LayerChart:
    from seatrial.charts.split import split_chart

    return split_chart(decisions, width=width)


def _interval(decisions: Sequence[Decision], plan: Plan, metric: str, width: int) -> alt.LayerChart:
    from seatrial.charts.interval import interval_chart

    return _drawn(interval_chart(decisions, plan, metric, width=width))


def _verdicts(decisions: Sequence[Decision], width: int) -> alt.LayerChart:
    from seatrial.charts.decisions import decisions_chart

    return _drawn(decisions_chart(decisions, width=width))


def _scores(evidence: Evidence) -> alt.LayerChart:
    from seatrial.charts.scatter import scatter_chart

    return _drawn(scatter_chart(evidence.shadow.grid[TOTAL], unmatched=evidence.shadow.unmatched))


def _drawn(chart: alt.LayerChart | None) -> alt.LayerChart:
    assert chart is not None, "a picture is listed only where there is something to draw"
    return chart
