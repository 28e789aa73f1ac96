"""How a log was split, as the user says it or as the plan and the table tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from seatrial.engines.wide import Group, Split
from seatrial.errors import UsageError
from seatrial.events.schema import to_micros
from seatrial.ids import CANARY, CHAMPION, Arm
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import compile_stages
from seatrial.values import Share

USUAL: Mapping[Arm, tuple[str, ...]] = {
    CHAMPION: ("champion", "control", "baseline", "stable", "a"),
    CANARY: ("canary", "candidate", "challenger", "treatment", "b"),
}
"""Values of the arm's column that are understood without being told, without regard to upper and lower case."""

_FORMS = "--split 10%, or for a ramp --split 2026-03-01=10% --split 2026-03-04T12:00=25%"


def arms_of(groups: Sequence[Group], column: str, told: Mapping[Arm, str]) -> dict[str, Arm]:
    """Which arm a value of the column stands for. Raises UsageError (ST0274) where that cannot be told."""
    values = sorted({group.arm for group in groups if group.arm is not None})
    found: dict[str, Arm] = {}
    for arm, usual in USUAL.items():
        wanted = told.get(arm)
        met = [value for value in values if (value.lower() in usual if wanted is None else value == wanted)]
        if len(met) != 1:
            what = f"'{wanted}'" if wanted is not None else f"the {arm}"
            raise UsageError(
                "ST0274",
                f"column '{column}' does not tell {what}: it has the values {', '.join(values[:20]) or 'none'}.",
                remedy=f"Say which it is: --{arm} VALUE.",
            )
        found[met[0]] = arm
    if len(found) < len(USUAL):
        raise UsageError("ST0274", f"'{next(iter(found))}' cannot be both arms.", remedy="--champion A --canary B")
    return found


def splits_of(
    plan: Plan, written: Sequence[str], groups: Sequence[Group], *, column: str | None, declared: bool
) -> list[Split]:
    """Phases in order of time with their planned shares.

    ``column`` holds the phases, if one does; ``declared``: the user named it. Raises UsageError (ST0275).
    """
    labels = _labels(groups) if column is not None else []
    if not written:
        return _by_plan(plan, labels, column)
    told = [_parts(text) for text in written]
    if len(told) == 1 and told[0][0] is None:
        return [Split(1, told[0][1])]
    names = [name for name, _ in told]
    if set(names) <= {*labels}:
        return _by_label({str(name): weight for name, weight in told}, labels, str(column))
    if declared:
        unknown = next(str(name) for name in names if name not in labels)
        raise UsageError(
            "ST0275", f"--split {unknown}=...: column '{column}' has no such phase.",
            remedy=f"It has {', '.join(labels[:20])}.",
        )  # fmt: skip
    starts = sorted((_start(name), weight) for name, weight in told)
    return [Split(n, weight, start=start) for n, (start, weight) in enumerate(starts, start=1)]


def _labels(groups: Sequence[Group]) -> list[str]:
    """Values of the phase's column by the time of their first row."""
    firsts: dict[str, int] = {}
    for group in groups:
        if group.phase is not None and group.first is not None:
            firsts[group.phase] = min(group.first, firsts.get(group.phase, group.first))
    return sorted(firsts, key=lambda label: (firsts[label], label))


def _by_plan(plan: Plan, labels: Sequence[str], column: str | None) -> list[Split]:
    weights = [stage.weight for stage in compile_stages(plan) if stage.kind == "canary"]
    if labels:
        shares = [_share(label) for label in labels]
        if all(shares):
            weights = [share.per_10k for share in shares if share is not None]
        if len(weights) == len(labels):
            return [Split(n, w, label) for n, (w, label) in enumerate(zip(weights, labels, strict=True), start=1)]
        raise UsageError(
            "ST0275", f"plan '{plan.name}' has {len(weights)} splits, column '{column}' {len(labels)} phases.",
            remedy=f"Say how each was split: {' '.join(f'--split {label}=10%' for label in labels[:3])}",
        )  # fmt: skip
    if len(weights) == 1:
        return [Split(1, weights[0])]
    raise UsageError(
        "ST0275", f"plan '{plan.name}' has {len(weights)} splits, and the log does not tell which was in force.",
        remedy=f"Say which: {_FORMS}.",
    )  # fmt: skip


def _by_label(weights: Mapping[str, int], labels: Sequence[str], column: str) -> list[Split]:
    untold = [label for label in labels if label not in weights]
    if untold:
        raise UsageError(
            "ST0275", f"column '{column}' has the phase '{untold[0]}', whose split is not told.",
            remedy=f"--split {untold[0]}=SHARE; 0% where the canary had nobody.",
        )  # fmt: skip
    return [Split(n, weights[label], label) for n, label in enumerate(labels, start=1)]


def _parts(text: str) -> tuple[str | None, int]:
    """``10%``, or ``NAME=10%``, as the name and the weight."""
    name, equals, share = text.rpartition("=")
    found = _share(share)
    if found is None or found.per_10k == 10_000:
        raise UsageError("ST0275", f"--split {text}: not a canary's share of the units.", remedy=f"{_FORMS}.")
    return (name if equals else None), found.per_10k


def _share(text: str) -> Share | None:
    try:
        return Share.parse(text)
    except ValueError:
        return None


def _start(name: str | None) -> int:
    try:
        moment = datetime.fromisoformat(name or "")
    except ValueError:
        raise UsageError("ST0275", f"--split {name}=...: '{name}' is not a time.", remedy=f"{_FORMS}.") from None
    return to_micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
