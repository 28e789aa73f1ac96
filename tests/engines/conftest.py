"""Evidence defined once more, slowly and in plain Python, to hold the engine against."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from seatrial.events.schema import from_micros
from seatrial.evidence.facts import FirstFacts, MutableFacts, Seen, UnitRow
from seatrial.evidence.scores import score_bins
from seatrial.evidence.snapshot import Evidence, MetricEvidence, ShadowEvidence
from seatrial.evidence.tally import MICRO, Tally

SECOND = MICRO
GRACE = 60 * SECOND
DAYS_30 = 30 * 86_400 * SECOND


def micro(x):
    return int(math.copysign(math.floor(min(abs(x), 1e9) * 1e6 + 0.5), x))


def loss(kind, p, y):
    if kind == "log_loss":
        p = min(max(p, 1e-15), 1 - 1e-15)
        return -(y * math.log(p) + (1 - y) * math.log(1 - p))
    return abs(p - y) if kind == "absolute" else (p - y) ** 2


class Reference:
    """``rows`` and ``outcomes`` are dictionaries with times in microseconds."""

    def __init__(self, plan, rollout, started, rows, outcomes, at):
        self.plan, self.started, self.at = plan, started, at
        self.step = round(plan.look_every.seconds * MICRO)
        self.bucket = round(plan.time_bucket.seconds * MICRO)
        rows = [r for r in rows if r["rollout"] == rollout and r["time"] <= at]
        self.live = [r for r in rows if r["arm"] in ("champion", "canary") and r["unit"] is not None]
        self.shadow = [r for r in rows if r["arm"] == "shadow"]
        self.outcomes = outcomes
        self.named = self.admitted()

    def tick(self, moment):
        k = max(0, -((self.started - moment) // self.step))
        return self.started + k * self.step

    def due(self, row, metric):
        h = 0 if metric.horizon is None else round(metric.horizon.seconds * MICRO)
        due = self.tick(row["time"] + h)
        return due, due if metric.horizon is None else row["time"] + h, max(h, 3600 * SECOND)

    def admitted(self):
        first = {}
        for row in self.live:
            for segment in self.plan.segments:
                name = f"{segment.name}={row[f'seg_{segment.name}']}"
                first[name] = min(first.get(name, row["time"]), row["time"])
        named, count = {}, Counter()
        for name, _ in sorted(first.items(), key=lambda item: (item[1], item[0])):
            dimension, _, value = name.partition("=")
            if value == "unknown":
                named[name] = name
            elif count[dimension] < 50:
                count[dimension] += 1
                named[name] = name
            else:
                named[name] = f"{dimension}=other"
        return named

    def cells(self, row, arm=None):
        segments = ["total"]
        segments += [self.named[f"{s.name}={row[f'seg_{s.name}']}"] for s in self.plan.segments]
        time = row["time"] // self.bucket * self.bucket // MICRO
        return [(row["phase"], time, segment, arm or row["arm"], row["bucket"]) for segment in segments]

    def known(self, row, name, due, deadline):
        found = [
            (o["revision"], o["time"], o["value"])
            for o in self.outcomes
            if o["key"] == row["outcome_key"]
            and o["name"] == name
            and row["time"] - DAYS_30 < o["received_at"] <= due
            and o["time"] <= deadline
        ]
        return max(found)[2] if found else None

    def prompt(self, metric):
        tally = []
        seen = set()
        for row in sorted((r for r in self.live if r["row"] == 0), key=lambda r: r["time"]):
            for cell in self.cells(row):
                if metric.kind == "error_rate":
                    tally.append((*cell, 1, MICRO * row["error"], MICRO))
                elif metric.kind == "latency" and row["latency_us"] is not None:
                    tally.append((*cell, 1, MICRO * (row["latency_us"] > metric.threshold.seconds * 1e6), MICRO))
                elif metric.kind == "requests_per_unit":
                    new = (*cell, row["unit"]) not in seen
                    seen.add((*cell, row["unit"]))
                    tally.append((*cell, 1, MICRO, MICRO * new))
        return MetricEvidence(Tally.from_rows(tally))

    def score(self, row):
        return row["score"] if self.answered(row) else None

    @staticmethod
    def answered(row):
        return not row["error"] and row["error_kind"] is None

    def value(self, metric, row, score, due, deadline):
        """(counted, numerator, denominator, missing) of one mature exposure."""
        values = [self.known(row, name, due, deadline) for name in metric.outcomes]
        missing = any(v is None for v in values) or (metric.kind == "loss" and score is None)
        if metric.kind == "missing_outcomes":
            return 1, MICRO * missing, MICRO, missing
        if not missing and metric.kind == "loss":
            return 1, micro(loss(metric.loss, score, values[0])), MICRO, False
        if not missing:
            value = values[0] if metric.cap is None else min(values[0], metric.cap)
            return 1, micro(value), micro(values[1]) if metric.kind == "ratio" else MICRO, False
        if metric.missing == "exclude" or metric.kind == "loss":
            return 0, 0, 0, True
        return 1, MICRO if metric.missing == "fail" and metric.better == "decrease" else 0, MICRO, True

    def mature(self, metric):
        tally, immature, missing, outside, late = [], Counter(), Counter(), Counter(), 0
        for row in self.live:
            due, deadline, watch = self.due(row, metric)
            if due > self.at:
                immature[row["phase"], row["arm"]] += 1
                continue
            if metric.among is None or self.inside(metric.among, self.score(row)):
                n, num, den, lacks = self.value(metric, row, self.score(row), due, deadline)
                missing[row["phase"], row["arm"]] += lacks
                tally += [(*cell, n, num, den) for cell in self.cells(row)]
            else:
                outside[row["phase"], row["arm"]] += 1
            late += sum(
                1
                for o in self.outcomes
                if o["key"] == row["outcome_key"]
                and o["name"] in metric.outcomes
                and due < o["received_at"] <= min(self.at, due + watch)
            )
        return MetricEvidence(Tally.from_rows(tally), +immature, +missing, late, +outside)

    @staticmethod
    def inside(among, score):
        return score is not None and (among.at_least or 0) <= score < (among.below or math.inf)

    def joined(self):
        for c in self.live:
            for s in self.shadow:
                same = (c["request_id"], c["row"]) == (s["request_id"], s["row"])
                if c["arm"] == "champion" and same and abs(c["time"] - s["time"]) <= GRACE:
                    yield c, s

    def pairs(self):
        return [(c, s) for c, s in self.joined() if self.answered(c) and self.answered(s)]

    def pair_evidence(self, metric):
        tally, immature, missing = [], Counter(), Counter()
        for c, s in self.pairs():
            due, deadline, _ = self.due(c, metric)
            due = max(due, self.tick(max(c["time"], s["time"])))
            scored = c["score"] is not None and s["score"] is not None
            for arm, row in (("champion", c), ("shadow", s)):
                if due > self.at:
                    immature[c["phase"], arm] += 1
                    continue
                n, num, den, lacks = self.value(metric, c, row["score"] if scored else None, due, deadline)
                missing[c["phase"], arm] += lacks
                tally += [(*cell, n, num, den) for cell in self.cells(c, arm)]
        return MetricEvidence(Tally.from_rows(tally), +immature, +missing)

    def shadow_evidence(self):
        grid = defaultdict(lambda: np.zeros((128, 128), dtype=np.int64))
        pairs = self.pairs()
        for c, s in pairs:
            x, y = (int(score_bins(math.nan if r["score"] is None else r["score"])) for r in (c, s))
            if x >= 0 and y >= 0:
                for _, _, segment, _, _ in self.cells(c):
                    grid[segment][x, y] += 1
        paired = {id(s) for _, s in pairs}
        copied = {id(c) for c, _ in self.joined()}
        unmatched = sum(
            s["row"] == 0 and id(s) not in paired and self.tick(s["time"] + GRACE) <= self.at for s in self.shadow
        )
        first = self.facts().freeze().by_phase
        for c in self.live:
            due = self.tick(c["time"] + GRACE)
            if c["arm"] == "champion" and c["row"] == 0 and id(c) not in copied and due <= self.at:
                mirrored = first.get((c["unit"], c["phase"], "shadow"))
                unmatched += mirrored is not None and mirrored.time <= due
        return ShadowEvidence(dict(grid), len(pairs), unmatched)

    def facts(self):
        facts = MutableFacts()
        for row in self.live + self.shadow:
            if row["row"] or row["unit"] is None:
                continue
            met = set()
            for metric in self.plan.metrics:
                slow = metric.kind == "latency" and (row["latency_us"] or 0) > metric.threshold.seconds * 1e6
                if metric.rare and (slow if metric.kind == "latency" else row["error"]):
                    met.add(metric.name)
            seen = Seen(row["time"], row["request_id"], row["phase"], row["arm"])
            facts.merge(FirstFacts.of([UnitRow(row["unit"], seen, frozenset(met))]))
        return facts

    def evidence(self, live, mirrored):
        prompt = ("error_rate", "latency", "requests_per_unit")
        requests = Counter((r["phase"], r["arm"]) for r in self.live + self.shadow if r["row"] == 0)
        return Evidence(
            at=from_micros(self.at),
            metrics={m.name: self.prompt(m) if m.kind in prompt else self.mature(m) for m in self.plan.metrics},
            pairs={m.name: self.pair_evidence(m) for m in self.plan.metrics if m.pairs},
            units=self.facts().counts(live=live, mirrored=mirrored),
            exposures=dict(requests),
            shadow=self.shadow_evidence(),
        )


@pytest.fixture(scope="session")
def reference():
    return Reference
