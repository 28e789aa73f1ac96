"""Rollouts whose plans have one shape, summed up together: their parts are read into the same tables, and a statement
is run once for all of them.

Data goes one way: parts of the log, rows in the tables, rows of a statement, and what they add to each account.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from itertools import count

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seatrial.engines.account import Account
from seatrial.engines.duck import DuckEngine, schema_of
from seatrial.engines.expressions import EARLY, WINDOWS
from seatrial.engines.feature_pairs import FeaturePairs
from seatrial.engines.outputs import primary
from seatrial.engines.ranked import RankedLists
from seatrial.engines.rows import OUTCOME_COLUMNS, EventRows, Part, outcomes, told
from seatrial.engines.shape import Shape
from seatrial.engines.source import AT_ONCE
from seatrial.engines.statements import MaturityGroup, Statements, column, statements_of
from seatrial.engines.sums import (
    CellRows,
    Ints,
    Places,
    blocks,
    first_seen,
    inside,
    integers,
    mature_values,
    prompt_values,
)
from seatrial.engines.watched import LONG_AGO, Reading, Watched
from seatrial.evidence.tally import MICRO
from seatrial.ids import CHAMPION, SHADOW

_PRUNE_AT = 50_000
_SORTED_FROM = 300_000
"""So many rows are a history of many rollouts: in order of time, an engine can skip what is far from a window."""
_READ_AT_ONCE = 32
"""Rollouts whose parts are read before it is asked whether that is enough for one round."""


class Pool:
    """The tables and statements of one shape. Not for use by several threads at once."""

    def __init__(self, shape: Shape, engine: DuckEngine | None = None) -> None:
        self.shape = shape
        self._statements: Statements = statements_of(shape)
        self._engine = engine or DuckEngine()
        self._told = FeaturePairs(self._engine, mirrors=shape.mirrors)
        self._ranked = RankedLists(self._engine, shape, self._statements.reach)
        self._rows = EventRows(shape, (*self._told.columns, *self._ranked.columns))
        self._names = sorted({name for metric in shape.metrics for name in metric.outcomes})
        for name, columns in (
            ("exposures", self._statements.exposure_schema),
            ("outcomes", self._statements.outcome_schema),
        ):
            self._engine.create(name, schema_of(columns))
        self._numbers, self._exposures = count(), 0
        self._kept = {"exposures": 0, "outcomes": 0}
        self._prune_at = {"exposures": _PRUNE_AT, "outcomes": _PRUNE_AT}
        self._ready: dict[int, Watched] = {}
        self._bounds: dict[str, int] = {}

    def advance(
        self, ends: Mapping[Watched, int], between: Callable[[], None] = lambda: None
    ) -> dict[Watched, Exception]:
        """Absorb the events with time up to the end of each rollout, and the exposures that matured by then.

        ``between`` is called before each round of a long history. Gives back whose parts could not be read; they are
        read from the beginning next time. Raises where a statement fails: then nobody's account is to be trusted.
        """
        behind = {watched: end for watched, end in ends.items() if watched.behind(end)}
        with Reading() as reading:
            whole = reading.each(behind, lambda watched, _: watched.refresh())
            for watched in [watched for watched, is_whole in whole.items() if not is_whole]:
                self.forget(watched)
                watched.refresh()
            while behind := {w: end for w, end in behind.items() if w.last < end and w not in reading.failed}:
                between()
                self._round(behind, reading)
        for watched in reading.failed:
            self.forget(watched)
        return reading.failed

    def forget(self, watched: Watched) -> None:
        """Drop what is held of a rollout."""
        tables = {"exposures": "rollout", "outcomes": "o_rollout", "told": "rollout"} | self._ranked.tables
        for table, key in tables.items():
            self._engine.execute(f"DELETE FROM {table} WHERE {key} = $number", {"number": watched.number})
        watched.forget()

    def close(self) -> None:
        """Free the engine."""
        self._engine.close()

    def _round(self, behind: Mapping[Watched, int], reading: Reading) -> None:
        """Read about as much as may be read at once, and sum up what that completes."""
        reached = self._load_events(behind, reading)
        reached = {watched: end for watched, end in reached.items() if watched.behind(end)}
        self._load_outcomes(reached, reading)
        reached = {watched: end for watched, end in reached.items() if watched not in reading.failed}
        if reached and self._kept["exposures"]:
            self._absorb(reached)
        for watched, end in reached.items():
            watched.last = end

    # Reading

    def _load_events(self, behind: Mapping[Watched, int], reading: Reading) -> dict[Watched, int]:
        """Parts into the table; up to which time they have been read for whom."""
        reached: dict[Watched, int] = {}
        parts: list[Part] = []
        for some in _some(behind):
            taken = reading.each(some, lambda watched, end: watched.events.take(end, self._rows.columns))
            for watched, (tables, reach) in taken.items():
                reached[watched] = reach
                parts += [Part(self._number(watched), watched.rollout, table) for table in tables]
            if sum(len(part.table) for part in parts) >= AT_ONCE:
                break
        if parts:
            self._insert_events(self._rows.ours(parts), {watched.number: watched.account for watched in reached})
        return reached

    def _number(self, watched: Watched) -> int:
        """What stands for a rollout in the tables."""
        if watched.number < 0:
            watched.number = next(self._numbers)
        return watched.number

    def _insert_events(self, rows: pa.Table, accounts: Mapping[int, Account]) -> None:
        if not len(rows):
            return
        answers = {}
        if self.shape.agreements:
            numbers = rows["number"].to_numpy()
            for number in np.unique(numbers).tolist():
                if (known := accounts[number].answers) is not None:
                    known.learn([rows.filter(pa.array(numbers == number))])
                    answers[number] = known
        answered = primary(rows) if self.shape.answers else None
        exposures = self._rows.exposures(rows, answered, self._exposures, answers)
        self._exposures += len(rows)
        if self.shape.mirrors and answered is not None:
            self._told.add(rows, exposures["eid"], answered)
        for number in self._ranked.add(rows, exposures):
            accounts[number].lists.seen = True
        self._insert("exposures", "t", exposures)

    def _load_outcomes(self, reached: Mapping[Watched, int], reading: Reading) -> None:
        """All that was received by then."""
        behind = dict(reached) if self._names else {}
        while behind:
            parts: list[Part] = []
            for some in _some(behind):
                taken = reading.each(some, lambda watched, end: watched.outcomes.take(end, list(OUTCOME_COLUMNS)))
                for watched, (tables, reach) in taken.items():
                    parts += [Part(self._number(watched), watched.rollout, table) for table in tables if len(table)]
                    if reach >= behind[watched]:
                        del behind[watched]
                behind = {watched: end for watched, end in behind.items() if watched not in reading.failed}
                if sum(len(part.table) for part in parts) >= AT_ONCE:
                    break
            self._insert_outcomes(parts, reached)

    def _insert_outcomes(self, parts: list[Part], reached: Collection[Watched]) -> None:
        if not parts or not len(records := told(parts, self._names)):
            return
        self._ranked.learn(records)
        rows = outcomes(records)
        latest = rows.group_by("o_rollout").aggregate([("o_received", "max")]).to_pydict()
        received = dict(zip(latest["o_rollout"], latest["o_received_max"], strict=True))
        for watched in reached:
            watched.received = max(watched.received, received.get(watched.number, LONG_AGO))
        self._insert("outcomes", "o_received", rows)

    def _insert(self, name: str, moment: str, rows: pa.Table) -> None:
        if len(rows) >= _SORTED_FROM:
            rows = rows.take(pc.sort_indices(rows[moment]))
        self._engine.insert(name, rows)
        self._kept[name] += len(rows)

    # Absorbing the window (last, end] of each rollout

    def _absorb(self, reached: Mapping[Watched, int]) -> None:
        self._ready = {self._number(watched): watched for watched in reached}
        windows = [(w.number, w.last, end, w.start) for w, end in reached.items()]
        columns = zip(*windows, strict=True)
        self._engine.create("windows", schema_of(WINDOWS))
        self._engine.insert("windows", pa.table(dict(zip(WINDOWS, map(pa.array, columns), strict=True))))
        self._bounds = {"after": min(w.last for w in reached), "until": max(reached.values())}
        self._absorb_arrivals({watched.number: end for watched, end in reached.items()})
        self._absorb_units()
        if self._statements.visited:
            self._absorb_visits(reached)
        if self.shape.samples:
            for row in self._query(self._statements.copied).to_pylist():
                account = self._account(row["rollout"])
                account.learn_copied(row["unit"], row["phase"], row["sampled"], row["first"])
        if any(w.account.mirrors(w.last - self._statements.clock.step) for w in reached):
            found = self._query(self._statements.mirror)
            for number, rows in blocks(integers(found, "rollout")):
                self._account(number).absorb_mirror(found.take(rows))
        self._told.absorb(self._query, {number: w.account.inputs for number, w in self._ready.items()})
        for number, pairs in self._ranked.pairs(self._query):
            account = self._account(number)
            account.lists.add(pairs, account.segments)
        for group in self._statements.groups:
            self._absorb_matured(group)
        self._prune()
        self._ranked.prune()

    def _query(self, sql: str) -> pa.Table:
        return self._engine.query(sql, self._bounds)

    def _account(self, number: int) -> Account:
        return self._ready[number].account

    def _cells(self, found: pa.Table, places: Places) -> CellRows:
        segments = {number: watched.account.segments for number, watched in self._ready.items()}
        return CellRows(found, places, self.shape.segments, segments)

    def _absorb_arrivals(self, until: Mapping[int, int]) -> None:
        found = self._query(self._statements.arrivals)
        places, requests = Places(found), integers(found, "requests")
        for (number, phase, arm), n in places.sums(requests):
            self._account(number).requests[phase, arm] += n
        for number, phase, arm in places.keys:
            self._account(number).saw(phase, arm, until[number])
        found = found.filter(pc.not_equal(found["arm"], SHADOW))
        places, requests = Places(found), integers(found, "requests")
        for (number, phase, arm), n in places.sums(integers(found, "exposures")):
            self._account(number).rows[phase, arm] += n
        for number, seen in first_seen(found, integers(found, "first"), self.shape.segments).items():
            self._account(number).segments.learn(seen)
        rows = self._cells(found, places)
        for n in self._statements.prompt:
            self._add(n, rows, prompt_values(self.shape.metrics[n], found, n, requests))

    def _add(self, n: int, rows: CellRows, values: Ints) -> None:
        for number, cell, sums in rows.add_up(values):
            self._account(number).live[n].add(cell, sums)

    def _absorb_units(self) -> None:
        """First requests and rare events of the units."""
        found = self._query(self._statements.units)
        places = Places(found)
        order = np.argsort(places.codes, kind="stable")
        units, firsts = found["unit"].take(order).to_pylist(), found["first"].combine_chunks().take(order)
        times, codes = integers(found, "time")[order], places.codes[order]
        met = {n: integers(found, self._statements.hit(n))[order] > 0 for n in self._statements.rare}
        for code, where in blocks(codes):
            number, phase, arm = places.keys[code]
            start, end = int(where[0]), int(where[-1]) + 1
            account, of_place = self._account(number), firsts[start:end]
            account.facts.absorb_columns(
                (phase, arm),
                units[start:end],
                times[start:end],
                partial(_ids, of_place),
                {account.plan.metrics[n].name: hits[start:end] for n, hits in met.items()},
            )

    def _absorb_visits(self, reached: Mapping[Watched, int]) -> None:
        """The denominator of requests per unit: a unit counts once in each cell, at its first exposure there."""
        found = self._query(self._statements.visits)
        rows, units = self._cells(found, Places(found)), found["unit"].to_pylist()
        for number, cell, where in rows.rows():
            of_cell, buckets = [units[row] for row in where.tolist()], rows.bucket[where]
            for n in self._statements.visited:
                account = self._account(number)
                new = account.new_units(n, cell, of_cell, buckets)
                account.live[n].count(cell, new)
        bucket = self._statements.clock.bucket
        for watched, end in reached.items():
            watched.account.close_cells(end // bucket * bucket // MICRO)

    def _absorb_matured(self, group: MaturityGroup) -> None:
        watched, first = self._ready.values(), group.metrics[0]
        if any(w.account.immature(first) for w in watched):
            self._absorb_live(group)
        if any(w.received > w.last for w in watched):
            for number, name, n in zip(*self._query(group.late).to_pydict().values(), strict=True):
                for metric in group.metrics:
                    names = self.shape.metrics[metric].outcomes
                    self._account(number).live[metric].late += n * names.count(name)
        if group.paired and any(w.account.unjudged(group.paired[0]) for w in watched):
            self._absorb_pairs(group)

    def _absorb_live(self, group: MaturityGroup) -> None:
        found = self._query(group.live)
        places, exposures = Places(found), integers(found, "exposures")
        rows = self._cells(found, places)
        for n in group.metrics:
            metric = self.shape.metrics[n]
            values, missing = mature_values(metric, found, n, exposures)
            outside = exposures - inside(metric, found, n, exposures)
            for (number, phase, arm), mature in places.sums(exposures):
                self._account(number).live[n].mature[phase, arm] += mature
            for (number, phase, arm), lacking in places.sums(missing):
                self._account(number).live[n].missing[phase, arm] += lacking
            for (number, phase, arm), beyond in places.sums(outside):
                self._account(number).live[n].outside[phase, arm] += beyond
            self._add(n, rows, values)

    def _absorb_pairs(self, group: MaturityGroup) -> None:
        found = self._query(group.pairs)
        places, exposures = Places(found), integers(found, "exposures")
        rows = self._cells(found, places)
        for n in group.paired:
            present = integers(found, column(n, "found"))
            for arm, name in ((CHAMPION, "sum"), (SHADOW, "s_sum")):
                for (number, phase, _), mature in places.sums(exposures):
                    self._account(number).pairs[n].mature[phase, arm] += mature
                for (number, phase, _), lacking in places.sums(exposures - present):
                    self._account(number).pairs[n].missing[phase, arm] += lacking
                values = np.column_stack([present, integers(found, column(n, name)), present * MICRO])
                for number, cell, sums in rows.add_up(values):
                    self._account(number).pairs[n].add(cell._replace(arm=arm), sums)

    def _prune(self) -> None:
        """Drop what no later look can need; not each time, so that it stays cheap."""
        for name, rollout, moment, keep in (
            ("exposures", "rollout", "t", self._statements.reach),
            ("outcomes", "o_rollout", "o_received", self._statements.reach + EARLY),
        ):
            if self._kept[name] >= self._prune_at[name]:
                over = f"{name}.{rollout} = w.rollout AND {moment} <= w.until - {keep}"
                self._engine.execute(f"DELETE FROM {name} USING windows w WHERE {over}", {})
                self._kept[name] = self._engine.query(f"SELECT count(*) AS n FROM {name}", {})["n"][0].as_py()
                self._prune_at[name] = max(2 * self._kept[name], _PRUNE_AT)


def _some(behind: Mapping[Watched, int]) -> list[dict[Watched, int]]:
    """A few at a time: what is read at once is bounded."""
    entries = list(behind.items())
    return [dict(entries[start : start + _READ_AT_ONCE]) for start in range(0, len(entries), _READ_AT_ONCE)]


def _ids(firsts: pa.Array, rows: Ints) -> list[str]:
    """Request ids of first requests (``Statements.units``)."""
    ids: list[str] = pc.utf8_slice_codeunits(firsts.take(pa.array(rows)), 20).to_pylist()
    return ids
