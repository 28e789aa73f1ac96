"""Whether a change lies within its envelope: everything that differs is declared, and every criterion is met."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from seatrial.governance.change_delta import Delta, Pair
from seatrial.governance.envelope import Criterion, Envelope, Modification
from seatrial.governance.materiality import name_of
from seatrial.registry.flags import Flag, beyond, exact

Status = Literal["inside", "unmet", "outside"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a step of ML CI found in one slice of its table. ``bound`` and ``loss``: the ends of their one-sided 95%
    intervals that count against the version; None was not measured. ``metric``: what it measured. ``source``: the run.
    """

    step: str
    metric: str
    slice: str
    rows: int
    bound: float | None
    loss: float | None
    source: str


@dataclass(frozen=True, slots=True)
class Trace:
    """A line of the traceability table: a modification, one of its criteria, and what was found for it."""

    modification: Modification
    criterion: Criterion
    evidence: tuple[Evidence, ...]
    problem: str

    @property
    def met(self) -> bool:
        return not self.problem


@dataclass(frozen=True, slots=True)
class EnvelopeVerdict:
    """``outside``: what differs and is not declared, a sentence each; ``traces``: of the modifications made."""

    outside: tuple[str, ...]
    traces: tuple[Trace, ...]

    @property
    def status(self) -> Status:
        if self.outside:
            return "outside"
        return "inside" if all(trace.met for trace in self.traces) else "unmet"


@dataclass(frozen=True, slots=True)
class _Item:
    """One thing that differs, and which modifications declare it."""

    text: str
    covered: Callable[[Modification], bool]


def check(envelope: Envelope, found: Delta | None, evidence: Sequence[Evidence]) -> EnvelopeVerdict:
    """None: nothing was ever authorised, so nothing lies inside. What is not known lies outside, too."""
    if found is None:
        return EnvelopeVerdict(("no version of this model was approved as a whole",), ())
    outside, made = [gap.text for gap in found.unknown], list[Modification]()
    for item in _items(found):
        declared = [one for one in envelope.modifications if item.covered(one)]
        if not declared:
            outside.append(item.text)
        made.extend(one for one in declared[:1] if one not in made)
    traces = (_trace(one, criterion, evidence) for one in made for criterion in one.criteria)
    return EnvelopeVerdict(tuple(outside), tuple(traces))


def _items(found: Delta) -> Iterator[_Item]:
    for change in found.changes:
        yield _Item(change.text, partial(_declares, name_of(change)))
    for feature in found.added:
        yield _Item(f"feature {feature} was added", partial(_adds, feature))
    for feature in found.removed:
        yield _Item(f"feature {feature} was removed", partial(_removes, feature))
    for flag in found.flags:
        known = partial(_draws_from if flag.kind == "source" else _weighs_alike, flag)
        yield _Item(f"{flag.kind} of {flag.feature}: {flag.old} → {flag.new}", known)
    for pair in found.settings:
        yield _Item(f"hyper-parameter {pair.name}: {pair.before} → {pair.after}", partial(_bounds, pair))


def _declares(name: str, declared: Modification) -> bool:
    return name in declared.changes


def _adds(feature: str, declared: Modification) -> bool:
    return feature in declared.added


def _removes(feature: str, declared: Modification) -> bool:
    return feature in declared.removed


def _draws_from(flag: Flag, declared: Modification) -> bool:
    return flag.new in declared.sources.get(flag.feature, ())


def _weighs_alike(flag: Flag, declared: Modification) -> bool:
    old, new = (None if isinstance(value, str) else value for value in (flag.old, flag.new))
    return declared.importance is not None and not beyond(old, new, exact(declared.importance))


def _bounds(pair: Pair, declared: Modification) -> bool:
    bounds = declared.hyper_parameters.get(pair.name)
    return bounds is not None and bounds.holds(pair.after)


def _trace(modification: Modification, criterion: Criterion, evidence: Sequence[Evidence]) -> Trace:
    of_step = [one for one in evidence if one.step == criterion.step]
    measured = sorted({one.metric for one in of_step} - {criterion.metric})
    about = tuple(
        one for one in of_step if one.metric == criterion.metric and _is_of(one.slice, criterion.slice)
    )  # fmt: skip
    problems = [f"{one.slice}: {problem}" for one in about if (problem := _problem(criterion, one))]
    if not about and measured:
        problems = [f"step '{criterion.step}' of ML CI measures {', '.join(measured)}, not {criterion.metric}"]
    elif not about:
        problems = [f"step '{criterion.step}' of ML CI found nothing about {criterion.slice} for this very model"]
    return Trace(modification, criterion, about, "; ".join(problems))


def _is_of(found: str, wanted: str) -> bool:
    return found.startswith(wanted[:-1]) if wanted.endswith("=*") else found == wanted


def _problem(criterion: Criterion, found: Evidence) -> str:
    if found.rows < criterion.min_rows:
        return f"{found.rows} rows are fewer than {criterion.min_rows}"
    if criterion.min is not None and (found.bound is None or found.bound < criterion.min):
        return f"{criterion.metric} is {_told(found.bound)}, at least {criterion.min:g} is declared"
    if criterion.max is not None and (found.bound is None or found.bound > criterion.max):
        return f"{criterion.metric} is {_told(found.bound)}, at most {criterion.max:g} is declared"
    if criterion.max_loss is not None and (found.loss is None or found.loss > criterion.max_loss):
        return f"a loss of {_told(found.loss)} is possible, at most {criterion.max_loss:g} is declared"
    return ""


def _told(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4g} (95%)"
