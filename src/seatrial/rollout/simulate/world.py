"""The evidence of one simulated release, grown window by window; a window is settled once its looks were taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from seatrial.evidence.snapshot import Evidence, MetricEvidence, ShadowEvidence
from seatrial.evidence.tally import Tally
from seatrial.ids import CANARY, SHADOW
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.simulate.feed import Feed, Grid, Ints, Split, Window
from seatrial.rollout.simulate.track import Track
from seatrial.rollout.simulate.units import Units
from seatrial.rollout.state import RolloutState

LARGEST_WINDOW = 512
"""Slots that are drawn at once; memory grows with it."""

AFTER_LEAST_TIME = 96
"""Slots that are drawn at once when the stage may end at any of them; what comes after a move is drawn in vain."""


def is_relative(metric: Metric) -> bool:
    """Judged on the logarithmic scale (5% relative where a signal names no margin: rollout.gates)."""
    return metric.margin is None or metric.margin.scale == "relative"


@dataclass(slots=True)
class _Drawn:
    """The window that is not settled yet: slots ``[start, start + window.slots)`` and the copies before it."""

    start: int
    window: Window


class World:
    """Cells and units of one release under the splits it went through.

    ``slots`` is as many as the release can have. Between ``draw`` and ``settle`` looks may be asked for in the window.
    """

    def __init__(self, plan: Plan, feed: Feed, grid: Grid, slots: int) -> None:
        self.plan, self.grid, self.slots = plan, grid, slots
        self._feed = feed
        sums = [m for m in plan.metrics if not m.rare or m.limit is not None]
        self.live = {m.name: self._track(m, paired=False) for m in sums}
        self.pairs = {m.name: self._track(m, paired=True) for m in plan.metrics if m.pairs}
        self.rare = tuple(m.name for m in plan.metrics if m.rare)
        self.units = Units(feed.points, self.rare)
        self.settled = 0
        self._copies = 0
        self._drawn: _Drawn | None = None

    def _track(self, metric: Metric, *, paired: bool) -> Track:
        delay = self.grid.slots(metric.horizon.seconds) if metric.horizon else 0
        treatment = SHADOW if paired else CANARY
        return Track(self.grid, treatment, log=is_relative(metric), slots=self.slots, delay=delay)

    def begin_epoch(self) -> None:
        """After a strike."""
        self.units.begin_epoch()
        for track in (*self.live.values(), *self.pairs.values()):
            track.begin_epoch()

    def draw(self, state: RolloutState, until: int) -> int:
        """What happens next under the present split, to slot ``until`` at most; the first slot that is not drawn."""
        start, phase = self.settled, state.phase
        stop = min(until, start + LARGEST_WINDOW, self.slots)
        split = Split(phase.weight, phase.mirrored)
        window = self._feed.window(start, stop, split)
        self.units.extend(phase.number, split, window)
        for track, sums in self._grown(window):
            track.extend(phase.number, start, sums)
        self._drawn = _Drawn(start, window)
        return stop

    def settle(self, look: int) -> None:
        """Keep what happened before a look; the rest of the window never was."""
        if self._drawn is None:
            return
        kept = look - self._drawn.start
        self.units.settle(kept)
        for track, _ in self._grown(self._drawn.window):
            track.settle(kept)
        self._copies += int(self._drawn.window.copies[:kept].sum())
        self.settled, self._drawn = look, None

    def _grown(self, window: Window) -> Iterator[tuple[Track, Ints]]:
        """The comparisons of the plan that a window has sums for."""
        for tracks, sums in ((self.live, window.sums), (self.pairs, window.pairs)):
            yield from ((tracks[name], grown) for name, grown in sums.items() if name in tracks)

    @property
    def copies(self) -> Ints:
        """Mirrored requests so far, after each slot of the window."""
        window = self._window
        grown: Ints = self._copies + np.cumsum(window.copies)
        return grown

    @property
    def _window(self) -> Window:
        if self._drawn is None:
            raise ValueError("nothing is drawn")
        return self._drawn.window

    def evidence(self, state: RolloutState, look: int) -> Evidence:
        """Everything that is known at a look of the window."""
        kept = look - self.settled
        return Evidence(
            at=state.started + timedelta(seconds=look * self.grid.step),
            metrics={name: _seen(track, look) for name, track in self.live.items()},
            pairs={name: _seen(track, look) for name, track in self.pairs.items()},
            units=self.units.counts(kept),
            shadow=ShadowEvidence(pairs=self._copies + int(self._window.copies[:kept].sum())),
        )


def _seen(track: Track, look: int) -> MetricEvidence:
    return MetricEvidence(Tally(track.cells(look)), track.immature(look))
