"""What starts training, the runs, and the rollouts they end in, on one axis of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import altair as alt

from seatrial.charts import style
from seatrial.charts.timeline import TAIL, axis_between

LANES = ("triggers", "runs", "rollouts")
_MOMENTS = {
    "started": ("triangle-up", style.GREEN), "suppressed": ("diamond", style.SKY), "waiting": ("square", style.SKY),
    "blocked": ("cross", style.VERMILLION), "missed": ("circle", style.VERMILLION),
}  # fmt: skip
_GOOD, _BAD = frozenset({"released", "registered_only", "requested", "promoted"}), frozenset({"failed", "aborted"})
_ENDINGS = {"did well": style.GREEN, "did not": style.VERMILLION, "goes on, or changed nothing": style.MUTED}


def retraining_chart(
    entries: Sequence[Mapping[str, Any]], model: str, *, width: int = style.WIDTH, height: int = 150
) -> alt.LayerChart | None:
    """Entries of ``seatrial.retraining-timeline.v1``; None without any. What goes on ends at the last moment."""
    spans = [_span(entry, entries) for entry in entries if entry["lane"] != "triggers"]
    moments = [_row(entry) for entry in entries if entry["lane"] == "triggers" and entry["what"] in _MOMENTS]
    if not spans and not moments:
        return None
    x, y = _axis(entries), _lanes()
    layers: list[alt.Chart | alt.LayerChart] = []
    if spans:
        present = [word for word in _ENDINGS if any(row["ending"] == word for row in spans)]
        colour = alt.Scale(domain=present, range=[_ENDINGS[word] for word in present])
        bars = style.chart(spans).mark_bar(height=16, minBandSize=3)
        names = style.chart(spans).mark_text(dy=-16, align="left").encode(x=x, y=y, text="label:N")
        ends = alt.Color("ending:N", legend=style.legend(), scale=colour)
        layers += [bars.encode(x=x, x2="end:T", y=y, color=ends), names]
    if moments:
        present = [what for what in _MOMENTS if any(row["what"] == what for row in moments)]
        colour = alt.Scale(domain=present, range=[_MOMENTS[what][1] for what in present])
        shape = alt.Scale(domain=present, range=[_MOMENTS[what][0] for what in present])
        kinds = alt.Color("what:N", legend=style.legend(), scale=colour)
        points = style.chart(moments).mark_point(filled=True, size=90, opacity=1)
        layers.append(
            points.encode(x=x, y=y, color=kinds, shape=alt.Shape("what:N", legend=style.legend(), scale=shape))
        )
    return style.finish(layers, f"Retraining of {model}", "triggers, runs and rollouts", width=width, height=height)


def _axis(entries: Sequence[Mapping[str, Any]]) -> alt.X:
    """A little longer than what happened, on both sides: what is drawn at an end is not cut off."""
    first = datetime.fromisoformat(min(entry["start"] for entry in entries))
    last = max(datetime.fromisoformat(_last(entries)), first + timedelta(minutes=1))
    room = (last - first) * TAIL
    return axis_between(first - room, last + room, "start:T")


def _lanes() -> alt.Y:
    axis = alt.Axis(minExtent=style.AXIS_EXTENT)
    return alt.Y("lane:N", title=None, sort=list(LANES), scale=alt.Scale(domain=list(LANES)), axis=axis)


def _last(entries: Sequence[Mapping[str, Any]]) -> str:
    return str(max(entry["end"] or entry["start"] for entry in entries))


def _span(entry: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    ending = "did well" if entry["what"] in _GOOD else "did not" if entry["what"] in _BAD else [*_ENDINGS][-1]
    label = f"{entry['name']} {entry['what'].replace('_', ' ')}"
    return {**_row(entry), "end": entry["end"] or _last(entries), "ending": ending, "label": label}


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry[name] for name in ("lane", "start", "what", "name")}
