"""The verdict of a drill, from its evidence file and nothing else: whoever judges it again finds the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from seatrial.errors import UsageError
from seatrial.governance.drills.steps import STEPS

SCHEMA: Final = "seatrial.drill-evidence.v1"

CriterionName = Literal[
    "complete", "share", "time_to_detect", "time_to_zero", "user_errors", "previous_version", "standby", "fallback",
    "data_intact", "restored",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Criterion:
    """One requirement: what was measured, what was asked for, and whether that was met."""

    name: CriterionName
    measured: str
    target: str
    passed: bool


@dataclass(frozen=True, slots=True)
class DrillVerdict:
    """A drill passes if all of its criteria are met."""

    drill: str
    criteria: tuple[Criterion, ...]

    @property
    def passed(self) -> bool:
        return all(criterion.passed for criterion in self.criteria)

    @property
    def failed(self) -> tuple[Criterion, ...]:
        return tuple(criterion for criterion in self.criteria if not criterion.passed)


def judge(evidence: Mapping[str, Any]) -> DrillVerdict:
    """Judge ``seatrial.drill-evidence.v1``. Raises UsageError (ST0367) for anything else."""
    if evidence.get("schema") != SCHEMA:
        raise UsageError("ST0367", f"this is no evidence of a drill ({SCHEMA}).",
                         remedy="`seatrial drill report ID --evidence FILE` writes it.")  # fmt: skip
    try:
        return DrillVerdict(str(evidence["drill"]), tuple(_criteria(evidence)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            "ST0367", f"the evidence of this drill cannot be read: {error!r}.",
            remedy="It was changed, or cut off: take the file that the drill wrote.",
        ) from None  # fmt: skip


def _criteria(evidence: Mapping[str, Any]) -> Iterator[Criterion]:
    steps: dict[str, dict[str, Any]] = {step["name"]: step["evidence"] for step in evidence["steps"]}
    yield Criterion("complete", f"{len(steps)} steps", f"{len(STEPS)} steps", tuple(steps) == STEPS)
    if tuple(steps) != STEPS:
        return
    ready, inject, detect, back, verify, restore = (steps[name] for name in STEPS)
    yield _share(int(evidence["share"]), inject, detect)
    targets = evidence["targets"]
    yield _time("time_to_detect", detect["detectedAfter"], float(targets["detect"]))
    yield _time("time_to_zero", back["zeroAfter"], float(targets["zero"]))
    errors = sum(int(step["userErrors"]) for step in (detect, back, verify))
    asked = sum(int(step["requests"]) for step in (detect, back, verify))
    yield Criterion("user_errors", f"{errors} of {asked:,} requests", "0", errors == 0 < asked)
    yield _previous(int(ready["champion"]), back, verify)
    yield _standby(verify["standby"])
    if "fallback" in verify:  # evidence of drills from before it was asked for is judged as it was then
        yield _fallback(verify["fallback"])
    yield _intact(ready, verify)
    yield _restored(ready, restore)


def _share(planned: int, inject: Mapping[str, Any], detect: Mapping[str, Any]) -> Criterion:
    """The faulty version never had more of the traffic than the drill may take, by Envoy's own word."""
    seen = max(int(inject["weight"]), int(detect["weight"]))
    return Criterion("share", f"{seen / 100:g}%", f"at most {planned / 100:g}%", 0 < seen <= planned)


def _time(name: Literal["time_to_detect", "time_to_zero"], seconds: float | None, target: float) -> Criterion:
    measured = "never" if seconds is None else f"{float(seconds):.3f} s"
    return Criterion(name, measured, f"{target:g} s", seconds is not None and float(seconds) <= target)


def _previous(champion: int, back: Mapping[str, Any], verify: Mapping[str, Any]) -> Criterion:
    """After the way home every answer names the version from before, and the split has nothing else."""
    answered = {str(v): int(n) for v, n in verify["answeredBy"].items()}
    stragglers, split = int(back["canaryRequestsAfter"]), verify["split"]
    only = set(answered) == {str(champion)} and set(split) == {f"v{champion}"} and stragglers == 0
    told = ", ".join(f"v{version} {count}" for version, count in sorted(answered.items())) or "nobody"
    late = f"; {stragglers} on the faulty version after 0%" if stragglers else ""
    return Criterion("previous_version", told + late, f"v{champion} alone", only)


def _standby(found: Mapping[str, Any] | None) -> Criterion:
    if found is None:
        return Criterion("standby", "none: the champion is the first", "serves, if there is one", True)
    return Criterion("standby", str(found["text"]), "serves", bool(found["serves"]))


def _fallback(levels: Sequence[Mapping[str, Any]]) -> Criterion:
    """Who answers when no version does: rules, a queue that people decide, a banner that says that no model did."""
    if not levels:
        return Criterion("fallback", "none: no level below the standby", "each answers, if there are any", True)
    told = ", ".join(
        f"{one['level']} answers" if one["answers"] else f"{one['level']} does not: {one['problem']}" for one in levels
    )
    return Criterion("fallback", told, "each answers", all(bool(one["answers"]) for one in levels))


def _intact(ready: Mapping[str, Any], verify: Mapping[str, Any]) -> Criterion:
    """Everything that Envoy counted is in the log, the audit log is whole, and nobody moved the pointers."""
    counted, logged = int(verify["counted"]), int(verify["logged"])
    moved = ready["pointers"] != verify["pointers"]
    whole = bool(verify["auditWhole"])
    told = f"{logged:,} of {counted:,} requests logged, audit log {'whole' if whole else 'broken'}"
    told += ", pointers moved" if moved else ""
    return Criterion("data_intact", told, "all logged, nothing moved", counted == logged > 0 and whole and not moved)


def _restored(ready: Mapping[str, Any], restore: Mapping[str, Any]) -> Criterion:
    same = ready["pointers"] == restore["pointers"] and ready["split"] == restore["split"]
    archived = restore["stage"] == "Archived"
    told = "as before" if same and archived else f"split {restore['split']}, faulty version in {restore['stage']}"
    return Criterion("restored", told, "as before", same and archived)
